"""A packet's walk through iptables' tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from vpccni.cli.netfilter.hooks import NAT_PRIORITY
from vpccni.cli.netfilter.iptables_match import rule_matches
from vpccni.cli.netfilter.iptables_text import IptablesRule, Option, Saved, Table
from vpccni.cli.netfilter.packet import NAT_SIDE, Hook, Verdict, Walk

PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
"""Of the tables' chains on every hook; those of nat on the way out are the exception."""
DEEPEST = 64
"""Chains below chains: the kernel refuses loops, a dump that was made while somebody changed them may have one."""
GOES_ON = frozenset(
    {"LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "CT", "NOTRACK", "TCPMSS", "CLASSIFY", "DSCP", "TOS", "TTL", "CHECKSUM",
     "SET", "CONNSECMARK", "SECMARK", "RATEEST", "LED", "IDLETIMER", ""}
)  # fmt: skip
"""Targets after which the next rule is asked, and which do nothing that decides about the way."""


class _End(Exception):  # noqa: N818 -- a way out of the walk, not an error
    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class IptablesBase:
    """One of a table's chains on a hook."""

    backend: str
    name: str
    """The table's."""
    hook: Hook
    table: Table

    @property
    def priority(self) -> int:
        """Where it hangs."""
        return NAT_PRIORITY[self.hook] if self.is_nat else PRIORITIES[self.name]

    @property
    def is_nat(self) -> bool:
        """The nat table's are."""
        return self.name == "nat"

    def run(self, walk: Walk) -> Verdict:
        """The packet meets the chain."""
        chain = self.hook.name
        try:
            self._chain(walk, chain, 0)
        except _End as end:
            return end.verdict
        if self.table[chain].policy == "DROP":
            walk.hit(f"{self.name} {chain}", "the chain's policy", "DROP")
            return Verdict.DROP
        return Verdict.ACCEPT

    def _chain(self, walk: Walk, name: str, depth: int) -> None:
        """Returns where the calling chain goes on. Raises _End."""
        if name not in self.table or depth > DEEPEST:
            return
        where = f"{self.name} {name}"
        for rule in self.table[name].rules:
            held = rule_matches(rule, walk)
            if held is None:
                walk.doubt(f"{where}: cannot tell whether `{rule.text}` matches; taken as not matching")
            elif held:
                if rule.target == "RETURN":
                    walk.hit(where, rule.text, "RETURN")
                    return
                if rule.target in self.table:
                    self._chain(walk, rule.target, depth + 1)
                    if rule.goto:
                        return
                else:
                    self._target(walk, where, rule)

    def _target(self, walk: Walk, where: str, rule: IptablesRule) -> None:
        options = {option.name: option for option in rule.options}
        match rule.target:
            case "ACCEPT":
                walk.hit(where, rule.text, "ACCEPT")
                raise _End(Verdict.ACCEPT)
            case "DROP":
                walk.hit(where, rule.text, "DROP")
                raise _End(Verdict.DROP)
            case "REJECT":
                walk.hit(where, rule.text, "REJECT")
                raise _End(Verdict.REJECT)
            case "MARK":
                walk.change(mark=_set(options, walk.packet.mark))
                walk.hit(where, rule.text, f"the packet's mark becomes {walk.packet.mark:#x}")
            case "CONNMARK":
                _connmark(walk, where, rule, options)
            case "DNAT" | "SNAT" | "MASQUERADE" | "REDIRECT":
                self._nat(walk, where, rule, options)
                raise _End(Verdict.ACCEPT)
            case target if target not in GOES_ON:
                walk.doubt(f"{where}: what `{rule.text}` does is not known; taken as nothing")

    def _nat(self, walk: Walk, where: str, rule: IptablesRule, options: dict[str, Option]) -> None:
        side = NAT_SIDE[self.hook]
        given = options.get("--to-source") or options.get("--to-destination")
        if rule.target == "MASQUERADE":
            walk.translate(where, rule.text, side, None, None)
            walk.doubt(f"{where}: MASQUERADE takes the address of {walk.packet.oif}")
            return
        if rule.target == "REDIRECT":
            walk.doubt(
                f"{where}: REDIRECT sends it to this host itself, by the address of {walk.packet.iif or 'lo'}"
            )
        address, port = _to(given.value) if given else (None, _port(options))
        walk.translate(where, rule.text, side, address, port)


def bases(saved: Saved) -> Iterator[IptablesBase]:
    """The chains of every table that hang on a hook."""
    for name, table in saved.tables.items():
        if name in PRIORITIES:
            for hook in Hook:
                if hook.name in table and (name != "nat" or hook in NAT_PRIORITY):
                    yield IptablesBase(saved.backend, name, hook, table)


def _connmark(walk: Walk, where: str, rule: IptablesRule, options: dict[str, Option]) -> None:
    packet = walk.packet
    both = _number(options, "--mask", 0xFFFFFFFF)
    mark_bits, ct_bits = _number(options, "--nfmask", both), _number(options, "--ctmask", both)
    if "--restore-mark" in options:
        walk.change(mark=packet.mark & ~mark_bits & 0xFFFFFFFF ^ (packet.ct_mark & ct_bits))
        changed, text = packet.mark != walk.packet.mark, f"the packet's mark becomes {walk.packet.mark:#x}"
    elif "--save-mark" in options:
        walk.change(ct_mark=packet.ct_mark & ~ct_bits & 0xFFFFFFFF ^ (packet.mark & mark_bits))
        changed, text = True, f"the connection's mark becomes {walk.packet.ct_mark:#x}"
    else:
        walk.change(ct_mark=_set(options, packet.ct_mark))
        changed, text = True, f"the connection's mark becomes {walk.packet.ct_mark:#x}"
    if changed:  # a mark restored from a connection without one is not worth a line
        walk.hit(where, rule.text, text)


def _set(options: dict[str, Option], mark: int) -> int:
    """--set-xmark V/M clears M and adds V by exclusive or; --set-mark by or; and, or, xor are what they say."""
    for name in ("--set-xmark", "--set-mark"):
        if name in options:
            value, mask = _pair(options[name].value)
            kept = mark & ~mask & 0xFFFFFFFF
            return kept ^ value if name == "--set-xmark" else kept | value
    if "--and-mark" in options:
        return mark & int(options["--and-mark"].value, 0)
    if "--or-mark" in options:
        return mark | int(options["--or-mark"].value, 0)
    return mark ^ int(options["--xor-mark"].value, 0) if "--xor-mark" in options else mark


def _pair(value: str) -> tuple[int, int]:
    number, _, mask = value.partition("/")
    return int(number, 0), int(mask, 0) if mask else 0xFFFFFFFF


def _number(options: dict[str, Option], name: str, default: int) -> int:
    return int(options[name].value, 0) if name in options else default


def _to(value: str) -> tuple[IPv4Address | None, int | None]:
    """ADDRESS[-ADDRESS][:PORT[-PORT]]: of ranges the first."""
    addresses, _, ports = value.partition(":")
    address = addresses.partition("-")[0]
    port = ports.partition("-")[0]
    return (IPv4Address(address) if address else None), (int(port) if port else None)


def _port(options: dict[str, Option]) -> int | None:
    given = options.get("--to-ports") or options.get("--to-port")
    return int(given.value.partition("-")[0]) if given else None
