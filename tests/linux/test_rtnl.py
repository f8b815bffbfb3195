"""The socket: batches, refusals in words, dumps that are made again."""

import errno
import os
import socket
import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import cast

import pytest
from tests.linux.namespaces import IPV4_EVENTS, run

from vpccni.linux import rtnl
from vpccni.linux.addresses import addresses, put_address
from vpccni.linux.links import link_named, links, set_link
from vpccni.linux.routes import Route, put_route, routes
from vpccni.linux.rtnl import HEADER, Netlink, NetlinkError
from vpccni.linux.rules import Rule, add_rule, delete_rule, listing

ANSWER = 32
INTERRUPTED = 0x10


class Script:
    """A kernel that answers each dump with the next of these; it knows the sequence from what it was sent."""

    def __init__(self, *flags: int, refusal: int = 0) -> None:
        self.flags = list(flags)
        self.refusal = refusal
        self.sent = 0
        self.pending = b""

    def setsockopt(self, *_: object) -> None: ...

    def send(self, data: bytes) -> None:
        sequence = HEADER.unpack_from(data)[3]
        self.sent += 1
        flag = self.flags.pop(0)
        stray = HEADER.pack(HEADER.size, ANSWER, 0, sequence - 1, 0)  # of a request that was given up
        answer = HEADER.pack(HEADER.size + 4, ANSWER, flag, sequence, 0) + b"abcd"
        end = HEADER.pack(HEADER.size + 4, rtnl.NLMSG_DONE, flag, sequence, 0) + bytes(4)
        if self.refusal:
            end = HEADER.pack(HEADER.size + 4, rtnl.NLMSG_ERROR, 0, sequence, 0) + struct.pack(
                "=i", -self.refusal
            )
        self.pending = stray + answer + end

    def recv(self, _: int) -> bytes:
        return self.pending


def scripted(script: Script) -> Netlink:
    return Netlink(cast("socket.socket", script))


def test_a_dump_that_a_change_interrupted_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    script = Script(INTERRUPTED, INTERRUPTED, INTERRUPTED, 0)
    assert scripted(script).dump(34, b"", "list rules") == [(ANSWER, b"abcd")]
    assert script.sent == 4
    assert pauses == [0.1, 0.1]  # the second try is at once


def test_a_table_that_never_rests_is_given_up_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    script = Script(*[INTERRUPTED] * 9)
    with pytest.raises(NetlinkError, match=r"list rules: .* changed at every try"):
        scripted(script).dump(34, b"", "list rules")
    assert script.sent == 5


def test_another_refusal_of_a_dump_is_not_repeated() -> None:
    script = Script(0, 0, refusal=errno.EPERM)
    with pytest.raises(NetlinkError, match="list rules: Operation not permitted"):
        scripted(script).dump(34, b"", "list rules")
    assert script.sent == 1


@pytest.mark.kernel
def test_one_look_asks_once_and_again_after_a_change_of_its_own(host: Netlink) -> None:
    mine, theirs = Rule(700, 100), Rule(701, 101)

    def seen() -> set[Rule]:
        return {entry.rule for entry in listing(host)} & {mine, theirs}

    with host.one_look():
        assert seen() == set()
        run("ip", "rule", "add", "priority", "701", "lookup", "101")
        assert seen() == set(), "which is for the next look"
        host.run([])
        assert seen() == set(), "nothing was changed"
        host.run([add_rule(mine)])
        assert seen() == {mine, theirs}
    host.run([delete_rule(theirs)])
    assert seen() == {mine}, "outside of a look nothing is remembered"


def test_another_kind_of_socket_is_refused() -> None:
    with socket.socket(socket.AF_UNIX) as other, pytest.raises(OSError, match="not a NETLINK_ROUTE socket"):
        Netlink.from_fd(other.fileno())
    with (
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as generic,
        pytest.raises(OSError, match="not a NETLINK_ROUTE socket"),
    ):
        Netlink.from_fd(generic.fileno())


@pytest.mark.kernel
def test_the_kernels_own_words_are_in_the_error(host: Netlink) -> None:
    with pytest.raises(NetlinkError, match="set link 4711: No such device") as caught:
        host.run([set_link(4711, up=True)])
    assert caught.value.what == "set link 4711"
    assert caught.value.errno == errno.ENODEV
    with pytest.raises(
        NetlinkError, match=r"put route .*: Network is unreachable \(Nexthop has invalid gateway\)"
    ):
        host.run([put_route(Route(None, 254, 1, gateway=IPv4Address("10.9.9.9")))])


@pytest.mark.kernel
def test_a_batch_goes_on_behind_a_refusal_and_says_what_came_of_each(host: Netlink) -> None:
    wanted = [Rule(700 + number, 9) for number in range(200)]  # more than are sent at once
    bad = set_link(4711, up=True)
    outcomes = host.attempt([add_rule(wanted[0]), bad, *(add_rule(rule) for rule in wanted[1:])])
    assert [index for index, error in enumerate(outcomes) if error is not None] == [1]
    assert [entry.rule for entry in listing(host)][1:-2] == wanted
    with pytest.raises(NetlinkError, match="set link 4711"):
        host.run([bad, *(delete_rule(rule) for rule in wanted)])
    assert len(listing(host)) == 3


@pytest.mark.kernel
def test_long_listings_are_whole(host: Netlink) -> None:
    wanted = [
        Rule(700, 300 + number, source=IPv4Network((f"10.0.{number >> 8}.{number & 255}", 32)))
        for number in range(3000)
    ]
    host.run([add_rule(rule) for rule in wanted])
    assert [entry.rule for entry in listing(host) if entry.rule.priority == 700] == wanted


@pytest.mark.kernel
def test_what_there_is_not_is_none_or_empty(host: Netlink) -> None:
    assert link_named(host, "eni00000000000") is None
    assert routes(host, 4711) == []
    assert addresses(host, 1) == []  # 127.0.0.1 is for itself only
    host.run([put_address(1, IPv4Interface("10.0.0.1/24"))])
    assert addresses(host, 1) == [IPv4Interface("10.0.0.1/24")]
    assert [link.name for link in links(host)] == ["lo"]


@pytest.mark.kernel
def test_events_are_waited_for_and_missed(host: Netlink) -> None:
    with Netlink(groups=IPV4_EVENTS) as events:
        assert not events.events(0.01)
        run("ip", "addr", "add", "10.0.0.1/32", "dev", "lo")
        assert events.events(5.0)


@pytest.mark.kernel
def test_a_passed_socket_stays_its_owners(host: Netlink) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as theirs:
        with Netlink.from_fd(theirs.fileno()) as netlink:
            assert [link.name for link in links(netlink)] == ["lo"]
        os.fstat(theirs.fileno())
