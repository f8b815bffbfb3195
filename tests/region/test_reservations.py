from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.region.conftest import World, make_world, refused

from vpclab.region import Wanted
from vpclab.region.addresses import AddressSpace
from vpclab.region.reservations import ReservationType

PREFIX, EXPLICIT = ReservationType.PREFIX, ReservationType.EXPLICIT


def test_a_range_for_prefixes_gives_prefixes_first_and_no_single_address(world: World) -> None:
    region = world.region
    region.create_subnet_cidr_reservation(world.subnet, IPv4Network("10.0.1.128/26"), PREFIX)
    eni = region.create_network_interface(world.subnet, wanted=Wanted(prefix_count=1))
    assert eni.prefixes == (IPv4Network("10.0.1.128/28"),)
    more = region.assign_private_ip_addresses(eni.id, Wanted(prefix_count=4))
    assert more.prefixes[:3] == tuple(map(IPv4Network, ("10.0.1.144/28", "10.0.1.160/28", "10.0.1.176/28")))
    assert not more.prefixes[3].subnet_of(IPv4Network("10.0.1.128/26"))
    with refused("InvalidParameterValue", "10.0.1.130"):
        region.assign_private_ip_addresses(eni.id, Wanted(addresses=(IPv4Address("10.0.1.130"),)))
    region.unassign_private_ip_addresses(eni.id, prefixes=(IPv4Network("10.0.1.144/28"),))
    again = region.assign_private_ip_addresses(eni.id, Wanted(prefixes=(IPv4Network("10.0.1.144/28"),)))
    assert again.prefixes == (IPv4Network("10.0.1.144/28"),)


def test_an_explicit_range_gives_only_what_is_named(world: World) -> None:
    region = world.region
    region.create_subnet_cidr_reservation(world.tiny, IPv4Network("10.0.3.8/29"), EXPLICIT)
    eni = region.create_network_interface(world.tiny, wanted=Wanted(count=3))
    assert {int(a) & 15 for a in (eni.primary, *eni.secondary)} == {4, 5, 6, 7}
    assert region.free_addresses(world.tiny) == 7
    with refused("InsufficientFreeAddressesInSubnet"):
        region.assign_private_ip_addresses(eni.id, Wanted(count=1))
    with refused("InsufficientFreeAddressesInSubnet"):
        region.create_network_interface(world.tiny)
    named = region.create_network_interface(world.tiny, private_ip=IPv4Address("10.0.3.9"))
    assert named.primary == IPv4Address("10.0.3.9")
    with refused("InvalidParameterValue", "sufficient"):
        region.create_network_interface(
            world.tiny, private_ip=IPv4Address("10.0.3.10"), wanted=Wanted(count=1)
        )


def test_a_reservation_that_is_deleted_leaves_an_ordinary_subnet(world: World) -> None:
    region = world.region
    made = region.create_subnet_cidr_reservation(world.tiny, IPv4Network("10.0.3.8/29"), EXPLICIT)
    assert region.subnet_cidr_reservations(world.tiny) == (made,)
    assert region.delete_subnet_cidr_reservation(made.id) == made
    assert len(region.create_network_interface(world.tiny, wanted=Wanted(count=10)).secondary) == 10
    with refused("InvalidSubnetCidrReservationID.NotFound", made.id):
        region.delete_subnet_cidr_reservation(made.id)


def test_reservations_lie_in_the_subnet_beside_each_other(world: World) -> None:
    region = world.region
    region.create_subnet_cidr_reservation(world.subnet, IPv4Network("10.0.1.128/25"), PREFIX)
    for cidr, kind, says in (
        ("10.0.2.0/28", PREFIX, "not within"),
        ("10.0.1.0/29", PREFIX, "too small"),
        ("10.0.1.192/32", EXPLICIT, "overlaps"),
    ):
        with refused("InvalidParameterValue", says):
            region.create_subnet_cidr_reservation(world.subnet, IPv4Network(cidr), kind)
    with refused("InvalidSubnetID.NotFound"):
        region.create_subnet_cidr_reservation("subnet-x", IPv4Network("10.0.1.0/28"), PREFIX)


