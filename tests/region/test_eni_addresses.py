from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.region.conftest import World, refused

from vpclab.region import Wanted

COMBINATIONS = [
    Wanted(count=1, addresses=(IPv4Address("10.0.1.50"),)),
    Wanted(count=1, prefix_count=1),
    Wanted(prefix_count=1, prefixes=(IPv4Network("10.0.1.64/28"),)),
]


def addresses(*texts: str) -> tuple[IPv4Address, ...]:
    return tuple(map(IPv4Address, texts))


def test_the_answer_has_only_what_is_new(world: World) -> None:
    eni = world.region.create_network_interface(world.subnet, wanted=Wanted(count=1))
    claimed = world.region.assign_private_ip_addresses(eni.id, Wanted(count=2))
    assert [str(a) for a in claimed.addresses] == ["10.0.1.6", "10.0.1.7"]
    assert world.region.eni(eni.id).secondary == (*eni.secondary, *claimed.addresses)


@pytest.mark.parametrize("wanted", COMBINATIONS)
def test_only_one_way_of_asking_may_be_used(world: World, wanted: Wanted) -> None:
    eni = world.region.create_network_interface(world.subnet)
    with refused("InvalidParameterCombination"):
        world.region.assign_private_ip_addresses(eni.id, wanted)
    with refused("InvalidParameterCombination"):
        world.region.create_network_interface(world.subnet, wanted=wanted)


def test_nothing_asked_is_refused(world: World) -> None:
    eni = world.region.create_network_interface(world.subnet)
    with refused("InvalidParameterCombination"):
        world.region.assign_private_ip_addresses(eni.id, Wanted())
    with refused("InvalidParameterCombination"):
        world.region.unassign_private_ip_addresses(eni.id)


def test_slots_count_addresses_and_prefixes_alike(world: World) -> None:
    instance = world.region.run_instance("t3.medium", world.subnet)
    eni = world.region.primary_eni(instance.id)
    world.region.assign_private_ip_addresses(eni.id, Wanted(count=3))
    world.region.assign_private_ip_addresses(eni.id, Wanted(prefix_count=1))
    with refused("PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit."):
        world.region.assign_private_ip_addresses(eni.id, Wanted(count=2))
    world.region.assign_private_ip_addresses(eni.id, Wanted(count=1))


def test_prefixes_need_nitro(world: World) -> None:
    eni = world.region.primary_eni(world.region.run_instance("t2.medium", world.subnet).id)
    with refused("InvalidParameterValue", "t2.medium does not support IPv4 prefixes"):
        world.region.assign_private_ip_addresses(eni.id, Wanted(prefix_count=1))


def test_a_full_subnet_says_so_in_each_call_s_own_words(world: World) -> None:
    region = world.region
    eni = region.create_network_interface(world.tiny, wanted=Wanted(count=5))  # 11 are free in a /28
    with refused("InsufficientFreeAddressesInSubnet"):
        region.assign_private_ip_addresses(eni.id, Wanted(count=6))
    with refused("InvalidParameterValue", "There aren't sufficient free Ipv4 addresses or prefixes"):
        region.create_network_interface(world.tiny, wanted=Wanted(count=5))
    region.assign_private_ip_addresses(eni.id, Wanted(count=5))
    assert region.free_addresses(world.tiny) == 0
    with refused("InsufficientFreeAddressesInSubnet"):
        region.create_network_interface(world.tiny)


