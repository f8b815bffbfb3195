"""Tells at once when a device has gone: the kernel's own word that an ENI was detached."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable

from vpccni.linux.links import DELLINK, parse_link
from vpccni.linux.rtnl import HEADER

LINKS = 1
"""RTMGRP_LINK: news of devices."""
LONGEST = 1 << 16
ALIGN = 3


class LinkWatch:
    """Calls `gone(mac)` for each device that the namespace loses; `lost()` if news were lost. In the running loop."""

    def __init__(self, gone: Callable[[str], None], lost: Callable[[], None]) -> None:
        self._gone = gone
        self._lost = lost
        self._socket = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            socket.NETLINK_ROUTE,
        )

    def start(self) -> None:
        """Begin to listen. Raises OSError."""
        self._socket.bind((0, LINKS))
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        while True:
            try:
                data = self._socket.recv(LONGEST)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._lost()  # more happened than the kernel kept for us: anything may have
                continue
            for mac in gone_in(data):
                self._gone(mac)


def gone_in(data: bytes) -> list[str]:
    """The MACs of the devices that these messages say are gone."""
    found: list[str] = []
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, *_ = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            break
        # bridges say of a port that leaves them, too, that a link is gone: in another family
        if kind == DELLINK and data[offset + HEADER.size] == socket.AF_UNSPEC:
            found.append(parse_link(data[offset + HEADER.size : offset + length]).mac)
        offset += (length + ALIGN) & ~ALIGN
    return found
