"""What of the kernel's messages touches what is ours; none of them can stop the reader."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpccni.linux.links import DELLINK, IFF_UP, IFINFO, IFLA_ADDRESS, IFLA_GROUP, IFLA_IFNAME, NEWLINK, Link
from vpccni.linux.news import News, Part
from vpccni.linux.routes import DELROUTE, RTA_TABLE, RTMSG
from vpccni.linux.rtnl import HEADER, attribute
from vpccni.linux.rules import DELRULE

MAC, OTHER_MAC, OURS = "02:00:00:00:00:01", "02:00:00:00:00:09", 77
VETH = "eni0123456789a"


def news() -> News:
    made = News({MAC}, {2, 20512}, "eni", {OURS})
    made.know([Link(2, "eth0", MAC, 9001, True, 0, 0), Link(5, VETH, OTHER_MAC, 9001, True, 0, 9)])
    return made


def message(kind: int, body: bytes, port: int = 0) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, 0, 0, port) + body + b"\0" * (-len(body) % 4)


def link(index: int, name: str, mac: str, *, up: bool = True, group: int = 0) -> bytes:
    body = IFINFO.pack(0, 0, index, IFF_UP if up else 0, 0) + attribute(IFLA_IFNAME, name.encode() + b"\0")
    body += attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    return body + attribute(IFLA_GROUP, struct.pack("=I", group))


def route(table: int, length: int, family: int = socket.AF_INET) -> bytes:
    low = table if table < 256 else 252
    body = RTMSG.pack(family, length, 0, 0, low, 0, 0, 1, 0)
    return body + attribute(RTA_TABLE, struct.pack("=I", table))


def nft(kind: int, table: str, chain: str = "", family: int = socket.AF_INET) -> bytes:
    body = struct.pack("!BBH", family, 0, 0) + attribute(1, table.encode() + b"\0")
    number = 3 if kind in (3, 5) else 2
    return message(10 << 8 | kind, body + attribute(number, chain.encode() + b"\0"))


@pytest.mark.parametrize(
    ("heard", "part"),
    [
        (message(DELRULE, b""), Part.ROUTING),
        (message(DELRULE, b"", OURS), Part.NONE),
        (message(DELROUTE, route(2, 0)), Part.ROUTING),
        (message(DELROUTE, route(20512, 32)), Part.ROUTING),
        (message(DELROUTE, route(254, 32)), Part.ROUTING),
        (message(DELROUTE, route(254, 24)), Part.NONE),
        (message(DELROUTE, route(300, 32)), Part.NONE),
        (message(DELROUTE, route(255, 32)), Part.NONE),
        # of IPv6 the kernel tells only where the pods are of it
        (message(DELROUTE, route(2, 0, socket.AF_INET6)), Part.ROUTING),
        (message(DELROUTE, route(254, 128, socket.AF_INET6)), Part.ROUTING),
        (message(DELROUTE, route(254, 32, socket.AF_INET6)), Part.NONE),
        (message(DELROUTE, route(254, 32, socket.AF_UNSPEC)), Part.NONE),
        (message(NEWLINK, link(2, "eth0", MAC)), Part.ROUTING),  # its MTU is another
        (message(NEWLINK, link(2, "eth0", MAC), OURS), Part.NONE),
        (message(NEWLINK, link(2, "ens5", MAC)), Part.ROUTING | Part.NAT),
        (message(NEWLINK, link(3, "eth1", OTHER_MAC)), Part.NONE),
        (message(DELLINK, link(2, "eth0", MAC)), Part.ROUTING),
        (message(NEWLINK, link(5, "theirs", OTHER_MAC)), Part.ROUTING),
        (message(NEWLINK, link(5, VETH, OTHER_MAC)), Part.NONE),
        (message(NEWLINK, link(5, VETH, OTHER_MAC, up=False)), Part.ROUTING),
        (
            message(NEWLINK, link(6, "eniba987654321", OTHER_MAC, up=False)),
            Part.NONE,
        ),  # one that is being made
        (message(DELLINK, link(5, VETH, OTHER_MAC)), Part.NONE),
    ],
)
def test_a_message_of_routing(heard: bytes, part: Part) -> None:
    listener = news()
    listener.hear_routes(heard)
    assert listener.waits == bool(part)
    assert listener.take() == part
    assert not listener.waits


def test_a_link_that_goes_down_to_go_away_is_not_looked_for() -> None:
    listener = news()
    down = message(NEWLINK, link(5, VETH, OTHER_MAC, up=False))
    listener.hear_routes(down + message(NEWLINK, link(5, "gone5", OTHER_MAC, up=False, group=0x76706363)))
    assert not listener.waits
    listener = news()
    listener.hear_routes(down)
    listener.hear_routes(message(DELLINK, link(5, VETH, OTHER_MAC)))
    assert not listener.waits


@pytest.mark.parametrize(
    ("heard", "part"),
    [
        (nft(6, "aws-cni", "snat-mark"), Part.NAT),
        (nft(14, "vpc-cni-pods"), Part.ROUTING),
        (nft(6, "nat", "POSTROUTING"), Part.NAT),
        (nft(8, "nat", "AWS-SNAT-CHAIN-0"), Part.NAT),
        (nft(5, "nat", "AWS-SNAT-CHAIN-0"), Part.NAT),
        (nft(2, "mangle"), Part.NAT),
        (nft(6, "nat", "KUBE-SERVICES"), Part.NONE),
        (nft(6, "filter", "FORWARD"), Part.NONE),
        (nft(6, "nat", "POSTROUTING", socket.AF_INET6), Part.NONE),
        (nft(15, "nat"), Part.NONE),  # a generation
    ],
)
def test_a_message_of_nf_tables(heard: bytes, part: Part) -> None:
    listener = news()
    listener.hear_nftables(heard)
    assert listener.take() == part


def test_who_lost_messages_looks_at_everything() -> None:
    listener = news()
    listener.lost()
    assert listener.take() == Part.ROUTING | Part.NAT


@given(st.binary(max_size=64))
def test_a_length_that_leads_nowhere_ends_the_datagram(tail: bytes) -> None:
    listener = news()
    for hear in (listener.hear_routes, listener.hear_nftables):
        hear(HEADER.pack(0, 0, 0, 0, 0) + tail)
    assert not listener.waits
