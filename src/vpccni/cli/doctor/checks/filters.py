"""iptables of two kinds, and whether our rules are there."""

from __future__ import annotations

from collections.abc import Iterator

from vpccni.cli.doctor.facts import Facts, known
from vpccni.cli.doctor.finding import Finding, Severity
from vpccni.cli.netfilter.iptables_text import Saved
from vpccni.cli.netfilter.read import LEGACY, NF_TABLES
from vpccni.linux.snat import SNAT_CHAIN

HINTS = ("KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY")
"""Chains that kubelet makes in the mangle table by the iptables that the host's administrator chose."""


def mixed_iptables(facts: Facts) -> Iterator[Finding]:
    """Both kinds hold rules; or ours are in the one that kubelet does not use."""
    filters = known(facts.filters)
    full = [saved for saved in filters.saved if saved.rules]
    hint = next((saved.backend for saved in filters.saved if _has_hint(saved)), None)
    kubelet = (
        f"kubelet's chain is in {hint}" if hint is not None else "kubelet has left no hint which it uses"
    )
    if {saved.backend for saved in full} >= {LEGACY, NF_TABLES}:
        counts = ", ".join(f"{saved.rules} in {saved.backend}" for saved in full)
        yield Finding(
            "iptables-mixed",
            Severity.RISKY,
            f"both kinds of iptables hold rules ({counts}); {kubelet}",
            "a packet meets the rules of both; whoever looks at one kind does not see the other, and SNAT or DNAT of one "
            "keeps those of the other from being asked",
            f"have everything use {hint or filters.used or 'one kind'} (update-alternatives --config iptables; the images "
            "of kube-proxy and network agents), then remove the other kind's rules or reboot the node",
        )
    ours = next((saved.backend for saved in filters.saved if SNAT_CHAIN in saved.tables.get("nat", {})), None)
    if ours is not None and hint is not None and ours != hint:
        yield Finding(
            "iptables-mixed",
            Severity.RISKY,
            f"our rules are in {ours}, kubelet's in {hint}",
            "the order between kube-proxy's rules and ours is then that of the two kinds, not of the rules",
            f"make `iptables` in the agent's image the {hint} one",
        )


def snat_rules(facts: Facts) -> Iterator[Finding]:
    """What makes pods' packets leave the VPC with the node's address is there."""
    filters, settings = known(facts.filters), facts.settings.settings
    if settings.external_snat or settings.ipv6 or not filters.saved:
        return
    fix = "see why the agent cannot write it (its log), or restart the agent"
    for saved in filters.saved:
        nat = saved.tables.get("nat", {})
        chain = nat.get(SNAT_CHAIN)
        if chain is None:
            continue
        jumps = [rule for rule in nat["POSTROUTING"].rules if rule.target == SNAT_CHAIN]
        if not jumps or not any(rule.target == "SNAT" for rule in chain.rules):
            missing = "POSTROUTING does not lead to it" if not jumps else "it has no SNAT rule"
            yield Finding(
                "snat-rules",
                Severity.BROKEN,
                f"{SNAT_CHAIN} is there, but {missing}",
                "pods' packets leave the VPC with addresses that nobody outside can answer",
                fix,
            )
        return
    yield Finding(
        "snat-rules",
        Severity.BROKEN,
        f"there is no chain {SNAT_CHAIN}, and AWS_VPC_K8S_CNI_EXTERNALSNAT is false",
        "pods on this node reach nothing outside of the VPC",
        fix,
    )


def _has_hint(saved: Saved) -> bool:
    mangle = saved.tables.get("mangle", {})
    return any(hint in mangle for hint in HINTS)
