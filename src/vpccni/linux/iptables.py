"""SNAT, NodePort marks and the legacy backend's connmark, as one iptables-restore transaction (spec 5.3).

Rules are written as `iptables-save` prints them, so that what is there can be compared with what is wanted by text.
Equal means untouched: counters go on, and no packet meets half a rule set.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

SNAT_CHAIN = "AWS-SNAT-CHAIN-0"
CONNMARK_CHAIN = "AWS-CONNMARK-CHAIN-0"
EVERYWHERE = IPv4Network("0.0.0.0/0")
PORTS = {"prng": " --random-fully", "hashrandom": " --random", "none": ""}
LOCK_WAIT = "5"
"""Seconds to wait for other users of iptables."""


class IptablesError(OSError):
    """iptables refused; the message has its words."""


@dataclass(frozen=True, slots=True)
class NatSettings:
    """What the rules depend on."""

    primary_interface: str
    node_address: IPv4Address
    vpc_cidrs: tuple[IPv4Network, ...]
    exclude_cidrs: tuple[IPv4Network, ...] = ()
    external_snat: bool = False
    ports: str = "prng"
    node_port: bool = True
    mark: int = 0x80
    veth_prefix: str = "eni"


@dataclass(frozen=True, slots=True)
class TableRules:
    """One table: chains of ours with their rules in order, and rules of ours in the kernel's chains."""

    chains: dict[str, tuple[str, ...]]
    jumps: tuple[str, ...]


def backend() -> str:
    """The kernel interface that the `iptables` command uses: "nft" or "legacy" (spec 9.1)."""
    said = subprocess.run(["iptables", "--version"], capture_output=True, text=True, check=False).stdout
    return "legacy" if "legacy" in said else "nft"


def wanted_nat(settings: NatSettings, *, connmark: bool) -> TableRules:
    """The nat table: SNAT for what leaves the VPC; with `connmark`, the legacy backend's marks too."""
    chain: list[str] = []
    jumps: list[str] = []
    chains: dict[str, tuple[str, ...]] = {}
    if not settings.external_snat:
        # upstream inserts each at the top: so the last given comes first (spec 9.6)
        chain += [_return(c, "AWS SNAT CHAIN EXCLUSION") for c in reversed(settings.exclude_cidrs)]
        chain += [_return(c, "AWS SNAT CHAIN") for c in reversed(settings.vpc_cidrs)]
        chain.append(
            '! -o vlan+ -m comment --comment "AWS, SNAT" -m addrtype ! --dst-type LOCAL '
            f"-j SNAT --to-source {settings.node_address}{PORTS[settings.ports]}"
        )
        jumps.append(f'POSTROUTING -m comment --comment "AWS SNAT CHAIN" -j {SNAT_CHAIN}')
    chains[SNAT_CHAIN] = tuple(chain)
    if connmark and not settings.external_snat:
        exempt = (*reversed(settings.exclude_cidrs), *reversed(settings.vpc_cidrs))
        chains[CONNMARK_CHAIN] = (
            *(_return(c, "AWS CONNMARK CHAIN") for c in exempt),
            f'-m comment --comment "AWS, CONNMARK" -j CONNMARK --set-xmark {settings.mark:#x}/{settings.mark:#x}',
        )
        jumps.append(
            f'PREROUTING -i {settings.veth_prefix}+ -m comment --comment "AWS, outbound connections" -j {CONNMARK_CHAIN}'
        )
        jumps.append(f'PREROUTING -m comment --comment "AWS, CONNMARK" {_restore(settings.mark)}')
    return TableRules(chains, tuple(jumps))


def wanted_mangle(settings: NatSettings) -> TableRules:
    """The mangle table: connections that came in by the primary ENI go out by it (NodePort)."""
    comment = '-m comment --comment "AWS, primary ENI"'
    mark = f"{settings.mark:#x}/{settings.mark:#x}"
    jumps: list[str] = []
    if settings.node_port:
        jumps.append(
            f"PREROUTING -i {settings.primary_interface} {comment} -m addrtype --dst-type LOCAL --limit-iface-in "
            f"-j CONNMARK --set-xmark {mark}"
        )
    if settings.node_port or not settings.external_snat:
        jumps.append(f"PREROUTING -i {settings.veth_prefix}+ {comment} {_restore(settings.mark)}")
    if settings.node_port:
        jumps.append(f"PREROUTING -i vlan+ {comment} {_restore(settings.mark)}")
    return TableRules({}, tuple(jumps))


