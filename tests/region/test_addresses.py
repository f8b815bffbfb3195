from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpclab.region.addresses import AddressSpace

CIDR = IPv4Network("10.0.0.0/25")
RESERVED = {CIDR[0], CIDR[1], CIDR[2], CIDR[3], CIDR[-1]}


@pytest.mark.parametrize(
    ("length", "free", "prefixes"), [(28, 11, 0), (27, 27, 0), (26, 59, 2), (24, 251, 14), (16, 65531, 4094)]
)
def test_a_fresh_subnet_has_awss_count(length: int, free: int, prefixes: int) -> None:
    space = AddressSpace(IPv4Network(("10.0.0.0", length)))
    assert (space.free, space.free_prefixes) == (free, prefixes)


def test_a_subnet_smaller_than_a_28_does_not_exist() -> None:
    with pytest.raises(ValueError, match="/29 is smaller"):
        AddressSpace(IPv4Network("10.0.0.0/29"))


def test_the_lowest_free_address_comes_first_and_comes_again_after_release() -> None:
    space = AddressSpace(CIDR)
    assert [str(a) for a in space.take_lowest(3)] == ["10.0.0.4", "10.0.0.5", "10.0.0.6"]
    space.release([IPv4Network("10.0.0.5/32")])
    assert [str(a) for a in space.take_lowest(2)] == ["10.0.0.5", "10.0.0.7"]


def test_one_used_address_spoils_its_prefix_until_it_is_released() -> None:
    space = AddressSpace(CIDR)
    space.take(IPv4Network("10.0.0.20/32"))
    assert space.take_lowest_prefixes(1) == (IPv4Network("10.0.0.32/28"),)
    space.release([IPv4Network("10.0.0.20/32")])
    assert space.take_lowest_prefixes(1) == (IPv4Network("10.0.0.16/28"),)


def test_what_is_not_there_is_not_taken_in_part() -> None:
    space = AddressSpace(CIDR)
    for take in (lambda: space.take_lowest(124), lambda: space.take_lowest_prefixes(7)):
        with pytest.raises(ValueError, match="free"):
            take()
    assert (space.free, space.free_prefixes) == (123, 6)


@pytest.mark.parametrize(
    "network", ["10.0.0.0/32", "10.0.0.127/32", "10.0.0.0/28", "10.0.0.50/32", "10.0.1.0/32"]
)
def test_reserved_free_and_foreign_addresses_cannot_be_released(network: str) -> None:
    with pytest.raises(ValueError, match="not assigned"):
        AddressSpace(CIDR).release([IPv4Network(network)])


networks = st.one_of(
    st.integers(0, 127).map(lambda n: IPv4Network(CIDR[n])),
    st.integers(0, 7).map(lambda n: IPv4Network((int(CIDR[0]) + 16 * n, 28))),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), networks),
        st.tuples(st.just("release"), st.integers(0, 200)),
        st.tuples(st.just("lowest"), st.integers(0, 20)),
        st.tuples(st.just("prefixes"), st.integers(0, 3)),
    ),
    max_size=40,
)


@given(steps)
def test_it_is_a_set_of_addresses(plan: list[tuple[str, object]]) -> None:
    space = AddressSpace(CIDR)
    taken: list[IPv4Network] = []

    def used() -> set[IPv4Address]:
        return {address for network in taken for address in network}

    for verb, what in plan:
        free = set(CIDR) - RESERVED - used()
        whole = [b for b in CIDR.subnets(new_prefix=28) if set(b) <= free]
        assert (space.free, space.free_prefixes) == (len(free), len(whole))
        if isinstance(what, IPv4Network):
            assert space.is_free(what) == (set(what) <= free)
            if space.is_free(what):
                space.take(what)
                taken.append(what)
        elif isinstance(what, int) and verb == "release" and taken:
            space.release([taken.pop(what % len(taken))])
        elif isinstance(what, int) and verb == "lowest" and what <= len(free):
            got = space.take_lowest(what)
            assert list(got) == sorted(free)[:what]
            taken += map(IPv4Network, got)
        elif isinstance(what, int) and verb == "prefixes" and what <= len(whole):
            assert list(space.take_lowest_prefixes(what)) == whole[:what]
            taken += whole[:what]
