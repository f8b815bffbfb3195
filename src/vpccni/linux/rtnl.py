"""rtnetlink over one socket: batches of requests with an acknowledgement each, and dumps.

Packed by hand because a pod's wiring is 1 ms this way and 6 ms through a general library (kernel-and-lab 5).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from vpccni.linux.errors import KernelError

ROUTE = 0
"""NETLINK_ROUTE."""
SOL_NETLINK = 270
NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 10, 11, 12
NLMSG_ERROR, NLMSG_DONE = 2, 3
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400
DUMP_INTERRUPTED = 0x10
CAPPED, HAS_ATTRIBUTES = 0x100, 0x200
EXT_ACK_TEXT = 1
HEADER = struct.Struct("=IHHII")
AT_ONCE = 64
"""Requests in one send: their answers must fit the socket's buffer."""
DUMP_TRIES = 5
DUMP_PAUSE = 0.1
"""A dump that the kernel says was interrupted by a change is made again, from the second time on after a pause of so many
seconds (spec 5.5)."""
KNOWN = 4096
"""Messages of which it is remembered what they say. The kernel tells of the same rules and routes at every look, and two of a pod's
and one are read in a hundredth of the time when they are known; a look at a node of 1,000 pods must not forget them one by one."""
GONE = (errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL)
"""What the kernel says of a thing to delete that is not there."""


class NetlinkError(KernelError):
    """The kernel refused one request: errno, and in words what was asked and what the kernel said."""

    def __init__(self, code: int, what: str, said: str = "") -> None:
        text = f"{what}: {os.strerror(code)}{f' ({said})' if said else ''}"
        super().__init__(code, text)
        self.what = what


@dataclass(frozen=True, slots=True)
class Request:
    """One message: `what` names it for the person who reads its error; `fine` are errors that mean it is done already."""

    kind: int
    flags: int
    body: bytes
    what: str
    fine: tuple[int, ...] = ()


def u32(value: bytes | None) -> int:
    """The number in an attribute's value; 0 if there is none."""
    return int(struct.unpack("=I", value)[0]) if value else 0


def name_value(name: str) -> bytes:
    """A device's name as an attribute's value."""
    return name.encode() + b"\0"


