"""An IPv6 cluster's pool: one /80 of the primary ENI for all pods, and the same rules as for IPv4."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpccni.ipam.actions import AssignAddresses, Assigned
from vpccni.ipam.checkpoint import decode_checkpoint, encode_checkpoint, snapshot
from vpccni.ipam.decide import Ipam
from vpccni.ipam.limits import known_limits
from vpccni.ipam.pool import AddressHeldError
from vpccni.ipam.reasons import Refusal
from vpccni.ipam.restore import restore
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import (
    Assignment,
    AttachedEni,
    Block,
    BlockKind,
    Eni,
    EniId,
    Pod,
    SandboxKey,
    SubnetId,
)

KIND = BlockKind.IPV6_PREFIX
PREFIX = Block(IPv6Network("2001:db8:0:101:1::/80"))
OTHER = Block(IPv6Network("2001:db8:0:101:2::/80"))
PRIMARY = Eni(
    EniId("eni-1"), "02:00:00:00:00:01", 0, SubnetId("subnet-1"), IPv4Network("10.0.1.0/24"),
    IPv4Address("10.0.1.4"), is_primary=True,
)  # fmt: skip
COOLDOWN = 30.0


def key(number: int) -> SandboxKey:
    return SandboxKey("aws-cni", f"c{number}", "eth0")


def pod(number: int) -> Pod:
    return Pod("default", f"p{number}")


def node(*blocks: Block, targets: WarmTargets | None = None) -> Ipam:
    ipam = Ipam(NodeLimits(1, 5, 110), targets or WarmTargets(), kind=KIND, cooldown=COOLDOWN)
    ipam.add_attached(AttachedEni(PRIMARY, blocks), 0.0)
    return ipam


def address_of(found: Assignment | Refusal) -> IPv6Address:
    assert isinstance(found, Assignment)
    assert isinstance(found.address, IPv6Address)
    return found.address


@pytest.mark.parametrize(
    "targets", [WarmTargets(), WarmTargets(warm_ip=50, minimum_ip=100), WarmTargets(warm_prefix=3)]
)
def test_one_prefix_is_asked_for_whatever_the_targets_and_never_a_second(targets: WarmTargets) -> None:
    ipam = node(targets=targets)
    (action,) = ipam.plan(0.0)
    assert action == AssignAddresses(PRIMARY.id, 1, KIND)
    ipam.apply(Assigned(action, (PREFIX,)), 1.0)
    for number in range(110):
        address_of(ipam.assign(key(number), pod(number), 2.0))
        assert ipam.plan(2.0) == ()
    for number in range(110):
        ipam.release(key(number), 3.0)
    assert ipam.plan(1e6) == (), "and it is not given back"


def test_addresses_ascend_from_the_base_and_are_used_again_as_late_as_possible() -> None:
    ipam = node(PREFIX)
    first = [address_of(ipam.assign(key(n), pod(n), 0.0)) for n in range(3)]
    assert [str(one) for one in first] == ["2001:db8:0:101:1::", "2001:db8:0:101:1::1", "2001:db8:0:101:1::2"]
    ipam.release(key(0), 1.0)
    assert str(address_of(ipam.assign(key(3), pod(3), 100.0))) == "2001:db8:0:101:1::3"
    ipam.undo(key(3))
    assert str(address_of(ipam.assign(key(4), pod(4), 100.0))) == "2001:db8:0:101:1::3"
    assert address_of(ipam.assign(key(4), pod(4), 100.0)) == ipam.assign(key(4), pod(4), 101.0).address  # type: ignore[union-attr]


def test_a_restart_keeps_the_very_addresses_and_their_cooldowns() -> None:
    before = node(PREFIX)
    held = {n: address_of(before.assign(key(n), pod(n), 10.0)) for n in range(4)}
    before.release(key(1), 11.0)
    written = encode_checkpoint(snapshot(before.pool.assignments(), before.pool.cooling()))
    assert b'"ipv6":"2001:db8:0:101:1::"' in written

    after = Ipam(NodeLimits(1, 5, 110), WarmTargets(), kind=KIND, cooldown=COOLDOWN)
    seen = restore(after, [AttachedEni(PRIMARY, (PREFIX,))], decode_checkpoint(written), lambda _: True, 12.0)
    assert {a.key: a.address for a in seen.kept} == {key(n): held[n] for n in (0, 2, 3)}
    fresh = address_of(after.assign(key(9), pod(9), 12.0))
    assert fresh not in held.values(), "a cooling one is nobody's either"
    assert after.pool.cooling_count == 1


def test_a_pod_keeps_its_address_though_nobody_is_known_to_hold_the_prefix() -> None:
    before = node(PREFIX)
    address = address_of(before.assign(key(0), pod(0), 0.0))
    written = snapshot(before.pool.assignments(), ())
    after = Ipam(NodeLimits(1, 5, 110), WarmTargets(), kind=KIND, cooldown=COOLDOWN)
    seen = restore(after, [AttachedEni(PRIMARY, ())], written, lambda _: True, 1.0)
    assert [a.address for a in seen.unheld] == [address]
    with pytest.raises(AddressHeldError):
        after.pool.add_block(PRIMARY.id, PREFIX)


def test_what_is_of_the_other_family_is_no_block() -> None:
    with pytest.raises(ValueError, match="gives no prefix"):
        Block(IPv6Network("2001:db0::/28"))
    assert not PREFIX.contains(Block(IPv4Network("10.0.0.0/28")))
    assert Block.of_address(PREFIX.network[7]).kind is BlockKind.IPV6_ADDRESS


@pytest.mark.parametrize(("instance_type", "most"), [("t3.medium", 110), ("m5.24xlarge", 250)])
def test_max_pods_are_those_that_eks_recommends(instance_type: str, most: int) -> None:
    limits = known_limits(instance_type)
    assert limits is not None
    assert limits.max_pods(KIND) == most


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7), st.floats(0.0, 20.0)), max_size=80))
def test_never_two_pods_one_address_and_none_before_it_has_cooled(
    steps: list[tuple[bool, int, float]],
) -> None:
    ipam = node(PREFIX, OTHER)
    now, held, released = 0.0, dict[int, IPv6Address](), dict[IPv6Address, float]()
    for take, number, passes in steps:
        now += passes
        if take:
            address = address_of(ipam.assign(key(number), pod(number), now))
            assert held.get(number, address) == address
            assert address not in [other for n, other in held.items() if n != number]
            assert number in held or now >= released.get(address, -COOLDOWN) + COOLDOWN
            held[number] = address
        elif number in held:
            ipam.release(key(number), now)
            released[held.pop(number)] = now
    assert ipam.pool.assigned_count == len(held)
    assert ipam.numbers.total == 2 * KIND.addresses
