"""Sees that somebody removed or changed what is ours, and has it mended within a second.

It listens to the kernel and asks nothing while nothing happens. What it hears is gathered for a moment, so that a burst is one
look; the looks are never more than a fifth of the time; who undoes our work again and again gets slower answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from vpccni.linux.errors import KernelError
from vpccni.linux.family import Family
from vpccni.linux.links import links
from vpccni.linux.news import NFTABLES_GROUP, ROUTE_GROUPS, ROUTE_GROUPS6, News, Part
from vpccni.linux.nfnetlink import NETFILTER
from vpccni.linux.rtnl import ROUTE, SOL_NETLINK, Netlink

log = logging.getLogger(__name__)

GATHER = 0.05
"""Seconds that the first message of a burst waits for the others."""
SHARE = 4
"""After a look of so many seconds, this many times as long nothing is looked at."""
FIGHT_WITHIN, FIGHT_AFTER = 30.0, 10
"""So many mendings in so many seconds are a fight: each further one waits twice as long as the one before."""
LONGEST_PAUSE = 30.0
RETRY = 1.0
POLL, FULL_POLL = 0.4, 30.0
"""Seconds between looks at what tells nobody of its changes: at its size, and (the original's period) at all of it."""
NETLINK_ADD_MEMBERSHIP, SO_RCVBUFFORCE = 1, 33
BUFFER = 1 << 20


class Wanted(Protocol):
    """What the watcher must know of what is wanted: `vpccni.linux.heal.Wanted` does."""

    @property
    def macs(self) -> Collection[str]:
        """Of the ENIs' devices."""

    @property
    def tables(self) -> Collection[int]:
        """Routing tables in which the routes are ours."""


class DriftWatcher:
    """Watches the network namespace it is started in. All of it runs in the event loop but `heal`, which may not block."""

    def __init__(
        self,
        wanted: Callable[[], Wanted],
        heal: Callable[[Part], Awaitable[list[str]]],
        *,
        veth_prefix: str,
        own_ports: Callable[[], Collection[int]],
        poll: Callable[[], object] | None = None,
        family: Family = Family.IPV4,
    ) -> None:
        """`poll` returns something else when a legacy iptables' rules changed; None: there is no such."""
        self._groups = ROUTE_GROUPS | (ROUTE_GROUPS6 if family is Family.IPV6 else 0)
        self._wanted = wanted
        self._heal = heal
        self._own_ports = own_ports
        self._news = News((), (), veth_prefix, ())
        self._heard = asyncio.Event()
        self._sockets: list[socket.socket] = []
        self._poll = poll
        self._tasks: list[asyncio.Task[None]] = []
        self._mended: list[float] = []
        self.looks = 0
        """How often something was looked at."""

    def start(self) -> None:
        """Begin to listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._refresh()
        self._listen(loop, ROUTE, self._groups, None, self._news.hear_routes)
        with contextlib.suppress(OSError):  # a kernel without nf_tables
            self._listen(loop, NETFILTER, 0, NFTABLES_GROUP, self._news.hear_nftables)
        with Netlink() as netlink:  # after the groups were joined: nothing is missed in between
            self._news.know(links(netlink))
        self._tasks.append(loop.create_task(self._run()))
        if self._poll is not None:
            self._tasks.append(loop.create_task(self._watch_legacy(self._poll)))

    async def stop(self) -> None:
        """Listen no more; a mending under way is waited for."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def look(self, part: Part) -> None:
        """Have a look although nothing was heard."""
        self._news.pending |= part
        self._heard.set()

    def _listen(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: int,
        groups: int,
        member_of: int | None,
        hear: Callable[[bytes], None],
    ) -> None:
        sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol
        )
        try:
            with contextlib.suppress(OSError):  # without the right to it the usual size must do
                sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
            sock.bind((0, groups))
            if member_of is not None:
                sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, member_of)
        except OSError as error:
            sock.close()
            raise KernelError(
                error.errno, f"cannot listen to the kernel's changes: {error.strerror}"
            ) from error
        self._sockets.append(sock)
        loop.add_reader(sock, self._drain, sock, hear)

    def _drain(self, sock: socket.socket, hear: Callable[[bytes], None]) -> None:
        for _ in range(256):  # other work of the loop's has its turn, too
            try:
                hear(sock.recv(1 << 16))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._news.lost()
        if self._news.waits:
            self._heard.set()

    def _refresh(self) -> None:
        wanted = self._wanted()
        self._news.macs, self._news.tables = wanted.macs, wanted.tables
        self._news.own_ports = self._own_ports()

    async def _run(self) -> None:
        # what was changed while nobody listened
        self._news.pending = Part.ROUTING | Part.NAT
        while True:
            if not self._news.waits:
                self._heard.clear()
                await self._heard.wait()
                await asyncio.sleep(GATHER)
            self._refresh()
            part = self._news.take()
            if part:
                await asyncio.sleep(await self._look(part))

    async def _look(self, part: Part) -> float:
        """Returns for how long not to look again."""
        began = time.monotonic()
        self.looks += 1
        try:
            changes = await self._heal(part)
        except OSError as error:
            log.error("the host's network could not be mended: %s; trying again", error)
            self._news.pending |= part
            return RETRY
        now = time.monotonic()
        pause = (now - began) * SHARE
        if not changes:
            return pause
        for change in changes:
            log.warning("somebody changed the host's network; mended: %s", change)
        self._mended = [when for when in self._mended if now - when < FIGHT_WITHIN] + [now]
        beyond = len(self._mended) - FIGHT_AFTER
        if beyond <= 0:
            return pause
        log.error(
            "what is mended is undone again and again (%d times in %.0f s): find out who else sets up this host's network",
            len(self._mended),
            FIGHT_WITHIN,
        )
        return min(float(2**beyond), LONGEST_PAUSE)

    async def _watch_legacy(self, poll: Callable[[], object]) -> None:
        before, looked = poll(), time.monotonic()
        while True:
            await asyncio.sleep(POLL)
            now = poll()
            if now != before or time.monotonic() - looked > FULL_POLL:
                before, looked = now, time.monotonic()
                self.look(Part.NAT)