def test_a_fragmented_subnet_has_addresses_but_no_prefix(world: World) -> None:
    region = world.region
    everywhere = tuple(IPv4Address("10.0.1.0") + n for n in range(16, 240, 16))
    region.create_network_interface(world.subnet, wanted=Wanted(addresses=everywhere))
    with refused("InsufficientCidrBlocks", "enough free cidr blocks"):
        region.create_network_interface(world.subnet, wanted=Wanted(prefix_count=1))
    eni = region.create_network_interface(world.subnet)
    with refused("InsufficientCidrBlocks"):
        region.assign_private_ip_addresses(eni.id, Wanted(prefix_count=1))
    assert region.free_addresses(world.subnet) == 251 - 1 - 14 - 1


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("10.0.2.9", "InvalidParameterValue", "does not fall within the subnet's address range"),
        ("10.0.1.3", "InvalidParameterValue", "reserved"),
        ("10.0.1.255", "InvalidParameterValue", "reserved"),
        ("10.0.1.4", "InvalidIPAddress.InUse", "Address 10.0.1.4 is in use."),
        ("10.0.1.20", "InvalidIPAddress.InUse", "in use"),
    ],
)
def test_an_explicit_address_must_be_free_and_in_the_subnet(
    world: World, address: str, code: str, words: str
) -> None:
    world.region.create_network_interface(
        world.subnet, wanted=Wanted(prefixes=(IPv4Network("10.0.1.16/28"),))
    )
    with refused(code, words):
        world.region.create_network_interface(world.subnet, private_ip=IPv4Address(address))
    with refused(code, words):
        world.region.create_network_interface(world.subnet, wanted=Wanted(addresses=addresses(address)))


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(addresses=addresses("10.0.1.50", "10.0.1.50")),
        Wanted(prefixes=(IPv4Network("10.0.1.64/27"),)),
        Wanted(prefixes=(IPv4Network("10.0.1.64/28"),) * 2),
        Wanted(count=-1),
    ],
)
def test_nonsense_is_refused(world: World, wanted: Wanted) -> None:
    with refused("InvalidParameterValue"):
        world.region.create_network_interface(world.subnet, wanted=wanted)


def test_the_primary_lies_in_no_prefix_of_its_own_request(world: World) -> None:
    with refused("InvalidParameterValue", "10.0.1.70"):
        world.region.create_network_interface(
            world.subnet,
            private_ip=IPv4Address("10.0.1.70"),
            wanted=Wanted(prefixes=(IPv4Network("10.0.1.64/28"),)),
        )


def test_an_address_moves_only_if_it_may(world: World) -> None:
    region = world.region
    one, other = (region.create_network_interface(world.subnet, wanted=Wanted(count=1)) for _ in range(2))
    wanted = Wanted(addresses=one.secondary)
    with refused("InvalidParameterValue", f"[{one.secondary[0]}] assigned, but move is not allowed."):
        region.assign_private_ip_addresses(other.id, wanted)
    free = region.free_addresses(world.subnet)
    region.assign_private_ip_addresses(other.id, wanted, allow_reassignment=True)
    assert (region.eni(one.id).secondary, region.eni(other.id).secondary) == (
        (),
        other.secondary + one.secondary,
    )
    assert region.free_addresses(world.subnet) == free
    with refused("InvalidParameterValue", "move is not allowed"):
        region.assign_private_ip_addresses(
            other.id, Wanted(addresses=(one.primary,)), allow_reassignment=True
        )


def test_a_move_that_is_refused_for_another_address_moves_nothing(world: World) -> None:
    region = world.region
    one, other = (region.create_network_interface(world.subnet, wanted=Wanted(count=1)) for _ in range(2))
    wanted = Wanted(addresses=(*one.secondary, IPv4Address("10.0.1.3")))
    with refused("InvalidParameterValue", "reserved"):
        region.assign_private_ip_addresses(other.id, wanted, allow_reassignment=True)
    assert region.eni(one.id).secondary == one.secondary


def test_what_is_given_back_is_free_again(world: World) -> None:
    region = world.region
    eni = region.create_network_interface(world.subnet, wanted=Wanted(count=2))
    region.assign_private_ip_addresses(eni.id, Wanted(prefix_count=1))
    before = region.eni(eni.id)
    region.unassign_private_ip_addresses(eni.id, addresses=before.secondary[:1], prefixes=before.prefixes)
    after = region.eni(eni.id)
    assert (after.secondary, after.prefixes) == (before.secondary[1:], ())
    assert region.free_addresses(world.subnet) == 251 - 2


def test_only_what_is_on_the_eni_can_be_given_back(world: World) -> None:
    eni = world.region.create_network_interface(world.subnet, wanted=Wanted(count=1))
    with refused("InvalidParameterValue", "Some of [10.0.1.99] addresses are not assigned to interface"):
        world.region.unassign_private_ip_addresses(
            eni.id, addresses=(*eni.secondary, IPv4Address("10.0.1.99"))
        )
    with refused("InvalidParameterValue", "primary"):
        world.region.unassign_private_ip_addresses(eni.id, addresses=(eni.primary,))
    assert world.region.eni(eni.id) == eni
