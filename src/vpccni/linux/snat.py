"""What leaves the VPC leaves with the node's address, and what came in by the primary ENI leaves by it (spec 5.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vpccni.linux.iptables import WantedTable

SNAT_CHAIN = "AWS-SNAT-CHAIN-0"
CONNMARK_CHAIN = "AWS-CONNMARK-CHAIN-0"
EVERYWHERE = IPv4Network("0.0.0.0/0")
PORTS = {"prng": " --random-fully", "hashrandom": " --random", "none": ""}
"""AWS_VPC_K8S_CNI_RANDOMIZESNAT: how the node's source ports are chosen."""
COMMENTS = frozenset(
    {
        "AWS SNAT CHAIN",
        "AWS SNAT CHAN",  # an old release's slip of the pen (spec 9.6)
        "AWS, SNAT",
        "AWS, primary ENI",
        "AWS, outbound connections",
        "AWS, CONNMARK",
    }
)
"""How the original's rules in the kernel's chains are known."""
OLD_CHAIN = re.compile(r"AWS-(SNAT|CONNMARK)-CHAIN-[1-9][0-9]*")
"""Chains of releases up to 1.12, one a CIDR (spec 5.3, CleanUpStaleAWSChains)."""


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

    @property
    def exempt(self) -> tuple[IPv4Network, ...]:
        """Destinations that see the pod's own address. The original inserts each at the top: the last comes first."""
        return tuple(dict.fromkeys((*reversed(self.exclude_cidrs), *reversed(self.vpc_cidrs))))


def wanted_tables(settings: NatSettings, *, connmark: bool) -> dict[str, WantedTable]:
    """Our part of iptables; with `connmark` (the legacy backend) the marks of outgoing connections too."""
    return {
        "mangle": _mangle(settings),
        "nat": _nat(settings, connmark=connmark and not settings.external_snat),
    }


def _nat(settings: NatSettings, *, connmark: bool) -> WantedTable:
    chains: dict[str, tuple[str, ...]] = {SNAT_CHAIN: ()}
    prerouting: tuple[str, ...] = ()
    postrouting: tuple[str, ...] = ()
    if not settings.external_snat:
        chains[SNAT_CHAIN] = (
            *(_return(c, "AWS SNAT CHAIN EXCLUSION") for c in _upwards(settings.exclude_cidrs)),
            *(_return(c, "AWS SNAT CHAIN") for c in _upwards(settings.vpc_cidrs)),
            _snat(settings),
        )
        postrouting = (f'-m comment --comment "AWS SNAT CHAIN" -j {SNAT_CHAIN}',)
    if connmark:
        mark = f"{settings.mark:#x}/{settings.mark:#x}"
        chains[CONNMARK_CHAIN] = (
            *(_return(c, "AWS CONNMARK CHAIN") for c in settings.exempt),
            f'-m comment --comment "AWS, CONNMARK" -j CONNMARK --set-xmark {mark}',
        )
        prerouting = (
            f'-i {settings.veth_prefix}+ -m comment --comment "AWS, outbound connections" -j {CONNMARK_CHAIN}',
            f'-m comment --comment "AWS, CONNMARK" {_restore(settings.mark)}',
        )
    jumps = {"PREROUTING": prerouting, "POSTROUTING": postrouting}
    return WantedTable(chains, jumps, _Stale(jumps, settings), _is_old_chain)


def _mangle(settings: NatSettings) -> WantedTable:
    comment = '-m comment --comment "AWS, primary ENI"'
    rules: list[str] = []
    if settings.node_port:
        rules.append(
            f"-i {settings.primary_interface} {comment} -m addrtype --dst-type LOCAL --limit-iface-in "
            f"-j CONNMARK --set-xmark {settings.mark:#x}/{settings.mark:#x}"
        )
    if settings.node_port or not settings.external_snat:
        rules.append(f"-i {settings.veth_prefix}+ {comment} {_restore(settings.mark)}")
    if settings.node_port:
        rules.append(f"-i vlan+ {comment} {_restore(settings.mark)}")
    jumps = {"PREROUTING": tuple(rules)}
    return WantedTable({}, jumps, _Stale(jumps, settings))


class _Stale:
    """Whether a rule is ours from earlier: by its comment.

    Pods that an earlier veth prefix named may still run: the rules for them stay, as the original's do (spec 9.6).
    """

    def __init__(self, jumps: dict[str, tuple[str, ...]], settings: NatSettings) -> None:
        ours = f"-i {settings.veth_prefix}+ "
        self._twins = {
            rule.removeprefix(ours) for rules in jumps.values() for rule in rules if rule.startswith(ours)
        }

    def __call__(self, rule: str) -> bool:
        comment = re.search(r'--comment "([^"]*)"', rule)
        if comment is None or comment[1] not in COMMENTS:
            return False
        other = re.fullmatch(r"-i (\S+)\+ (.*)", rule)
        return other is None or other[1] == "vlan" or other[2] not in self._twins


def _is_old_chain(chain: str) -> bool:
    return chain == CONNMARK_CHAIN or OLD_CHAIN.fullmatch(chain) is not None


def _upwards(cidrs: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    """Each once, the last first: the original inserts each at the top (spec 9.6)."""
    return tuple(dict.fromkeys(reversed(cidrs)))


def _return(cidr: IPv4Network, comment: str) -> str:
    where = "" if cidr == EVERYWHERE else f"-d {cidr} "
    return f'{where}-m comment --comment "{comment}" -j RETURN'


def _snat(settings: NatSettings) -> str:
    return (
        '! -o vlan+ -m comment --comment "AWS, SNAT" -m addrtype ! --dst-type LOCAL '
        f"-j SNAT --to-source {settings.node_address}{PORTS[settings.ports]}"
    )


def _restore(mark: int) -> str:
    return f"-j CONNMARK --restore-mark --nfmask {mark:#x} --ctmask {mark:#x}"
