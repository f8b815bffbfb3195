"""What the expressions of nft's JSON come to for one packet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from vpccni.cli.netfilter.packet import Walk

Value = Any
"""An IPv4Address, a number, a name, or a tuple of these."""


class NoSuchField(Exception):  # noqa: N818 -- the rule does not match, nothing is wrong
    """The packet has no such field: the rule is over."""


class Unknown(Exception):  # noqa: N818 -- as above
    """Nobody can tell from here."""


@dataclass(frozen=True, slots=True)
class Chance:
    """A random number below `below`."""

    below: int


Sets = Mapping[str, Sequence[Any]]
"""A table's named sets and maps, with their elements."""


def evaluate(expression: Any, walk: Walk, sets: Sets) -> Value:
    """The expression's value. Raises NoSuchField, Unknown."""
    if isinstance(expression, int | str):
        return expression
    if not isinstance(expression, dict) or len(expression) != 1:
        raise Unknown
    [(kind, body)] = expression.items()
    if kind in _FIELDS:
        return _FIELDS[kind](body, walk)
    if kind in ("numgen", "jhash", "symhash"):
        return Chance(int(body.get("mod", 1)))
    if kind in ("&", "|", "^", "<<", ">>", "concat"):
        parts = [evaluate(part, walk, sets) for part in body]
        return tuple(parts) if kind == "concat" else _bits(kind, parts)
    if kind == "map":
        found = chosen(evaluate(body["key"], walk, sets), elements(body["data"], sets), sets, walk)
        if found is None:
            raise NoSuchField
        return evaluate(found, walk, sets)
    raise Unknown


def elements(data: Any, sets: Sets) -> Sequence[Any]:
    """Of a set or map, named or written where it is used. Raises Unknown."""
    if isinstance(data, str) and data.startswith("@"):
        if data[1:] not in sets:
            raise Unknown
        return sets[data[1:]]
    if isinstance(data, dict) and "set" in data:
        found = data["set"]
        return found if isinstance(found, list) else [found]
    raise Unknown


def chosen(key: Value, pairs: Sequence[Any], sets: Sets, walk: Walk) -> Any:
    """What a map has for a key; None if nothing."""
    if isinstance(key, Chance):
        return pairs[walk.one_of(len(pairs))][1] if pairs else None
    return next((data for wanted, data in pairs if holds(key, wanted, sets)), None)


def holds(value: Value, wanted: Any, sets: Sets) -> bool:
    """Whether a value is, or is among, what is wanted. Raises Unknown."""
    if isinstance(value, Chance):
        raise Unknown
    if isinstance(wanted, list):
        return any(holds(value, each, sets) for each in wanted)
    if isinstance(wanted, str) and wanted.startswith("@"):
        return any(holds(value, each, sets) for each in elements(wanted, sets))
    if isinstance(wanted, dict):
        return _holds_all(value, wanted, sets)
    if isinstance(value, str) and isinstance(wanted, str) and wanted.endswith("*"):
        return value.startswith(wanted[:-1])
    return bool(_like(value, wanted) == value)


def _holds_all(value: Value, wanted: dict[str, Any], sets: Sets) -> bool:
    """Of a set, a network, a range, or several at once."""
    [(kind, body)] = wanted.items()
    match kind:
        case "set":
            return any(holds(value, each, sets) for each in elements(wanted, sets))
        case "elem":
            return holds(value, body["val"], sets)
        case "prefix":
            return isinstance(value, IPv4Address) and value in IPv4Network((body["addr"], body["len"]))
        case "range":
            low, high = (_like(value, limit) for limit in body)
            return bool(low <= value <= high)
        case "concat":
            pairs = zip(value, body, strict=True)
            return isinstance(value, tuple) and all(holds(one, each, sets) for one, each in pairs)
    raise Unknown


def _like(value: Value, wanted: Any) -> Value:
    """What is wanted, as the kind of value that it is compared with."""
    if isinstance(value, IPv4Address) and isinstance(wanted, str):
        try:
            return IPv4Address(wanted)
        except ValueError:
            raise Unknown from None
    if isinstance(value, int) and isinstance(wanted, str):
        try:
            return int(wanted, 0)
        except ValueError:
            raise Unknown from None
    return wanted


def _payload(body: Mapping[str, Any], walk: Walk) -> Value:
    packet = walk.packet
    protocol, name = body.get("protocol"), body.get("field")
    if protocol in ("tcp", "udp", "icmp") and protocol != packet.protocol:
        raise NoSuchField
    if protocol == "th" and packet.protocol == "icmp":
        raise NoSuchField
    match protocol, name:
        case "ip", "saddr":
            return packet.source
        case "ip", "daddr":
            return packet.destination
        case "ip", "protocol":
            return packet.protocol
        case (("tcp" | "udp" | "th"), "dport"):
            return packet.destination_port
        case (("tcp" | "udp" | "th"), "sport"):
            return packet.source_port
        case "icmp", "type":
            return "echo-request"
        case (("ip6" | "icmpv6"), _):
            raise NoSuchField
    raise Unknown


def _meta(key: str, walk: Walk) -> Value:
    packet = walk.packet
    known: dict[str, Value] = {
        "iifname": packet.iif,
        "oifname": packet.oif,
        "iif": packet.iif,
        "oif": packet.oif,
        "mark": packet.mark,
        "l4proto": packet.protocol,
        "nfproto": "ipv4",
        "protocol": "ip",
    }
    if key not in known:
        raise Unknown
    return known[key]


def _ct(body: Mapping[str, Any], walk: Walk) -> Value:
    match body.get("key"):
        case "mark":
            return walk.packet.ct_mark
        case "state":
            return "new"
        case "direction":
            return "original"
    raise Unknown


def _fib(body: Mapping[str, Any], walk: Walk) -> Value:
    flags = body.get("flags", [])
    flags = [flags] if isinstance(flags, str) else flags
    if body.get("result") != "type" or set(flags) - {"daddr", "saddr", "iif", "oif"}:
        raise Unknown
    packet = walk.packet
    address = packet.destination if "daddr" in flags else packet.source
    device = packet.iif if "iif" in flags else packet.oif if "oif" in flags else None
    return walk.kind_of(address, device).lower()


def _bits(kind: str, parts: Sequence[Value]) -> int:
    found = parts[0]
    for part in parts[1:]:
        if not (isinstance(found, int) and isinstance(part, int)):
            raise Unknown
        match kind:
            case "&":
                found &= part
            case "|":
                found |= part
            case "^":
                found ^= part
            case "<<":
                found <<= part
            case _:
                found >>= part
    return int(found) & 0xFFFFFFFF


_FIELDS: Mapping[str, Callable[[Any, Walk], Value]] = {
    "payload": _payload,
    "meta": lambda body, walk: _meta(body["key"], walk),
    "ct": _ct,
    "fib": _fib,
}