def transaction(saved: str, nat: TableRules, mangle: TableRules) -> str:
    """The input for iptables-restore --noflush that makes `saved` (iptables-save's output) as wanted; "" if it is."""
    present = parse_save(saved)
    return "".join(
        _table(name, present.get(name, {}), rules) for name, rules in (("mangle", mangle), ("nat", nat))
    )


def parse_save(saved: str) -> dict[str, dict[str, list[str]]]:
    """Table → chain → rules in order, as iptables-save prints them without -A and the chain."""
    tables: dict[str, dict[str, list[str]]] = {}
    table: dict[str, list[str]] = {}
    for line in saved.splitlines():
        if line.startswith("*"):
            table = tables.setdefault(line[1:], {})
        elif line.startswith(":"):
            table.setdefault(line[1:].split(" ", 1)[0], [])
        elif line.startswith("-A "):
            _, chain, rule = line.split(" ", 2)
            table.setdefault(chain, []).append(rule.rstrip())
    return tables


def apply(nat: TableRules, mangle: TableRules) -> bool:
    """Compare and, only if something differs, change all of it at once. True if it did. Raises IptablesError."""
    script = transaction(_run(["iptables-save"], None), nat, mangle)
    if script:
        _run(["iptables-restore", "--noflush", "-w", LOCK_WAIT], script)
    return bool(script)


def _table(name: str, present: dict[str, list[str]], wanted: TableRules) -> str:
    lines: list[str] = []
    for chain, rules in wanted.chains.items():
        if present.get(chain) != list(rules):
            lines.append(f":{chain} - [0:0]")  # with --noflush this empties just this chain
            lines += [f"-A {chain} {rule}" for rule in rules]
    for chain in ("PREROUTING", "POSTROUTING"):
        ours = [rule for rule in present.get(chain, []) if is_ours(rule)]
        want = [jump.split(" ", 1)[1] for jump in wanted.jumps if jump.startswith(f"{chain} ")]
        stale = _beyond(ours, want)
        if [rule for rule in ours if rule in want][: len(want)] != want or stale:
            missing = _beyond(want, ours)
            lines += [f"-A {chain} {rule}" for rule in missing]
            lines += [f"-D {chain} {rule}" for rule in stale]
    gone = [c for c in (CONNMARK_CHAIN,) if name == "nat" and c in present and c not in wanted.chains]
    for chain in gone:
        lines += [f"-F {chain}", f"-X {chain}"]
    return "\n".join([f"*{name}", *lines, "COMMIT", ""]) if lines else ""


def is_ours(rule: str) -> bool:
    """Whether a rule in one of the kernel's chains is one that we, or an older release, made."""
    return (
        '--comment "AWS, ' in rule
        or '--comment "AWS SNAT CHAIN"' in rule
        or '--comment "AWS SNAT CHAN"' in rule
    )


def _beyond(rules: Iterable[str], others: Iterable[str]) -> list[str]:
    """The rules that are not among the others, a doubled one counted as often as it is there."""
    left = list(others)
    beyond: list[str] = []
    for rule in rules:
        if rule in left:
            left.remove(rule)
        else:
            beyond.append(rule)
    return beyond


def _return(cidr: IPv4Network, comment: str) -> str:
    where = "" if cidr == EVERYWHERE else f"-d {cidr} "
    return f'{where}-m comment --comment "{comment}" -j RETURN'


def _restore(mark: int) -> str:
    return f"-j CONNMARK --restore-mark --nfmask {mark:#x} --ctmask {mark:#x}"


def _run(command: list[str], script: str | None) -> str:
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise IptablesError(done.returncode, f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout
