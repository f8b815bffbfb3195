"""VPCs and internet gateways come and go; what depends on them holds them."""

from ipaddress import IPv4Network

import pytest

from vpclab.region import ApiError, Region
from vpclab.region.study import ANYWHERE

CIDR = IPv4Network("192.168.0.0/16")


def refused(code: str) -> "pytest.RaisesExc[ApiError]":
    return pytest.raises(ApiError, match=f"^{code}:")


def test_a_gateway_is_attached_and_detached() -> None:
    region = Region()
    vpc = region.create_vpc(CIDR)
    gateway = region.create_internet_gateway()
    assert gateway.vpc_id == ""
    table = region.create_route_table(vpc.id)
    with refused("InvalidParameterValue"):
        region.create_route(table.id, ANYWHERE, gateway.id)
    region.attach_internet_gateway(gateway.id, vpc.id)
    with refused("Resource.AlreadyAssociated"):
        region.attach_internet_gateway(gateway.id, vpc.id)
    with refused("Resource.AlreadyAssociated"):
        region.attach_internet_gateway(region.create_internet_gateway().id, vpc.id)
    subnet = region.create_subnet(vpc.id, region.zones[0], IPv4Network("192.168.1.0/24"))
    region.associate_route_table(table.id, subnet.id)
    region.create_route(table.id, ANYWHERE, gateway.id)
    assert region.subnet(subnet.id).public
    instance = region.run_instance("t3.small", subnet.id, associate_public_ip=True)
    with refused("DependencyViolation"):
        region.detach_internet_gateway(gateway.id, vpc.id)
    with refused("DependencyViolation"):
        region.delete_internet_gateway(gateway.id)
    region.terminate_instance(instance.id)
    region.advance(10)
    with refused("Gateway.NotAttached"):
        region.detach_internet_gateway(gateway.id, "vpc-other")
    region.detach_internet_gateway(gateway.id, vpc.id)
    assert not region.subnet(subnet.id).public, "the route is a black hole"
    region.delete_internet_gateway(gateway.id)
    with refused("InvalidInternetGatewayID.NotFound"):
        region.delete_internet_gateway(gateway.id)


def test_a_vpc_goes_when_nothing_is_in_it() -> None:
    region = Region()
    vpc = region.create_vpc(CIDR)
    subnet = region.create_subnet(vpc.id, region.zones[0], IPv4Network("192.168.1.0/24"))
    group = region.create_security_group(vpc.id, "a", "a")
    table = region.create_route_table(vpc.id)
    gateway = region.create_internet_gateway(vpc.id)
    other = region.create_vpc(IPv4Network("10.0.0.0/16"))
    peering = region.create_peering(vpc.id, other.id)
    for held_by in (
        lambda: region.delete_subnet(subnet.id),
        lambda: region.delete_security_group(group.id),
        lambda: region.delete_route_table(table.id),
        lambda: region.detach_internet_gateway(gateway.id, vpc.id),
        lambda: region.delete_peering(peering.id),
    ):
        with refused("DependencyViolation"):
            region.delete_vpc(vpc.id)
        held_by()
    region.delete_vpc(vpc.id)
    assert list(region.vpcs) == [other.id]
    assert {one.vpc_id for one in region.route_tables.values()} == {other.id}
    assert {one.vpc_id for one in region.groups.values()} == {other.id}
    with refused("InvalidVpcID.NotFound"):
        region.delete_vpc(vpc.id)
