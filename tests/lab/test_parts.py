"""What the lab decides without any packet: subnets, changes behind an agent's back, reports, settings."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv4Network

import pytest

from vpclab.lab.behind import behind
from vpclab.lab.bulk import in_parallel, quantile, report
from vpclab.lab.layout import add_networks, fill
from vpclab.lab.settings import LabSettings
from vpclab.lab.state import LabError
from vpclab.region import ApiError, Delays, Region, Wanted, launch_bastion, launch_node, study_region

AT_ONCE = Delays(attach=(0, 0), detach=(0, 0))


def test_settings_arrive_as_they_were_sent() -> None:
    asked = LabSettings("x", env={"A": "b=c"}, faults=("imds=2",), free=40, subnet_tags={"k": "v"}, seed=7)
    assert LabSettings.from_json(asked.to_json()) == asked


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (LabSettings("x", subnet_bits=29), "/29"),
        (LabSettings("x", free=-1), "--free"),
        (LabSettings("x", scattered=True), "--scattered"),
        (LabSettings("x", extra_subnets=9), "0 to 8"),
        (LabSettings("x", subnet_tags={"a": "b"}), "--extra-subnets"),
    ],
)
def test_settings_that_no_lab_can_have_are_refused(settings: LabSettings, says: str) -> None:
    with pytest.raises(LabError, match=says):
        settings.check()


@pytest.mark.parametrize("bits", [20, 23, 24, 25, 28])
def test_subnets_of_any_size_hold_the_machines(bits: int) -> None:
    region, study = study_region(Region(), bits)
    bastion = launch_bastion(region, study)
    assert {s.cidr.prefixlen for s in study.public} == {bits}
    assert (region.primary_eni(bastion.id).primary == IPv4Address("192.168.1.100")) == (bits in {24, 25})
    assert launch_node(region, study, 1).zone == region.zones[1]


def test_further_subnets_are_tagged_and_come_from_the_second_block() -> None:
    region, study = study_region()
    settings = LabSettings("x", secondary_cidr="100.64.0.0/16", extra_subnets=2, subnet_tags={"role": "cni"})
    add_networks(region, study, settings)
    made = [s for s in region.subnets.values() if s.tags.get("role") == "cni"]
    assert [s.zone[-1] for s in made] == list("abcabc")
    assert all(s.cidr.subnet_of(IPv4Network("100.64.0.0/16")) and not s.public for s in made)
    region, study = study_region()
    add_networks(region, study, LabSettings("x", extra_subnets=1))
    assert [str(s.cidr) for s in region.subnets.values()][-3:] == [
        "192.168.100.0/24",
        "192.168.101.0/24",
        "192.168.102.0/24",
    ]


@pytest.mark.parametrize("cidr", ["100.64.0.0/27", "nonsense", "192.168.0.0/24"])
def test_a_second_block_that_can_not_be_is_refused(cidr: str) -> None:
    region, study = study_region()
    with pytest.raises(LabError):
        add_networks(region, study, LabSettings("x", secondary_cidr=cidr, extra_subnets=1))


def test_a_subnet_is_filled_but_for_so_many() -> None:
    region, study = study_region()
    subnet = study.public[0].id
    launch_node(region, study, 0)
    fill(region, [subnet, subnet], 40, scattered=False)
    assert region.free_addresses(subnet) == 40
    eni = region.create_network_interface(subnet, wanted=Wanted(prefix_count=1))
    assert eni.prefixes
    with pytest.raises(LabError, match="251 free addresses, not 252"):
        fill(region, [study.public[1].id], 252, scattered=False)


def test_scattered_free_addresses_leave_no_whole_prefix() -> None:
    region, study = study_region()
    subnet = study.public[0].id
    fill(region, [subnet], 40, scattered=True)
    assert region.free_addresses(subnet) == 40
    with pytest.raises(ApiError, match="InsufficientCidrBlocks"):
        region.create_network_interface(subnet, wanted=Wanted(prefix_count=1))
    assert len(region.create_network_interface(subnet, wanted=Wanted(count=9)).secondary) == 9
    with pytest.raises(LabError, match="whole free /28"):
        fill(region, [study.public[1].id], 245, scattered=True)


def test_what_is_taken_behind_the_agent_is_what_no_pod_has() -> None:
    region, study = study_region(Region(delays=AT_ONCE))
    node = launch_node(region, study, 0).id
    eni = region.create_network_interface(study.public[0].id, wanted=Wanted(prefix_count=1))
    region.attach_network_interface(eni.id, node, 1)
    region.assign_private_ip_addresses(eni.id, Wanted(count=2))
    eni = region.eni(eni.id)
    in_use = {eni.secondary[1], eni.prefixes[0].network_address + 3}

    def unassign(*addresses: str, count: int = 1) -> str:
        return behind(region, node, "unassign", eni=None, addresses=addresses, count=count, in_use=in_use)

    assert unassign() == f"unassigned {eni.secondary[0]} from {eni.id}"
    with pytest.raises(LabError, match="only 0 addresses"):
        unassign()
    assert unassign(str(eni.prefixes[0])) == f"unassigned {eni.prefixes[0]} from {eni.id}"
    with pytest.raises(LabError, match="not on an ENI"):
        unassign(str(eni.prefixes[0]))
    with pytest.raises(LabError, match="an address or a /28"):
        unassign("nonsense")
    assert behind(region, node, "delete", eni="eth1", addresses=(), count=1, in_use=()).endswith(eni.id)
    assert eni.id not in region.enis


def test_an_eni_attached_by_hand_takes_the_next_index_and_leaves_nothing_if_it_may_not() -> None:
    region, study = study_region(Region(delays=AT_ONCE))
    node = launch_node(region, study, 0, "t3.small").id
    for index in (1, 2):
        said = behind(region, node, "attach", eni=None, addresses=(), count=1, in_use=())
        assert said.endswith(f"is being attached as eth{index}")
    enis = set(region.enis)
    with pytest.raises(LabError, match="AttachmentLimitExceeded"):
        behind(region, node, "attach", eni=None, addresses=(), count=1, in_use=())
    assert set(region.enis) == enis


def test_so_many_at_a_time_and_each_problem_with_its_name() -> None:
    running, most = 0, 0

    async def one(name: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        if name in {"b", "d"}:
            raise LabError(f"pod default/{name} on node1: 2 of 2 ENIs, {ord(name)} cooling")

    done = asyncio.run(in_parallel(list("abcde"), 2, one))
    assert most == 2
    told = report(done, 1.0)
    assert (told["asked"], told["done"], set(told["failed"])) == (5, 3, {"b", "d"})
    assert list(told["reasons"].values()) == [2], "they differ in a number only"
    assert report([], 0.0)["p50"] is None


@pytest.mark.parametrize(("part", "value"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_quantiles_are_values_that_were_seen(part: float, value: int) -> None:
    assert quantile(range(1, 101), part) == value
