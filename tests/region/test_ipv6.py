"""IPv6 of a VPC: blocks, ENIs' addresses and prefixes with their accounting, egress-only gateways, what IMDS says."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.region.conftest import World, refused

from vpclab.region import (
    Region,
    SecurityGroupRule,
    Wanted6,
    dual_stack,
    imds_document,
    launch_node,
    study_region,
)
from vpclab.region.ipv6_space import BLOCKS, Ipv6Space
from vpclab.region.routing import routes_of

SUBNET = IPv6Network("2001:db8:0:101::/64")
ANYWHERE = IPv6Network("::/0")


@pytest.fixture
def dual(world: World) -> World:
    """The world with IPv6 in its roomy subnet."""
    world.region.associate_vpc_ipv6(world.vpc)
    world.region.associate_subnet_ipv6(world.subnet, SUBNET)
    return world


def test_each_vpc_gets_a_block_of_its_own_and_subnets_are_cut_out_of_it(world: World) -> None:
    region = world.region
    (block,) = region.associate_vpc_ipv6(world.vpc).ipv6_cidrs
    assert (block.prefixlen, region.associate_vpc_ipv6(world.vpc).ipv6_cidrs[0]) == (56, block)
    assert region.vpc(world.vpc).ipv6_cidrs[1] != block
    with refused("InvalidSubnet.Range"):
        region.associate_subnet_ipv6(world.subnet, IPv6Network("2001:db8:ffff::/64"))
    with refused("InvalidSubnet.Range"):
        region.associate_subnet_ipv6(world.subnet, next(block.subnets(new_prefix=60)))
    first = next(block.subnets(new_prefix=64))
    assert region.associate_subnet_ipv6(world.subnet, first).ipv6_cidr == first
    with refused("InvalidSubnet.Conflict"):
        region.associate_subnet_ipv6(world.elsewhere, first)
    with refused("InvalidCidrBlock.InUse"):
        region.disassociate_vpc_ipv6(world.vpc, block)
    region.disassociate_subnet_ipv6(world.subnet)
    assert block not in region.disassociate_vpc_ipv6(world.vpc, block).ipv6_cidrs


def test_addresses_and_prefixes_of_an_eni(dual: World) -> None:
    region = dual.region
    eni = region.create_network_interface(dual.subnet, wanted6=Wanted6(count=2))
    assert [str(one) for one in eni.ipv6] == ["2001:db8:0:101::4", "2001:db8:0:101::5"]
    made = region.assign_ipv6_addresses(eni.id, Wanted6(prefix_count=1))
    assert made.prefixes == (IPv6Network("2001:db8:0:101:1::/80"),)
    inside = IPv6Address("2001:db8:0:101:1::7")
    holder = region.eni_with(dual.subnet, inside)
    assert holder is not None
    assert holder.id == eni.id
    with refused("InvalidIPAddress.InUse"):
        region.assign_ipv6_addresses(eni.id, Wanted6(addresses=(inside,)))
    with refused("InvalidParameterValue", "reserved"):
        region.assign_ipv6_addresses(eni.id, Wanted6(addresses=(IPv6Address("2001:db8:0:101::1"),)))
    with refused("InvalidParameterValue", "not a /80"):
        region.assign_ipv6_addresses(eni.id, Wanted6(prefixes=(IPv6Network("2001:db8:0:101:2::/96"),)))
    with refused("InvalidParameterCombination"):
        region.assign_ipv6_addresses(eni.id, Wanted6(count=1, prefix_count=1))
    with refused("InvalidParameterValue", "not assigned"):
        region.unassign_ipv6_addresses(eni.id, prefixes=(IPv6Network("2001:db8:0:101:9::/80"),))
    left = region.unassign_ipv6_addresses(eni.id, prefixes=made.prefixes, addresses=eni.ipv6[:1])
    assert (left.ipv6, left.ipv6_prefixes) == (eni.ipv6[1:], ())
    assert region.eni_with(dual.subnet, inside) is None
    assert region.assign_ipv6_addresses(eni.id, Wanted6(prefix_count=1)) == made
    region.delete_network_interface(eni.id)
    region.disassociate_subnet_ipv6(dual.subnet)


def test_without_ipv6_in_its_subnet_an_eni_gets_none(world: World) -> None:
    eni = world.region.create_network_interface(world.subnet)
    for wanted in (Wanted6(count=1), Wanted6(prefix_count=1)):
        with refused("InvalidParameterValue", "no IPv6 CIDR block"):
            world.region.assign_ipv6_addresses(eni.id, wanted)
        with refused("InvalidParameterValue", "no IPv6 CIDR block"):
            world.region.create_network_interface(world.subnet, wanted6=wanted)
    with refused("InvalidParameterValue", "unless the subnet"):
        world.region.modify_subnet(world.subnet, ipv6_on_creation=True)


def test_an_instance_s_type_limits_its_enis(dual: World) -> None:
    region = dual.region
    small = region.run_instance("t3.nano", dual.subnet)  # two addresses of a family
    eni = region.primary_eni(small.id).id
    region.assign_ipv6_addresses(eni, Wanted6(prefix_count=1))
    region.assign_ipv6_addresses(eni, Wanted6(count=1))
    with refused("InvalidParameterValue", "limit of 2"):
        region.assign_ipv6_addresses(eni, Wanted6(count=1))
    old = region.run_instance("t2.micro", dual.subnet)
    with refused("InvalidParameterValue", "Nitro"):
        region.assign_ipv6_addresses(region.primary_eni(old.id).id, Wanted6(prefix_count=1))


def test_new_enis_of_a_subnet_get_an_address_if_it_says_so(dual: World) -> None:
    region = dual.region
    region.modify_subnet(dual.subnet, ipv6_on_creation=True)
    assert len(region.create_network_interface(dual.subnet).ipv6) == 1
    assert len(region.create_network_interface(dual.subnet, wanted6=Wanted6(count=3)).ipv6) == 3
    beside = region.create_network_interface(dual.subnet, wanted6=Wanted6(prefix_count=1))
    assert (len(beside.ipv6), len(beside.ipv6_prefixes)) == (1, 1)
    with refused("InvalidCidrBlock.InUse", "assign-ipv6-address-on-creation"):
        region.disassociate_subnet_ipv6(dual.subnet)
    region.modify_subnet(dual.subnet, ipv6_on_creation=False)
    with refused("InvalidCidrBlock.InUse", "in use"):
        region.disassociate_subnet_ipv6(dual.subnet)


def test_routes_of_ipv6(dual: World) -> None:
    region = dual.region
    table = region.route_table_of(dual.subnet)
    (block,) = region.vpc(dual.vpc).ipv6_cidrs
    gateway = region.create_egress_only_gateway(dual.vpc)
    with refused("InvalidParameterValue", "IPv6 only"):
        region.create_route(table.id, IPv4Network("0.0.0.0/0"), gateway.id)
    with refused("InvalidParameterValue", "more specific"):
        region.create_route(table.id, SUBNET, gateway.id)
    region.create_route(table.id, ANYWHERE, gateway.id)
    routes = {str(one.destination): one.target for one in routes_of(region, region.route_table(table.id))}
    assert routes == {"10.0.0.0/16": "local", str(block): "local", "::/0": gateway.id}
    region.delete_egress_only_gateway(gateway.id)
    assert not routes_of(region, region.route_table(table.id))[-1].active
    with refused("InvalidEgressOnlyInternetGatewayId.NotFound"):
        region.delete_egress_only_gateway(gateway.id)


def test_the_study_with_ipv6() -> None:
    region, study = study_region(Region())
    study = dual_stack(region, study)
    assert [str(one.ipv6_cidr) for one in study.public] == [f"2001:db8:0:10{n}::/64" for n in (1, 2, 3)]
    public, private = (region.route_table_of(these[0].id) for these in (study.public, study.private))
    assert [r.target[:4] for r in public.routes if r.destination == ANYWHERE] == ["igw-"]
    assert [r.target[:5] for r in private.routes if r.destination == ANYWHERE] == ["eigw-"]
    bastion = region.security_group(study.bastion_group)
    assert SecurityGroupRule("icmpv6", -1, -1, cidr=ANYWHERE) in bastion.ingress
    assert SecurityGroupRule(cidr=ANYWHERE) in bastion.egress

    node = launch_node(region, study, 0)
    eni = region.primary_eni(node.id)
    region.assign_ipv6_addresses(eni.id, Wanted6(prefix_count=1))

    def says(path: str) -> str | None:
        return imds_document(region, node.id, f"meta-data/{path}", 0.0)

    of_eni = f"network/interfaces/macs/{eni.mac}"
    assert says("ipv6") == says(f"{of_eni}/ipv6s") == "2001:db8:0:101::4"
    assert says(f"{of_eni}/ipv6-prefix") == "2001:db8:0:101:1::/80"
    assert says(f"{of_eni}/subnet-ipv6-cidr-blocks") == "2001:db8:0:101::/64"
    assert says(f"{of_eni}/vpc-ipv6-cidr-blocks") == "2001:db8:0:100::/56"
    for address in ("2001:db8:0:101::4", "2001:db8:0:101:1::abc"):
        assert region.instance_at(IPv6Address(address)) == region.instance(node.id)
    region.terminate_instance(node.id)
    assert region.instance_at(IPv6Address("2001:db8:0:101::4")) is None


@given(
    st.lists(st.tuples(st.sampled_from(("address", "prefix", "give back")), st.integers(0, 5)), max_size=60)
)
def test_nothing_is_given_twice_and_everything_comes_back(steps: list[tuple[str, int]]) -> None:
    space = Ipv6Space(SUBNET)
    held: list[IPv6Network] = []
    for what, number in steps:
        if what == "give back":
            for network in held[:number]:
                space.release((network,))
            del held[:number]
            continue
        new: tuple[IPv6Network, ...] = (
            tuple(map(IPv6Network, space.take_lowest(number)))
            if what == "address"
            else space.take_lowest_prefixes(number)
        )
        assert len(new) == number
        assert not any(one.overlaps(other) for one in new for other in held)
        assert all(one.subnet_of(SUBNET) and not space.is_free(one) for one in new)
        held += new
        assert space.free_prefixes == BLOCKS - 1 - sum(one.prefixlen == 80 for one in held)
    space.release(held)
    assert space.empty
    assert space.take_lowest(1) == (SUBNET[4],)