def test_a_subnet_leaves_when_it_is_empty_and_its_reservations_with_it(world: World) -> None:
    region = world.region
    made = region.create_subnet_cidr_reservation(world.tiny, IPv4Network("10.0.3.0/28"), EXPLICIT)
    eni = region.create_network_interface(world.tiny, private_ip=IPv4Address("10.0.3.4"))
    with refused("DependencyViolation", world.tiny):
        region.delete_subnet(world.tiny)
    region.delete_network_interface(eni.id)
    assert region.delete_subnet(world.tiny).id == world.tiny
    assert world.tiny not in region.subnets
    with refused("InvalidSubnetCidrReservationID.NotFound"):
        region.delete_subnet_cidr_reservation(made.id)
    with refused("InvalidSubnetID.NotFound"):
        region.delete_subnet(world.tiny)


def test_a_second_cidr_leaves_when_no_subnet_is_in_it(world: World) -> None:
    region = world.region
    for number in range(4):
        region.associate_vpc_cidr(world.vpc, IPv4Network((f"100.6{number}.0.0", 16)))
    with refused("CidrLimitExceeded", "5"):
        region.associate_vpc_cidr(world.vpc, IPv4Network("100.70.0.0/16"))
    subnet = region.create_subnet(world.vpc, region.zones[0], IPv4Network("100.60.1.0/24"))
    with refused("InvalidCidrBlock.InUse"):
        region.disassociate_vpc_cidr(world.vpc, IPv4Network("100.60.0.0/16"))
    with refused("OperationNotPermitted", "primary"):
        region.disassociate_vpc_cidr(world.vpc, IPv4Network("10.0.0.0/16"))
    region.delete_subnet(subnet.id)
    assert len(region.disassociate_vpc_cidr(world.vpc, IPv4Network("100.60.0.0/16")).cidrs) == 4
    with refused("InvalidVpcCidrBlockAssociationID.NotFound"):
        region.disassociate_vpc_cidr(world.vpc, IPv4Network("100.60.0.0/16"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["prefix", "explicit", "lift", "one", "block", "back"]), max_size=40))
def test_whatever_is_reserved_and_taken_the_counts_are_those_of_the_addresses(steps: list[str]) -> None:
    space = AddressSpace(IPv4Network("10.0.0.0/25"))
    reserved: dict[IPv4Network, bool] = {}
    taken: list[IPv4Network] = []
    for number, step in enumerate(steps):
        block = IPv4Network((int(space.cidr.network_address) + 16 * (number % 8), 28))
        if step in {"prefix", "explicit"}:
            part = block if step == "prefix" else next(block.subnets(new_prefix=30))
            if not any(part.overlaps(other) for other in reserved):
                reserved[part] = step == "prefix"
                space.reserve(reserved)
        elif step == "lift" and reserved:
            del reserved[next(iter(reserved))]
            space.reserve(reserved)
        elif step == "one" and space.free_to_choose:
            taken += map(IPv4Network, space.take_lowest(1))
            assert not any(taken[-1].subnet_of(each) for each in reserved)
        elif step == "block" and space.free_prefixes:
            before = space.free_prefixes
            taken += space.take_lowest_prefixes(1)
            assert not any(taken[-1].overlaps(each) for each, kind in reserved.items() if not kind)
            assert space.free_prefixes == before - 1
        elif step == "back" and taken:
            space.release([taken.pop(0)])
        _counts(space, reserved)


def _counts(space: AddressSpace, reserved: dict[IPv4Network, bool]) -> None:
    free = [a for a in space.cidr if space.is_free(IPv4Network(a))]
    assert space.free == len(free)
    kept = [each for each in reserved if not reserved[each]]
    assert space.free_to_choose == sum(not any(a in each for each in reserved) for a in free)
    blocks = space.cidr.subnets(new_prefix=28)
    whole = [b for b in blocks if space.is_free(b) and not any(b.overlaps(each) for each in kept)]
    assert space.free_prefixes == len(whole)


def test_addresses_taken_before_a_reservation_come_back_into_it() -> None:
    world = make_world()
    eni = world.region.create_network_interface(world.tiny, wanted=Wanted(count=3))
    world.region.create_subnet_cidr_reservation(world.tiny, IPv4Network("10.0.3.0/29"), EXPLICIT)
    world.region.delete_network_interface(eni.id)
    assert int(world.region.create_network_interface(world.tiny).primary) & 15 == 8
