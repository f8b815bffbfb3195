"""By which ENI a pod's packets leave, in the compact layout: an nft map from source address to the ENI's chain.

The chain changes only the bits that are ours: a mark that somebody else put on the packet stays. Priority -80 is behind the
connection mark's chains (-90) and kube-proxy's, which clear the mark of a connection's first packet, and before the route is
looked up.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from typing import Any

from vpccni.linux.errors import KernelError
from vpccni.linux.layout import mark_of
from vpccni.linux.nfnetlink import NESTED, NF_TABLES, Netfilter, header
from vpccni.linux.nft import Chains, chain_commands, chains_of, change, listed, run_nft
from vpccni.linux.rtnl import CREATE, NetlinkError, Request, attribute, attributes

TABLE = "vpc-cni-pods"
MAP = "sources"
CHAIN = "eni-"
PRIORITY = -80
GETTABLE, NEWSETELEM, GETSETELEM, DELSETELEM = 1, 12, 13, 14
TABLE_NAME = 1
ELEM_TABLE, ELEM_SET, ELEM_ELEMENTS = 1, 2, 3
LIST_ELEM, ELEM_KEY, ELEM_DATA = 1, 1, 2
DATA_VALUE, DATA_VERDICT, VERDICT_CODE, VERDICT_CHAIN = 1, 2, 1, 2
GOTO = struct.pack("!i", -4)
AT_ONCE = 256
"""Elements in one transaction: the acknowledgements must fit the socket's buffer."""


class Sources:
    """The map, with the elements that are wanted: the kernel's are made so. Blocking; one user at a time."""

    def __init__(self, mask: int) -> None:
        self.mask = mask
        self.tables: dict[IPv4Address, int] = {}
        """Pod address → the routing table of its ENI; pods of the primary ENI are not in it."""
        self.numbers: dict[int, int] = {}
        self._netfilter = Netfilter()

    def close(self) -> None:
        """Close the socket."""
        self._netfilter.close()

    @property
    def port(self) -> int:
        """The socket's number in the kernel's notifications."""
        return self._netfilter.port

    def put(self, address: IPv4Address, table: int) -> None:
        """Packets from the address leave by the ENI of that table, whatever was before. Raises OSError."""
        self.tables[address] = table
        try:
            self._put({address: table})
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            self.settle()  # somebody flushed all of nft

    def remove(self, address: IPv4Address) -> None:
        """The address is nobody's any more; fine if it was not. Raises OSError."""
        self.tables.pop(address, None)
        self._netfilter.transaction([_delete(address)])

    def settle(self) -> list[str]:
        """The table, its chains and its elements are exactly those wanted; returns the changes. Raises OSError."""
        wanted = self._chains()
        items = listed(TABLE)
        present = chains_of(items) if items is not None else {}
        missing = {name: chain for name, chain in wanted.items() if name not in present}
        if (
            items is None
            or any(present.get(name, chain) != chain for name, chain in wanted.items())
            or (present.keys() - wanted.keys() or missing.keys() & {"prerouting", _MAP_NAME})
        ):
            self._remake(wanted)
            return [f"made the nft table ip {TABLE}"]
        changes = []
        if missing:  # an ENI more: the pods of the others must not notice
            change(chain_commands(TABLE, missing))
            changes.append(f"added chains {', '.join(missing)} to the nft table ip {TABLE}")
        there = elements_of(items)
        stale = [address for address in there if address not in self.tables]
        wrong = {a: table for a, table in self.tables.items() if there.get(a) != chain_of(table)}
        for start in range(0, len(stale), AT_ONCE):
            self._netfilter.transaction([_delete(address) for address in stale[start : start + AT_ONCE]])
        self._put(wrong)
        changes += [f"{address} does not choose an ENI any more" for address in stale]
        return changes + [f"{address} leaves by the ENI of table {table}" for address, table in wrong.items()]

    def chosen(self, address: IPv4Address) -> str | None:
        """The chain that the kernel has for the address, which names its ENI's table. Raises OSError."""
        key = attribute(
            LIST_ELEM | NESTED, attribute(ELEM_KEY | NESTED, attribute(DATA_VALUE, address.packed))
        )
        try:
            answer = self._netfilter.get(
                NF_TABLES << 8 | GETSETELEM, _body(key), f"look {address} up in {TABLE}"
            )
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        body = answer
        for kind in (ELEM_ELEMENTS, LIST_ELEM, ELEM_DATA, DATA_VERDICT, VERDICT_CHAIN):
            body = attributes(body[4:] if body is answer else body).get(kind, b"")
        return body.rstrip(b"\0").decode() or None

    def _chains(self) -> Chains:
        enis: Chains = {
            chain_of(table): ({}, [[_set_mark(number, self.mask)]]) for table, number in self.numbers.items()
        }
        base = {"type": "filter", "hook": "prerouting", "prio": PRIORITY, "policy": "accept"}
        lookup = {"vmap": {"key": {"payload": {"protocol": "ip", "field": "saddr"}}, "data": f"@{MAP}"}}
        return {**enis, _MAP_NAME: ({}, []), "prerouting": (base, [[lookup]])}

    def _remake(self, wanted: Chains) -> None:
        """Whole, in one transaction: no packet meets half of it."""
        table = {"table": {"family": "ip", "name": TABLE}}
        where = {"family": "ip", "table": TABLE}
        enis = {name: chain for name, chain in wanted.items() if name not in ("prerouting", _MAP_NAME)}
        one = {"map": {**where, "name": MAP, "type": "ipv4_addr", "map": "verdict"}}
        commands = [
            {"add": table},
            {"delete": table},
            {"add": table},
            *chain_commands(TABLE, enis),
            {"add": one},
        ]
        if self.tables:
            elements = [
                [str(address), {"goto": {"target": chain_of(t)}}] for address, t in self.tables.items()
            ]
            commands.append({"add": {"element": {**where, "name": MAP, "elem": elements}}})
        change(commands + chain_commands(TABLE, {"prerouting": wanted["prerouting"]}))

    def _put(self, wanted: Mapping[IPv4Address, int]) -> None:
        pairs = list(wanted.items())
        for start in range(0, len(pairs), AT_ONCE):
            part = pairs[start : start + AT_ONCE]
            try:
                self._netfilter.transaction([_add(address, table) for address, table in part])
            except NetlinkError as error:
                if error.errno != errno.EEXIST:
                    raise
                # it leads to another ENI; both in one transaction, so that it leads nowhere at no moment
                for address, table in part:
                    again = [_add(address, table)]
                    if self.chosen(address) not in (None, chain_of(table)):
                        again.insert(0, _delete(address))
                    self._netfilter.transaction(again)


