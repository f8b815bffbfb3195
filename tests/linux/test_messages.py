"""Messages as the kernel's headers say they are, byte for byte; what is packed is read back the same."""

import errno
import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from vpccni.linux.addresses import Neighbour, put_address, put_neighbour
from vpccni.linux.links import add_veth, add_vlan, delete_group, parse_link, set_link
from vpccni.linux.routes import Route, Scope, parse_route, put_route
from vpccni.linux.rtnl import attribute, attributes
from vpccni.linux.rules import Listed, Rule, add_rule, delete_rule, parse_rule

tables = st.integers(1, 0xFFFFFFFF)
hosts = st.builds(IPv4Address, st.integers(1, 0xFFFFFFFF))
networks = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False), hosts, st.integers(1, 32)
)


def test_attributes_are_padded_to_four_bytes_but_say_their_own_length() -> None:
    packed = attribute(3, b"eth0\0")
    assert packed == struct.pack("=HH", 9, 3) + b"eth0\0\0\0\0"
    assert attributes(packed + attribute(4, b"\x01\0\0\0")) == {3: b"eth0\0", 4: b"\x01\0\0\0"}


@given(st.binary(max_size=80))
def test_no_bytes_make_the_reader_of_attributes_fail_or_hang(noise: bytes) -> None:
    for value in attributes(noise).values():
        assert value in noise


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_attributes_are_read_back(values: dict[int, bytes]) -> None:
    assert attributes(b"".join(attribute(kind, value) for kind, value in values.items())) == values


def test_a_pods_rule_is_these_bytes() -> None:
    request = add_rule(Rule(1536, 2, source=IPv4Network("10.0.0.5/32")))
    assert (request.kind, request.flags, request.fine) == (32, 0x600, (errno.EEXIST,))
    assert request.body == bytes([2, 0, 32, 0, 2, 0, 0, 1, 0, 0, 0, 0]) + b"".join(
        [
            attribute(2, bytes([10, 0, 0, 5])),
            attribute(6, struct.pack("=I", 1536)),
            attribute(15, struct.pack("=I", 2)),
        ]
    )


@given(st.integers(1, 32767), tables, st.none() | networks, st.none() | networks, st.none() | tables)
def test_a_rule_is_read_as_it_was_written(
    priority: int, table: int, source: IPv4Network | None, destination: IPv4Network | None, mark: int | None
) -> None:
    rule = Rule(priority, table, source, destination, mark, mark)
    assert parse_rule(add_rule(rule).body) == Listed(rule, whole=True)


def test_a_rule_with_more_than_we_can_say_is_somebody_elses() -> None:
    body = add_rule(Rule(512, 254, destination=IPv4Network("10.0.0.5/32"))).body
    incoming_device = attribute(3, b"lo\0")
    inverted = body[:8] + struct.pack("=I", 2) + body[12:]
    type_of_service = body[:3] + b"\x10" + body[4:]
    suppressed = body + attribute(14, struct.pack("=I", 0))
    unreachable = body[:7] + b"\x07" + body[8:]
    for other in (body + incoming_device, inverted, type_of_service, suppressed, unreachable):
        assert not parse_rule(other).whole
    assert parse_rule(body + attribute(14, b"\xff\xff\xff\xff") + attribute(21, b"\0")).whole


def test_a_deletion_answers_to_whatever_has_its_selectors() -> None:
    asked = Rule(1024, 254, mark=0x80, mask=0x80)
    narrower = Rule(1024, 254, source=IPv4Network("10.0.0.1/32"), mark=0x80, mask=0x80)
    assert Listed(asked, whole=True).answers_to(asked)
    assert Listed(narrower, whole=True).answers_to(asked)
    assert not Listed(asked, whole=True).answers_to(narrower)
    assert not Listed(Rule(1023, 254, mark=0x80, mask=0x80), whole=True).answers_to(asked)
    assert not Listed(Rule(1024, 254, mark=0x80, mask=0xFF), whole=True).answers_to(asked)
    assert Listed(Rule(7, 9), whole=True).answers_to(Rule(7, 0))
    assert b"\x08\x00\x0f\x00" not in delete_rule(Rule(7, 0)).body  # any table: the attribute is left out


