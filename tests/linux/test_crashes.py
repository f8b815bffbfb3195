"""Killed between any two messages to the kernel, the next run makes it whole; nothing is undone by the dead."""

import contextlib
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.linux.namespaces import MakeSandbox, Sandbox, rules, run, state, wiring

from vpccni.linux.check import check
from vpccni.linux.graveyard import reap
from vpccni.linux.layout import RulesLayout, mask_beside
from vpccni.linux.leftovers import keep_pods, leftovers, remove_leftovers
from vpccni.linux.pod import unwire, wire
from vpccni.linux.rtnl import Netlink, NetlinkError, Request
from vpccni.linux.sources import Sources
from vpccni.linux.wiring import PodWiring

pytestmark = pytest.mark.kernel
WANT = wiring(5, table=2)
MESSAGES = {RulesLayout.COMPATIBLE: 7, RulesLayout.COMPACT: 9}
"""Of an ADD on the host; with fewer lives it is killed."""
INNER_MESSAGES = 6
STEPS = range(max(MESSAGES.values()) + 1)


class KilledError(BaseException):
    """SIGKILL: nobody catches it, nothing is cleaned up."""


class Mortal(Netlink):
    """A socket whose owner is killed before the message after the next `lives`; batches are sent one by one."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self.lives = lives

    def attempt(self, requests: list[Request]) -> list[NetlinkError | None]:  # type: ignore[override]
        outcomes: list[NetlinkError | None] = []
        for request in requests:
            if self.lives == 0:
                raise KilledError
            self.lives -= 1
            outcomes += super().attempt([request])
        return outcomes


class MortalSources(Sources):
    """The map, whose owner is killed at the same count."""

    def __init__(self, netlink: Mortal) -> None:
        super().__init__(mask_beside(0x80))
        self._netlink = netlink

    def put(self, address: IPv4Address, table: int) -> None:
        self._live()
        super().put(address, table)

    def remove(self, address: IPv4Address) -> None:
        self._live()
        super().remove(address)

    def settle(self) -> list[str]:
        self._live()
        return super().settle()

    def _live(self) -> None:
        if self._netlink.lives == 0:
            raise KilledError
        self._netlink.lives -= 1


@pytest.mark.parametrize("layout", list(RulesLayout))
@pytest.mark.parametrize("lives", STEPS)
def test_an_add_that_was_killed_is_made_whole_by_the_next(
    host: Netlink, sandbox: MakeSandbox, lives: int, layout: RulesLayout
) -> None:
    pod = sandbox()
    died = add_and_die(pod, lives, layout)
    sources = after_restart(host, layout, [])
    wire(host, pod.netlink, pod.fd, WANT, None, sources)
    assert check(host, pod.netlink, WANT, sources) == []
    assert not leftovers(host, "eni", [WANT], sources=sources)
    assert died == (lives < MESSAGES[layout])
    close(sources)


@pytest.mark.parametrize("lives", range(INNER_MESSAGES + 1))
def test_an_add_that_was_killed_inside_the_sandbox_is_made_whole_by_the_next(
    host: Netlink, sandbox: MakeSandbox, lives: int, sources: Sources | None
) -> None:
    pod, died = sandbox(), False
    with pod.call(lambda: Mortal(lives)) as mortal:
        try:
            wire(host, mortal, pod.fd, WANT, None, sources)
        except KilledError:
            died = True
    assert died == (lives < INNER_MESSAGES)
    wire(host, pod.netlink, pod.fd, WANT, None, sources)
    assert check(host, pod.netlink, WANT, sources) == []
    assert not leftovers(host, "eni", [WANT], sources=sources)


@pytest.mark.parametrize("layout", list(RulesLayout))
@pytest.mark.parametrize("lives", STEPS)
def test_of_an_add_that_was_killed_and_is_not_tried_again_nothing_stays(
    host: Netlink, sandbox: MakeSandbox, lives: int, layout: RulesLayout
) -> None:
    close(after_restart(host, layout, []))
    before = state()
    pod = sandbox()
    add_and_die(pod, lives, layout)
    sources = after_restart(host, layout, [])
    reap(host)
    unwire(host, WANT.address, WANT.host_veth, 2, sources)
    assert [line for line in rules() if "10.0.0.5" in line] == []
    assert state()[1:] == before[1:]
    close(sources)


@pytest.mark.parametrize("layout", list(RulesLayout))
@pytest.mark.parametrize("lives", range(6))
def test_a_del_that_was_killed_is_done_by_the_next(
    host: Netlink, sandbox: MakeSandbox, lives: int, layout: RulesLayout
) -> None:
    pod, other = sandbox(), sandbox()
    sources = after_restart(host, layout, [])
    wire(host, other.netlink, other.fd, wiring(6, table=2), None, sources)
    before = state()
    wire(host, pod.netlink, pod.fd, WANT, None, sources)
    with Mortal(lives) as mortal:
        mine = MortalSources(mortal) if layout is RulesLayout.COMPACT else None
        with contextlib.suppress(KilledError):
            unwire(mortal, WANT.address, WANT.host_veth, 2, mine)
        assert mortal.lives == 0
        close(mine)
    for _ in range(2):
        unwire(host, WANT.address, WANT.host_veth, 2, sources)
    reap(host)
    assert state() == before
    assert check(host, other.netlink, wiring(6, table=2), sources) == []
    close(sources)


@pytest.mark.parametrize("lives", range(12))
def test_an_exchange_of_layouts_that_was_killed_goes_either_way(
    host: Netlink, sandbox: MakeSandbox, lives: int
) -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    pods = [sandbox(), sandbox()]
    live = [wiring(5, table=2), wiring(6)]
    for pod, want in zip(pods, live, strict=True):
        wire(host, pod.netlink, pod.fd, want)
    before, ruled = state()[1:], sorted(rules())
    with Mortal(lives) as mortal:
        sources = MortalSources(mortal)
        try:
            keep_pods(mortal, live, sources)
            remove_leftovers(mortal, leftovers(mortal, "eni", live, sources=sources))
        except KilledError:
            pass
        finally:
            sources.close()
    assert all(pod.pings("10.0.0.5") for pod in pods)  # the pods went on
    after_restart(host, RulesLayout.COMPATIBLE, [*live])
    assert (state()[1:], sorted(rules())) == (before, ruled)
    forth = after_restart(host, RulesLayout.COMPACT, [*live])
    assert [check(host, pod.netlink, want, forth) for pod, want in zip(pods, live, strict=True)] == [[], []]
    close(forth)


def test_a_del_after_the_sandbox_is_gone(
    host: Netlink, sandbox: MakeSandbox, sources: Sources | None
) -> None:
    before = state()
    pod = sandbox()
    wire(host, pod.netlink, pod.fd, WANT, None, sources)
    pod.run("ip", "link", "del", "eth0")
    for _ in range(2):
        unwire(host, WANT.address, WANT.host_veth, 2, sources)
    assert state()[1:] == before[1:]
    assert not [rule for rule in rules() if "10.0.0.5" in rule]


def add_and_die(pod: Sandbox, lives: int, layout: RulesLayout) -> bool:
    with Mortal(lives) as mortal:
        sources = MortalSources(mortal) if layout is RulesLayout.COMPACT else None
        try:
            wire(mortal, pod.netlink, pod.fd, WANT, None, sources)
        except KilledError:
            return True
        finally:
            close(sources)
    return False


def after_restart(host: Netlink, layout: RulesLayout, live: list[PodWiring]) -> Sources | None:
    sources = Sources(mask_beside(0x80)) if layout is RulesLayout.COMPACT else None
    keep_pods(host, live, sources)
    remove_leftovers(host, leftovers(host, "eni", live, sources=sources))
    assert run("ip", "rule")
    return sources


def close(sources: Sources | None) -> None:
    if sources is not None:
        sources.close()
