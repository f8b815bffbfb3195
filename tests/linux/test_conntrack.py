"""Connections of an address that was given back are forgotten, both ways round, and nobody else's."""

import errno
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest
from tests.linux.namespaces import run

from vpccni.linux import conntrack
from vpccni.linux.conntrack import EITHER_WAY, Released, forget, forget_each
from vpccni.linux.nfnetlink import Netfilter
from vpccni.linux.rtnl import Netlink, NetlinkError

pytestmark = pytest.mark.kernel
POD = IPv4Address("10.1.0.5")


@pytest.fixture
def netfilter(host: Netlink) -> Iterator[Netfilter]:
    """Three connections of the pod's, and two of others."""
    run("nft", "add table ip x { chain c { type filter hook output priority 0; ct state new counter; }; }")
    insert("-s", "10.1.0.5", "-d", "10.9.9.9", port=1)
    insert("-s", "10.9.9.9", "-d", "10.1.0.5", port=2)
    service = ["-r", "10.1.0.5", "-q", "10.9.9.9", "--reply-port-src", "80", "--reply-port-dst", "3"]
    insert("-s", "10.9.9.9", "-d", "172.20.0.1", *service, port=3)
    insert("-s", "10.1.0.50", "-d", "10.9.9.9", port=4)
    insert("-s", "10.9.9.9", "-d", "10.1.0.6", port=5)
    with Netfilter() as made:
        yield made


def insert(*ends: str, port: int) -> None:
    run("conntrack", "-I", "-p", "udp", *ends, "--sport", str(port), "--dport", "80", "--timeout", "100")


def ports() -> list[int]:
    lines = run("conntrack", "-L").splitlines()
    return sorted(int(line.split("sport=")[1].split()[0]) for line in lines)


def test_all_of_an_address_and_nothing_else(netfilter: Netfilter) -> None:
    assert ports() == [1, 2, 3, 4, 5]
    forget(netfilter, POD)
    assert ports() == [4, 5]
    forget(netfilter, POD)
    assert ports() == [4, 5]


def test_a_kernel_that_cannot_delete_by_a_filter(netfilter: Netfilter) -> None:
    for direction in EITHER_WAY:
        forget_each(netfilter, POD, direction)
    assert ports() == [4, 5]


def test_the_older_way_is_taken_when_the_newer_is_refused(
    netfilter: Netfilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = [NetlinkError(errno.EINVAL, "filter")]
    monkeypatch.setattr(netfilter, "attempt", lambda _: refused)
    doomed: list[int] = []
    monkeypatch.setattr(netfilter, "run", lambda requests: doomed.append(len(requests)))
    forget(netfilter, POD)
    assert doomed == [1, 2]
    refused[0] = NetlinkError(errno.EPERM, "filter")
    with pytest.raises(NetlinkError, match="filter: Operation not permitted"):
        forget(netfilter, POD)


def test_what_was_released_is_forgotten_later_or_before_its_next_pod(netfilter: Netfilter) -> None:
    released = Released()
    released.note(POD)
    released.settle(IPv4Address("10.1.0.6"))
    assert len(ports()) == 5
    released.settle(POD)
    assert ports() == [4, 5]
    released.note(IPv4Address("10.1.0.6"))
    released.forget_all()
    assert ports() == [4]
    insert("-s", "10.1.0.6", "-d", "10.9.9.9", port=6)  # the next pod's
    released.forget_all()
    released.settle(IPv4Address("10.1.0.6"))
    assert ports() == [4, 6]


def test_what_could_not_be_done_is_tried_again(netfilter: Netfilter, monkeypatch: pytest.MonkeyPatch) -> None:
    released = Released()
    released.note(POD)
    with monkeypatch.context() as broken:

        def refuse(*_: object) -> None:
            raise NetlinkError(errno.EPERM, "forget")

        broken.setattr(conntrack, "forget", refuse)
        with pytest.raises(NetlinkError):
            released.forget_all()
    released.forget_all()
    assert ports() == [4, 5]
