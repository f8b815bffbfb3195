from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.ipam.model_ec2 import key, pod
from vpccni.ipam.checkpoint import Checkpoint
from vpccni.ipam.decide import Ipam
from vpccni.ipam.pool import DuplicateEniError
from vpccni.ipam.restore import CONNECTING_TAKES, Restored, restore
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import Assignment, AttachedEni, Block, BlockKind, Cooling, Eni, EniId, Pod, SubnetId

NOW = 1000.0
SUBNET = IPv4Network("10.0.0.0/24")


def attached(number: int, *blocks: str, subnet: IPv4Network = SUBNET) -> AttachedEni:
    eni = Eni(
        EniId(f"eni-{number}"), f"02::{number}", number, SubnetId("subnet-1"), subnet, subnet[200 + number],
        is_primary=number == 0,
    )  # fmt: skip
    return AttachedEni(eni, tuple(Block(IPv4Network(text)) for text in blocks))


def was(number: int, address: str, eni: str = "", at: float = 5.0) -> Assignment:
    return Assignment(key(number), pod(number), IPv4Address(address), EniId(eni), at)


def restart(
    checkpoint: Checkpoint,
    *enis: AttachedEni,
    dead: tuple[int, ...] = (),
    kind: BlockKind = BlockKind.SECONDARY_IP,
) -> tuple[Ipam, Restored]:
    ipam = Ipam(NodeLimits(3, 5, 100), WarmTargets(), kind=kind)
    gone = {pod(number) for number in dead}
    return ipam, restore(ipam, enis, checkpoint, lambda a: a.pod not in gone, NOW)


def test_pods_keep_their_addresses_on_the_enis_that_hold_them_now() -> None:
    checkpoint = Checkpoint((was(1, "10.0.0.1"), was(2, "10.0.0.19", "eni-of-old")))
    ipam, restored = restart(checkpoint, attached(0, "10.0.0.1/32"), attached(1, "10.0.0.16/28"))
    assert [(str(a.address), a.eni, a.assigned_at) for a in restored.kept] == [
        ("10.0.0.1", "eni-0", 5.0),
        ("10.0.0.19", "eni-1", 5.0),
    ]
    assert (restored.stale, restored.unheld, restored.lost) == ((), (), ())
    assert ipam.find(key(2)) == restored.kept[1]


def test_a_pod_that_is_just_being_connected_keeps_its_address() -> None:
    made = NOW - CONNECTING_TAKES
    old, young = was(1, "10.0.0.1", at=made), was(2, "10.0.0.2", at=made + 0.1)
    nowhere = was(3, "10.0.0.3", at=NOW)
    ipam, restored = restart(
        Checkpoint((old, young, nowhere)), attached(0, "10.0.0.1/32", "10.0.0.2/32"), dead=(1, 2, 3)
    )
    assert [a.key for a in restored.stale] == [key(1), key(3)]
    assert [a.key for a in restored.unwired] == [a.key for a in restored.kept] == [key(2)]
    assert ipam.find(key(2)) is not None


def test_the_address_of_a_pod_that_is_gone_cools() -> None:
    ipam, restored = restart(Checkpoint((was(1, "10.0.0.1"),)), attached(0, "10.0.0.1/32"), dead=(1,))
    assert [a.key for a in restored.stale] == [key(1)]
    assert ipam.pool.cooling() == (Cooling(IPv4Address("10.0.0.1"), NOW + 30.0),)
    assert not ipam.can_assign(NOW + 29.0)
    assert ipam.can_assign(NOW + 30.0)


def test_cooldowns_go_on() -> None:
    cooling = (Cooling(IPv4Address("10.0.0.2"), NOW + 20.0), Cooling(IPv4Address("10.0.0.1"), NOW + 10.0))
    ipam, _ = restart(Checkpoint((), cooling), attached(0, "10.0.0.1/32", "10.0.0.2/32"))
    assert set(ipam.pool.cooling()) == set(cooling)
    assert not ipam.can_assign(NOW + 9.0)
    assert ipam.can_assign(NOW + 10.0)


def test_an_address_somebody_has_does_not_cool() -> None:
    cooling = (Cooling(IPv4Address("10.0.0.1"), NOW + 20.0),)
    ipam, restored = restart(Checkpoint((was(1, "10.0.0.1"),), cooling), attached(0, "10.0.0.1/32"))
    assert len(restored.kept) == 1
    assert ipam.pool.cooling() == ()


def test_a_pod_that_cannot_be_looked_for_is_kept() -> None:
    nameless = replace(was(1, "10.0.0.1"), pod=Pod("", ""))
    ipam = Ipam(NodeLimits(3, 5, 100), WarmTargets())
    restored = restore(ipam, [attached(0, "10.0.0.1/32")], Checkpoint((nameless,)), lambda _: False, NOW)
    assert [a.key for a in restored.kept] == [key(1)]


def test_never_two_pods_one_address() -> None:
    checkpoint = Checkpoint((was(1, "10.0.0.1"), was(2, "10.0.0.1"), was(1, "10.0.0.2"), was(1, "10.0.0.77")))
    ipam, restored = restart(checkpoint, attached(0, "10.0.0.1/32", "10.0.0.2/32"))
    assert [(a.key, str(a.address)) for a in restored.kept] == [(key(1), "10.0.0.1")]
    assert restored.unheld == ()
    assert [(a.key, str(a.address), why) for a, why in restored.lost] == [
        (key(2), "10.0.0.1", "10.0.0.1 is not free: aws-cni/c1/eth0 has it"),
        (key(1), "10.0.0.2", "aws-cni/c1/eth0 has 10.0.0.1 already"),
        (key(1), "10.0.0.77", "aws-cni/c1/eth0 has another address already"),
    ]
    assert not ipam.pool.holds(IPv4Address("10.0.0.77"))


def test_a_live_pod_is_not_forgotten_when_metadata_lags() -> None:
    checkpoint = Checkpoint((was(1, "10.0.0.50", "eni-1"), was(2, "10.0.0.51")))
    ipam, restored = restart(checkpoint, attached(0), attached(1))
    assert [(a.key, a.eni) for a in restored.unheld] == [(key(1), "eni-1"), (key(2), "eni-0")]
    assert restored.kept == ()
    assert restored.lost == ()
    ipam.release(key(1), NOW)
    ipam.pool.advance(NOW + 30.0)
    assert not ipam.pool.holds(IPv4Address("10.0.0.50")), "it was this pod's, and is nobody's after it"
    assert ipam.find(key(2)) is not None


@pytest.mark.parametrize("address", ["10.0.9.1", "10.0.0.200"])
def test_an_address_that_no_eni_can_hold_is_lost_and_said_so(address: str) -> None:
    ipam, restored = restart(Checkpoint((was(1, address),)), attached(0))
    assert [why for _, why in restored.lost] == [f"no attached ENI is in the subnet of {address}"]
    assert ipam.find(key(1)) is None


def test_an_eni_listed_twice_is_refused() -> None:
    with pytest.raises(DuplicateEniError):
        restart(Checkpoint(), attached(0), attached(0))