@given(st.none() | networks, tables, st.integers(1, 1 << 30), st.none() | hosts, st.sampled_from(Scope))
def test_a_route_is_read_as_it_was_written(
    destination: IPv4Network | None, table: int, index: int, gateway: IPv4Address | None, scope: Scope
) -> None:
    route = Route(destination, table, index, gateway, scope)
    assert parse_route(put_route(route).body) == route


def test_a_blackhole_is_not_one_of_our_routes() -> None:
    body = put_route(Route(None, 254, 1)).body
    assert parse_route(body[:7] + b"\x06" + body[8:]) is None


def test_a_veth_is_asked_for_with_its_peer_in_the_other_namespace() -> None:
    request = add_veth("enib5faff8a083", bytes(range(2, 8)), 9001, peer="eth0", peer_netns=7, peer_mtu=1500)
    outer = attributes(request.body[16:])
    assert (outer[3], outer[1], outer[4]) == (
        b"enib5faff8a083\0",
        bytes(range(2, 8)),
        struct.pack("=I", 9001),
    )
    info = attributes(outer[18])
    assert info[1] == b"veth"
    peer = attributes(info[2])[1]
    assert peer[:16] == bytes(16)  # down: a peer made up is refused
    inner = attributes(peer[16:])
    assert (inner[3], inner[4], inner[28]) == (b"eth0\0", struct.pack("=I", 1500), struct.pack("=I", 7))


def test_a_device_is_changed_only_in_what_is_asked() -> None:
    assert set_link(5, mtu=1500).body[8:16] == bytes(8)  # no flags, no change of flags
    assert set_link(5, up=True).body[8:16] == struct.pack("=II", 1, 1)
    assert set_link(5, up=False).body[8:16] == struct.pack("=II", 0, 1)
    link = parse_link(set_link(5, up=True, mtu=1500, name="x", group=9).body)
    assert (link.index, link.name, link.mtu, link.up, link.group) == (5, "x", 1500, True, 9)


def test_a_group_is_deleted_by_its_number_alone() -> None:
    assert delete_group(9).body == bytes(16) + attribute(27, struct.pack("=I", 9))


def test_an_address_may_come_without_the_subnets_route() -> None:
    with_route = put_address(3, IPv4Interface("10.0.0.5/24")).body
    without = put_address(3, IPv4Interface("10.0.0.5/24"), adds_route=False).body
    assert with_route[:8] == without[:8] == bytes([2, 24, 0, 0, 3, 0, 0, 0])
    assert attributes(with_route[8:])[8] == bytes(4)
    assert attributes(without[8:])[8] == struct.pack("=I", 0x200)


def test_a_neighbour_is_permanent() -> None:
    body = put_neighbour(Neighbour(3, IPv4Address("169.254.1.1"), "02:00:00:00:00:0a")).body
    assert body[:12] == struct.pack("=BxxxiHBB", 2, 3, 0x80, 0, 0)
    assert attributes(body[12:]) == {1: bytes([169, 254, 1, 1]), 2: bytes([2, 0, 0, 0, 0, 10])}


def test_a_vlan_is_these_bytes() -> None:
    request = add_vlan("vlan.eth.7", "0a:00:00:00:0b:07", 3, 7)
    data = attribute(2, attribute(1, struct.pack("=H", 7)))  # IFLA_INFO_DATA: IFLA_VLAN_ID
    assert (request.kind, request.flags) == (16, 0x600)
    assert request.body == bytes(16) + b"".join(
        [
            attribute(3, b"vlan.eth.7\0"),
            attribute(1, bytes([0x0A, 0, 0, 0, 0x0B, 7])),
            attribute(5, struct.pack("=I", 3)),
            attribute(18, attribute(1, b"vlan") + data),
        ]
    )


def test_a_rule_by_device_is_read_as_it_was_written_and_is_none_of_a_pods_or_an_enis() -> None:
    rule = Rule(10, 107, by="vlan.eth.7")
    assert attribute(3, b"vlan.eth.7\0") in add_rule(rule).body
    assert parse_rule(add_rule(rule).body) == Listed(rule, whole=False)
