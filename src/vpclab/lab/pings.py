"""Pings in bulk: one raw socket in each pod's namespace, one thread that sends and hears for all of them."""

from __future__ import annotations

import secrets
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from vpclab.fabric import syscalls

ECHO, REPLY = 8, 0
ECHO6, REPLY6 = 128, 129
_HEADER = struct.Struct("!BBHHH")
IN_FLIGHT = 256
"""Echoes that wait for their answer at once: more would overflow the sockets' buffers."""
AGAIN = 1.0
"""Seconds after which an echo without an answer is sent once more."""


@dataclass(frozen=True, slots=True)
class Pinger:
    """A pod that pings: its name, a descriptor of its network namespace, its address."""

    name: str
    netns: int
    address: str

    @property
    def of_ipv6(self) -> bool:
        """Whether its address is."""
        return ":" in self.address


def ping_pairs(pairs: Sequence[tuple[Pinger, Pinger]], seconds: float) -> dict[tuple[str, str], float | None]:
    """Let the first of each pair ping the second; the answers' seconds, None where none came. Blocking.

    Args:
        pairs: who pings whom.
        seconds: for each echo to be answered; it is sent again every second of them.

    Raises:
        OSError: a namespace is gone.
    """
    with _sockets({a.name: a for a, _ in pairs}) as sockets:
        return _Round(sockets, pairs, seconds).run()


class _Round:
    """One look at all pairs."""

    def __init__(
        self,
        sockets: Mapping[str, socket.socket],
        pairs: Sequence[tuple[Pinger, Pinger]],
        seconds: float,
    ) -> None:
        self._sockets = sockets
        self._pairs = pairs
        self._seconds = seconds
        self._ident = secrets.randbelow(1 << 16)
        self._token = secrets.token_bytes(8)
        self._waiting = iter(range(len(pairs)))
        self._sent: dict[int, float] = {}
        self._tries: dict[int, int] = {}
        self._answers: dict[int, float] = {}

    def run(self) -> dict[tuple[str, str], float | None]:
        selector = selectors.DefaultSelector()
        with selector:
            for name, sock in self._sockets.items():
                selector.register(sock, selectors.EVENT_READ, name)
            self._more()
            while self._sent:
                for key, _ in selector.select(0.05):
                    self._hear(key.data)
                self._late()
                self._more()
        return {(a.name, b.name): self._answers.get(number) for number, (a, b) in enumerate(self._pairs)}

    def _more(self) -> None:
        while len(self._sent) < IN_FLIGHT:
            number = next(self._waiting, None)
            if number is None:
                return
            self._sent[number] = time.monotonic()
            self._send(number)

    def _send(self, number: int) -> None:
        source, target = self._pairs[number]
        self._tries[number] = self._tries.get(number, 0) + 1
        body = self._token + number.to_bytes(4)
        kind = ECHO6 if target.of_ipv6 else ECHO
        packet = _HEADER.pack(kind, 0, 0, self._ident, number & 0xFFFF) + body
        if not target.of_ipv6:  # of ICMPv6 the kernel adds it: it is over the addresses, too
            packet = packet[:2] + struct.pack("!H", _checksum(packet)) + packet[4:]
        try:
            self._sockets[source.name].sendto(packet, (target.address, 0))
        except OSError:
            return  # no route, no buffer: sent again, and if it stays so there is no answer

    def _hear(self, pinger: str) -> None:
        while True:
            try:
                packet, (sender, *_) = self._sockets[pinger].recvfrom(2048)
            except BlockingIOError:
                return
            # a raw socket of IPv6 is not given the header
            of_ipv6 = self._sockets[pinger].family == socket.AF_INET6
            icmp = packet if of_ipv6 else packet[(packet[0] & 15) * 4 :]
            reply = REPLY6 if of_ipv6 else REPLY
            if len(icmp) < _HEADER.size + 12 or icmp[0] != reply or icmp[8:16] != self._token:
                continue
            number = int.from_bytes(icmp[16:20])
            if number not in self._sent:
                continue
            source, target = self._pairs[number]
            # an answer counts only from whom it was asked, in the namespace that asked
            if (source.name, target.address) == (pinger, sender):
                self._answers[number] = time.monotonic() - self._sent.pop(number)

    def _late(self) -> None:
        now = time.monotonic()
        for number, at in list(self._sent.items()):
            if now - at >= self._seconds:
                del self._sent[number]
            elif now - at >= self._tries[number] * AGAIN:
                self._send(number)


@contextmanager
def _sockets(pingers: Mapping[str, Pinger]) -> Iterator[dict[str, socket.socket]]:
    made: dict[str, socket.socket] = {}
    problem: list[OSError] = []

    def make() -> None:
        try:
            for name, pinger in pingers.items():
                syscalls.setns(pinger.netns, syscalls.CLONE_NEWNET)
                kind = (
                    (socket.AF_INET6, socket.IPPROTO_ICMPV6)
                    if pinger.of_ipv6
                    else (socket.AF_INET, socket.IPPROTO_ICMP)
                )
                made[name] = socket.socket(kind[0], socket.SOCK_RAW, kind[1])
                made[name].setblocking(False)
        except OSError as error:
            problem.append(error)

    # in a thread that ends at once: nobody else finds itself in a pod's namespace
    thread = threading.Thread(target=make, name="ping sockets")
    thread.start()
    thread.join()
    try:
        if problem:
            raise problem[0]
        yield made
    finally:
        for sock in made.values():
            sock.close()


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