def attribute(kind: int, value: bytes) -> bytes:
    """One rtattr, padded."""
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (-length % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """The rtattrs in `data`; of two with one type the last wins."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


class Netlink:
    """A NETLINK_ROUTE socket of one network namespace. Blocking; one user at a time."""

    def __init__(self, sock: socket.socket | None = None, *, groups: int = 0) -> None:
        self.sock = sock or socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, ROUTE)
        self.sequence = 0
        self._seen: dict[tuple[int, bytes], list[tuple[int, bytes]]] | None = None
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        if groups:
            self.sock.bind((0, groups))

    @classmethod
    def from_fd(cls, fd: int) -> Netlink:
        """Over a socket that somebody else opened, in whatever namespace; the descriptor is duplicated.

        Raises OSError if it is another kind of socket.
        """
        sock = socket.socket(fileno=os.dup(fd))
        if (sock.family, sock.proto) != (socket.AF_NETLINK, ROUTE):
            sock.close()
            raise KernelError(errno.EPROTOTYPE, f"descriptor {fd} is not a NETLINK_ROUTE socket")
        return cls(sock)

    @property
    def port(self) -> int:
        """What the kernel calls this socket by: a notification of a change that it asked for bears the number."""
        if self.sock.getsockname()[0] == 0:
            self.sock.bind((0, 0))
        return int(self.sock.getsockname()[0])

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, requests: Sequence[Request]) -> None:
        """Make every request; the first that failed is raised after all were tried (the kernel stops at none)."""
        failed = [error for error in self.attempt(requests) if error is not None]
        if failed:
            raise failed[0]

    @contextmanager
    def one_look(self) -> Iterator[None]:
        """Within it each table is asked for once, and again after every change that is made here.

        For whoever decides by what was there at one moment; what others change meanwhile is for the next look.
        """
        self._seen = {}
        try:
            yield
        finally:
            self._seen = None

    def attempt(self, requests: Sequence[Request]) -> list[NetlinkError | None]:
        """Make every request; what came of each."""
        if requests and self._seen is not None:
            self._seen.clear()
        outcomes: list[NetlinkError | None] = []
        for start in range(0, len(requests), AT_ONCE):
            outcomes.extend(self._batch(requests[start : start + AT_ONCE]))
        return outcomes

    def dump(self, kind: int, body: bytes, what: str) -> list[tuple[int, bytes]]:
        """Every answer to a dump, as (type, payload)."""
        if self._seen is None:
            return self._dumped(kind, body, what)
        if (kind, body) not in self._seen:
            self._seen[kind, body] = self._dumped(kind, body, what)
        return self._seen[kind, body]

    def _dumped(self, kind: int, body: bytes, what: str) -> list[tuple[int, bytes]]:
        for attempt in range(DUMP_TRIES):
            answers, interrupted = self._dump(Request(kind, DUMP, body, what))
            if not interrupted:
                return answers
            if 0 < attempt < DUMP_TRIES - 1:
                time.sleep(DUMP_PAUSE)
        raise NetlinkError(errno.EINTR, what, "the table changed at every try")

    def get(self, kind: int, body: bytes, what: str) -> bytes:
        """The payload of the one answer to a request."""
        self.sequence += 1
        self.sock.send(HEADER.pack(HEADER.size + len(body), kind, REQUEST, self.sequence, 0) + body)
        for answer, flags, payload in self._answers(self.sequence):
            if answer == NLMSG_ERROR:
                raise error_of(payload, flags, what) or NetlinkError(errno.EPROTO, what)
            return payload
        raise NetlinkError(errno.EPROTO, what)

    def events(self, timeout: float) -> bool:
        """Wait for a message of the groups this socket was bound to; False if none came.

        What it said is not kept: whoever waits reads the table again.
        """
        self.sock.settimeout(timeout)
        try:
            self.sock.recv(65536)
        except TimeoutError:
            return False
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # events were lost: so there were some
                raise
        finally:
            self.sock.settimeout(None)
        return True

    def _batch(self, requests: Sequence[Request]) -> list[NetlinkError | None]:
        first = self.sequence + 1
        packed = bytearray()
        for request in requests:
            self.sequence += 1
            packed += HEADER.pack(
                HEADER.size + len(request.body),
                request.kind,
                request.flags | REQUEST | ACK,
                self.sequence,
                0,
            )
            packed += request.body
            packed += b"\0" * (-len(request.body) % 4)
        self.sock.send(packed)
        outcomes: dict[int, NetlinkError | None] = {}
        while len(outcomes) < len(requests):
            for kind, flags, sequence, payload in messages(self.sock.recv(65536)):
                if kind == NLMSG_ERROR and first <= sequence <= self.sequence:
                    request = requests[sequence - first]
                    error = error_of(payload, flags, request.what)
                    outcomes[sequence] = None if error is None or error.errno in request.fine else error
        return [outcomes[first + index] for index in range(len(requests))]

    def _dump(self, request: Request) -> tuple[list[tuple[int, bytes]], bool]:
        self.sequence += 1
        length = HEADER.size + len(request.body)
        self.sock.send(
            HEADER.pack(length, request.kind, request.flags | REQUEST, self.sequence, 0) + request.body
        )
        answers: list[tuple[int, bytes]] = []
        interrupted = False
        while True:
            for kind, flags, sequence, payload in messages(self.sock.recv(1 << 17)):
                if sequence != self.sequence:
                    continue
                interrupted = interrupted or bool(flags & DUMP_INTERRUPTED)
                if kind == NLMSG_DONE:
                    return answers, interrupted
                if kind == NLMSG_ERROR:
                    error = error_of(payload, flags, request.what)
                    if error is not None:
                        raise error
                answers.append((kind, payload))

    def _answers(self, wanted: int) -> Iterator[tuple[int, int, bytes]]:
        while True:
            for kind, flags, sequence, payload in messages(self.sock.recv(1 << 17)):
                if sequence == wanted:
                    yield kind, flags, payload


def messages(data: bytes) -> Iterable[tuple[int, int, int, bytes]]:
    """The messages of one datagram, as (type, flags, sequence, payload)."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        yield kind, flags, sequence, data[offset + HEADER.size : offset + length]
        offset += (length + 3) & ~3


def error_of(payload: bytes, flags: int, what: str) -> NetlinkError | None:
    """What an acknowledgement says; None: it was done."""
    (code,) = struct.unpack_from("=i", payload)
    if code == 0:
        return None
    said = b""
    if flags & HAS_ATTRIBUTES:
        # errno, then the header of the request (with NETLINK_CAP_ACK no more of it), then attributes
        length = HEADER.size if flags & CAPPED else HEADER.unpack_from(payload, 4)[0]
        said = attributes(payload[4 + length :]).get(EXT_ACK_TEXT, b"").rstrip(b"\0")
    return NetlinkError(-code, what, said.decode(errors="replace"))