def has_sources() -> bool:
    """Whether the table is there; asked without the command, for it is asked often."""
    try:
        netfilter = Netfilter()
    except KernelError:
        return False
    try:
        name = attribute(TABLE_NAME, TABLE.encode() + b"\0")
        netfilter.get(NF_TABLES << 8 | GETTABLE, header(socket.AF_INET) + name, f"look for {TABLE}")
    except OSError:  # no such table, or no nf_tables at all
        return False
    finally:
        netfilter.close()
    return True


def kernel_sources() -> dict[IPv4Address, int]:
    """Pod address → its ENI's table, as the kernel has it now; empty without the compact layout. Raises NftError."""
    items = listed(TABLE) if has_sources() else None
    chains = elements_of(items or []).items()
    return {a: int(chain[len(CHAIN) :]) for a, chain in chains if chain[len(CHAIN) :].isdigit()}


def remove_sources() -> list[str]:
    """Take the table away; returns the changes. Raises NftError."""
    if not has_sources():
        return []
    run_nft(["-f", "-"], f"delete table ip {TABLE}\n")
    return [f"removed the nft table ip {TABLE}"]


def chain_of(table: int) -> str:
    """The chain of the ENI with that routing table."""
    return f"{CHAIN}{table}"


def elements_of(items: Iterable[Mapping[str, Any]]) -> dict[IPv4Address, str]:
    """Address → chain, of a listing."""
    found: dict[IPv4Address, str] = {}
    for item in items:
        if item.get("map", {}).get("name") == MAP:
            for key, verdict in item["map"].get("elem", []):
                found[IPv4Address(key)] = verdict.get("goto", {}).get("target", "")
    return found


_MAP_NAME = f"map {MAP}"


def _set_mark(number: int, mask: int) -> dict[str, Any]:
    meta = {"meta": {"key": "mark"}}
    mark = mark_of(number, mask)
    # as nft lists it: what is set needs not be cleared first
    kept = {"&": [meta, ~mask & 0xFFFFFFFF | mark]}
    return {"mangle": {"key": meta, "value": {"|": [kept, mark]}}}


def _add(address: IPv4Address, table: int) -> Request:
    verdict = attribute(VERDICT_CODE, GOTO) + attribute(VERDICT_CHAIN, chain_of(table).encode() + b"\0")
    element = attribute(ELEM_KEY | NESTED, attribute(DATA_VALUE, address.packed))
    element += attribute(ELEM_DATA | NESTED, attribute(DATA_VERDICT | NESTED, verdict))
    body = _body(attribute(LIST_ELEM | NESTED, element))
    return Request(
        NF_TABLES << 8 | NEWSETELEM, CREATE, body, f"let {address} leave by the ENI of table {table}"
    )


def _delete(address: IPv4Address) -> Request:
    element = attribute(ELEM_KEY | NESTED, attribute(DATA_VALUE, address.packed))
    body = _body(attribute(LIST_ELEM | NESTED, element))
    kind = NF_TABLES << 8 | DELSETELEM
    return Request(kind, 0, body, f"forget by which ENI {address} leaves", (errno.ENOENT,))


def _body(elements: bytes) -> bytes:
    names = attribute(ELEM_TABLE, TABLE.encode() + b"\0") + attribute(ELEM_SET, MAP.encode() + b"\0")
    return header(socket.AF_INET) + names + attribute(ELEM_ELEMENTS | NESTED, elements)


def why_not() -> str | None:
    """Why this kernel or image cannot do it; None if it can."""
    try:
        run_nft(["list", "tables", "ip"], None)
        Netfilter().close()
    except KernelError as error:
        return str(error)
    return None
