"""Servers that tell whoever asks which address they saw, and captures that tell it of any packet."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

from vpclab.fabric.namespaces import Place

Address: TypeAlias = IPv4Address | IPv6Address
PORT = 7007
"""Where a witness answers, TCP and UDP alike."""
ECHO = (128, 129)
"""ICMPv6 types: request and reply."""
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}


class Witness:
    """Answers "ADDRESS PORT" of the caller and a newline: to each TCP connection, and to each UDP packet."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._transports: list[asyncio.DatagramTransport] = []

    async def listen(self, place: Place, address: Address, port: int = PORT) -> None:
        """Answer at this address too.

        Raises:
            OSError: the address is not there, or the port is taken.
        """
        stream = await place.listen(address, port)
        self._servers.append(await asyncio.start_server(_answer, sock=stream))
        packets = await place.listen(address, port, socket.SOCK_DGRAM)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Packets, sock=packets)
        self._transports.append(transport)

    def close(self) -> None:
        """Stop."""
        for server in self._servers:
            server.close()
        for transport in self._transports:
            transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_told(writer.get_extra_info("peername")))
    writer.close()


class _Packets(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # It is one, but only from Python 3.12 on does its class say so.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:  # noqa: ARG002 - asyncio's
        self._transport.sendto(_told(addr), addr)


def _told(caller: tuple[Any, ...]) -> bytes:
    return f"{caller[0]} {caller[1]}\n".encode()


async def ask(
    place: Place,
    protocol: str,
    address: Address,
    *,
    port: int = PORT,
    source: Address | None = None,
    wait: float = 3.0,
) -> str:
    """What a witness says of us, asked from a place by "tcp" or "udp": an address; '' if nobody answered.

    Args:
        place: who asks.
        protocol: "tcp" or "udp".
        address: whom.
        port: of whom.
        source: the address to ask from; the kernel's choice if not given.
        wait: seconds for the answer; a UDP question is not repeated.
    """
    return await place.call(_ask, protocol, (str(address), port), str(source or ""), wait)


def _ask(protocol: str, whom: tuple[str, int], source: str, wait: float) -> str:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in whom[0] else socket.AF_INET
    with socket.socket(family, kind) as asking:
        asking.settimeout(wait)
        try:
            asking.bind((source, 0))
            asking.connect(whom)
            if protocol == "udp":
                asking.send(b"?\n")
            return asking.recv(100).decode().partition(" ")[0]
        except OSError:
            return ""


@dataclass(frozen=True, slots=True)
class Packet:
    """What a capture saw of a packet; ICMPv6 is "icmp" too, neighbour discovery is left out."""

    protocol: str
    source: Address
    target: Address
    outgoing: bool


class Capture:
    """The packets that a place's device saw since the capture began."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []

    def sources(self, protocol: str, target: Address) -> set[Address]:
        """Who sent such packets to this address, of those that came in."""
        return {
            one.source
            for one in self.packets
            if one.protocol == protocol and one.target == target and not one.outgoing
        }


@asynccontextmanager
async def capture(place: Place, device: str = "") -> AsyncIterator[Capture]:
    """Watch one device of a place meanwhile, or all of them; a packet is there at the latest when the loop has turned once more."""
    made = Capture()
    watching = await place.call(_watch, device)

    def read() -> None:
        while True:
            try:
                data, where = watching.recvfrom(64)
            except BlockingIOError:
                return
            packet = _read(data, outgoing=where[2] == socket.PACKET_OUTGOING)
            if packet is not None:
                made.packets.append(packet)

    asyncio.get_running_loop().add_reader(watching.fileno(), read)
    try:
        yield made
    finally:
        read()
        asyncio.get_running_loop().remove_reader(watching.fileno())
        watching.close()


def _read(data: bytes, *, outgoing: bool) -> Packet | None:
    source: Address
    target: Address
    if len(data) >= 20 and data[0] >> 4 == 4:
        number, source, target = data[9], IPv4Address(data[12:16]), IPv4Address(data[16:20])
    elif len(data) > 40 and data[0] >> 4 == 6:
        number, source, target = data[6], IPv6Address(data[8:24]), IPv6Address(data[24:40])
        if target.is_multicast or (number == 58 and data[40] not in ECHO):
            return None
    else:
        return None
    return Packet(PROTOCOLS.get(number, str(number)), source, target, outgoing)


def _watch(device: str) -> socket.socket:
    everything = socket.htons(0x0003)  # ETH_P_ALL: that what leaves is seen as well
    watching = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, everything)
    if device:
        watching.bind((device, 0x0003))
    watching.setblocking(False)
    return watching
