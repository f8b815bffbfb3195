from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from tests.region.conftest import World, refused

from vpclab.region import Region


@pytest.mark.parametrize("cidr", ["10.0.0.0/15", "10.0.0.0/29"])
def test_vpcs_have_a_size(cidr: str) -> None:
    with refused("InvalidVpc.Range"):
        Region().create_vpc(IPv4Network(cidr))


@pytest.mark.parametrize(
    ("cidr", "code"),
    [
        ("10.1.0.0/24", "InvalidSubnet.Range"),
        ("10.0.9.0/29", "InvalidSubnet.Range"),
        ("10.0.1.128/25", "InvalidSubnet.Conflict"),
    ],
)
def test_subnets_lie_in_the_vpc_beside_each_other(world: World, cidr: str, code: str) -> None:
    with refused(code):
        world.region.create_subnet(world.vpc, world.region.zones[0], IPv4Network(cidr))


def test_a_second_cidr_gives_room(world: World) -> None:
    world.region.associate_vpc_cidr(world.vpc, IPv4Network("100.64.0.0/16"))
    world.region.create_subnet(world.vpc, world.region.zones[0], IPv4Network("100.64.0.0/24"))
    with refused("InvalidVpc.Range"):
        world.region.associate_vpc_cidr(world.vpc, IPv4Network("100.64.1.0/24"))


def test_zones_are_the_region_s(world: World) -> None:
    with refused("InvalidParameterValue", "ap-northeast-2a, ap-northeast-2b"):
        world.region.create_subnet(world.vpc, "mars-1a", IPv4Network("10.0.9.0/24"))


def test_a_vpc_has_one_gateway(world: World) -> None:
    assert world.region.internet_gateway_of(world.vpc) is None
    gateway = world.region.create_internet_gateway(world.vpc)
    assert world.region.internet_gateway_of(world.vpc) == gateway
    with refused("Resource.AlreadyAssociated", gateway.id):
        world.region.create_internet_gateway(world.vpc)


def test_unknown_vpcs_are_named(world: World) -> None:
    with refused("InvalidVpcID.NotFound", "'vpc-x'"):
        world.region.create_internet_gateway("vpc-x")
    with refused("InvalidVpcID.NotFound", "'vpc-x'"):
        world.region.create_security_group("vpc-x", "g")


def test_tags_come_and_go_and_all_or_nothing_is_written(world: World) -> None:
    region = world.region
    region.create_tags([world.vpc, world.subnet], {"a": "1", "b": "2"})
    region.delete_tags([world.subnet], {"a": None, "b": "other"})
    assert (dict(region.vpc(world.vpc).tags), dict(region.subnet(world.subnet).tags)) == (
        {"a": "1", "b": "2"},
        {"b": "2"},
    )
    with refused("InvalidNetworkInterfaceID.NotFound"):
        region.create_tags([world.subnet, "eni-x"], {"c": "3"})
    with refused("TagLimitExceeded"):
        region.create_tags([world.subnet], {str(n): "" for n in range(50)})
    assert dict(region.subnet(world.subnet).tags) == {"b": "2"}
    region.delete_tags([world.subnet], {})
    assert dict(region.subnet(world.subnet).tags) == {}
