"""Whether an iptables rule matches a packet: yes, no, or nobody can tell from here (None)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network

from vpccni.cli.netfilter.iptables_text import IptablesRule, Option
from vpccni.cli.netfilter.packet import PROTOCOLS, Walk

RANDOM = frozenset({"statistic"})


def rule_matches(rule: IptablesRule, walk: Walk) -> bool | None:
    """All of the rule's matches together: one that does not hold decides, whatever the others are."""
    unknown = False
    chance = False
    for module, options in rule.matches:
        if module in RANDOM:
            chance = True
            continue
        for option in _effective(module, options):
            held = _option_holds(module, option, options, walk)
            if held is False:
                return False
            unknown = unknown or held is None
    if unknown:
        return None
    return walk.by_chance() if chance else True


def _effective(module: str, options: Iterable[Option]) -> Iterable[Option]:
    """Those that select something by themselves."""
    if module == "comment":
        return ()
    return (option for option in options if option.name not in ("--limit-iface-in", "--limit-iface-out"))


def _option_holds(module: str, option: Option, options: tuple[Option, ...], walk: Walk) -> bool | None:
    held: bool | None
    if module == "addrtype" and option.name in ("--dst-type", "--src-type"):
        held = _address_kind(option, options, walk)
    elif module in ("conntrack", "state") and option.name in ("--ctstate", "--state"):
        held = _state(option.value, walk)
    else:
        check = _CHECKS.get((module, option.name))
        held = None if check is None else check(option.value, walk)
    return held if held is None else held != option.inverted


def _address_kind(option: Option, options: tuple[Option, ...], walk: Walk) -> bool:
    packet = walk.packet
    address = packet.destination if option.name == "--dst-type" else packet.source
    names = {each.name for each in options}
    device = (
        packet.iif if "--limit-iface-in" in names else packet.oif if "--limit-iface-out" in names else None
    )
    return walk.kind_of(address, device) in option.value.upper().split(",")


def _state(value: str, walk: Walk) -> bool:
    """It is the first packet of its connection."""
    states = set(value.upper().split(","))
    return bool(
        "NEW" in states
        or ("DNAT" in states and "destination" in walk.translated)
        or ("SNAT" in states and "source" in walk.translated)
    )


def _network(value: str, address: IPv4Address) -> bool:
    return address in IPv4Network(value, strict=False)


def _device(value: str, name: str) -> bool:
    return name.startswith(value[:-1]) if value.endswith("+") else name == value


def _protocol(value: str, walk: Walk) -> bool:
    return value in ("all", "0", walk.packet.protocol, str(walk.packet.number))


def _ports(value: str, port: int) -> bool:
    for part in value.split(","):
        low, colon, high = part.partition(":")
        if int(low or 0) <= port <= int(high or 65535 if colon else low):
            return True
    return False


def _marked(value: str, mark: int) -> bool:
    wanted, _, mask = value.partition("/")
    return mark & (int(mask, 0) if mask else 0xFFFFFFFF) == int(wanted, 0)


def _icmp_type(value: str, walk: Walk) -> bool:
    """An echo request is what we send."""
    return walk.packet.protocol == "icmp" and value in ("8", "echo-request", "any", "255", "8/0")


def _port_check(side: str) -> Callable[[str, Walk], bool]:
    return lambda value, walk: _ports(value, getattr(walk.packet, side))


_CHECKS: dict[tuple[str, str], Callable[[str, Walk], bool]] = {
    ("", "-s"): lambda value, walk: _network(value, walk.packet.source),
    ("", "-d"): lambda value, walk: _network(value, walk.packet.destination),
    ("", "-i"): lambda value, walk: _device(value, walk.packet.iif),
    ("", "-o"): lambda value, walk: _device(value, walk.packet.oif),
    ("", "-p"): _protocol,
    ("", "-f"): lambda _, __: False,
    ("mark", "--mark"): lambda value, walk: _marked(value, walk.packet.mark),
    ("connmark", "--mark"): lambda value, walk: _marked(value, walk.packet.ct_mark),
    ("icmp", "--icmp-type"): _icmp_type,
    ("conntrack", "--ctdir"): lambda value, _: value.upper() == "ORIGINAL",
    ("multiport", "--dports"): lambda value, walk: _ports(value, walk.packet.destination_port),
    ("multiport", "--sports"): lambda value, walk: _ports(value, walk.packet.source_port),
    ("multiport", "--ports"): lambda value, walk: (
        _ports(value, walk.packet.destination_port) or _ports(value, walk.packet.source_port)
    ),
    ("tcp", "--syn"): lambda _, __: True,
    **{
        (protocol, option): _port_check(side)
        for protocol in PROTOCOLS
        for option, side in (("--dport", "destination_port"), ("--sport", "source_port"))
    },
}
