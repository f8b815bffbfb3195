"""A region that is rebuilt from what was kept of it goes on as if nothing had been."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vpclab.region import Delays, Region, Wanted
from vpclab.region.reservations import ReservationType
from vpclab.region.state import RegionState, dump, load
from vpclab.region.values import (
    ApiError,
    AttachmentStatus,
    NetworkInterface,
    SecurityGroupRule,
)


def again(region: Region) -> Region:
    kept = load(dump(region.state))
    assert isinstance(kept, RegionState)
    return Region(state=kept)


def a_region() -> Region:
    delays = Delays(
        attach=(5.0, 9.0), detach=(2.0, 3.0), launch=(4.0, 4.0), imds=(1.0, 2.0), stale=(3.0, 3.0)
    )
    region = Region(seed=3, now=100.0, delays=delays)
    vpc = region.create_vpc(IPv4Network("10.0.0.0/16"), tags={"Name": "v"})
    gateway = region.create_internet_gateway(vpc.id)
    subnet = region.create_subnet(vpc.id, "ap-northeast-2a", IPv4Network("10.0.1.0/24"))
    table = region.create_route_table(vpc.id)
    region.create_route(table.id, IPv4Network("0.0.0.0/0"), gateway.id)
    region.associate_route_table(table.id, subnet.id)
    group = region.create_security_group(vpc.id, "nodes", "of nodes")
    region.authorize_ingress(group.id, [SecurityGroupRule(cidr=IPv4Network("10.0.0.0/16"))])
    region.create_subnet_cidr_reservation(subnet.id, IPv4Network("10.0.1.128/26"), ReservationType.PREFIX)
    instance = region.run_instance("t3.medium", subnet.id, groups=(group.id,))
    eni = region.create_network_interface(subnet.id, wanted=Wanted(prefix_count=1))
    region.attach_network_interface(eni.id, instance.id, 1)
    return region


def everything(region: Region) -> dict[str, Any]:
    return {
        "vpcs": dict(region.vpcs), "subnets": dict(region.subnets), "enis": dict(region.enis), "groups": dict(region.groups),
        "instances": dict(region.instances), "tables": dict(region.route_tables), "now": region.now, "due": region.next_due(),
        "free": {one: region.free_addresses(one) for one in region.subnets},
    }  # fmt: skip


def test_it_is_the_same_and_what_was_under_way_completes_in_its_time() -> None:
    region = a_region()
    kept = again(region)
    assert everything(kept) == everything(region)
    for one in (region, kept):
        [eni] = [eni for eni in one.enis.values() if eni.prefixes]
        assert eni.attachment is not None
        assert eni.attachment.status is AttachmentStatus.ATTACHING
        one.advance(110.0)
        attached = one.eni(eni.id).attachment
        assert attached is not None
        assert attached.status is AttachmentStatus.ATTACHED
    assert everything(kept) == everything(region)
    assert kept.metadata_enis(next(iter(kept.instances)), 111.0) == region.metadata_enis(
        next(iter(region.instances)), 111.0
    )


def test_the_two_are_two() -> None:
    region = a_region()
    kept = again(region)
    kept.create_vpc(IPv4Network("10.9.0.0/16"))
    assert len(kept.vpcs) == len(region.vpcs) + 1


def _detach(region: Region, number: int) -> Any:
    attachment = _eni(region, number).attachment
    return None if attachment is None else region.detach_network_interface(attachment.id)


def _eni(region: Region, number: int) -> NetworkInterface:
    return list(region.enis.values())[number % len(region.enis)]


def _instance(region: Region, number: int) -> str:
    return list(region.instances)[number % len(region.instances)]


STEPS: dict[str, Callable[[Region, int], Any]] = {
    "vpc": lambda region, n: region.create_vpc(IPv4Network((10 << 24 | (n % 200) << 16, 16))),
    "eni": lambda region, n: region.create_network_interface(
        list(region.subnets)[n % len(region.subnets)], wanted=Wanted(count=n % 4)
    ),
    "assign": lambda region, n: region.assign_private_ip_addresses(_eni(region, n).id, Wanted(count=1)),
    "detach": _detach,
    "delete": lambda region, n: region.delete_network_interface(_eni(region, n).id),
    "stop": lambda region, n: region.stop_instance(_instance(region, n)),
    "start": lambda region, n: region.start_instance(_instance(region, n)),
    "terminate": lambda region, n: region.terminate_instance(_instance(region, n)),
    "tag": lambda region, n: region.create_tags([_eni(region, n).id], {"n": str(n)}),
    "wait": lambda region, n: region.advance(region.now + n),
}


def do(region: Region, step: str, number: int) -> Any:
    """Something that may be refused; what came of it."""
    if not (region.enis and region.instances):
        return None
    try:
        return STEPS[step](region, number)
    except ApiError as error:
        return str(error)


@given(
    st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 50)), max_size=30), st.integers(0, 30)
)
def test_from_then_on_both_answer_the_same(story: list[tuple[str, int]], kept_after: int) -> None:
    region = a_region()
    for step, number in story[:kept_after]:
        do(region, step, number)
    kept = again(region)
    for step, number in story[kept_after:]:
        assert do(kept, step, number) == do(region, step, number)
    assert everything(kept) == everything(region)
