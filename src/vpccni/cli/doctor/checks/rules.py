"""Policy rules of others where ours are, or in front of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

from vpccni.cli.doctor.facts import Facts, known
from vpccni.cli.doctor.finding import Finding, Severity
from vpccni.cli.doctor.plain_rule import plain
from vpccni.cli.kernel.fib import LOOPBACK, Flow, look_up
from vpccni.cli.kernel.values import LOCAL_TABLE, Network, PolicyRule
from vpccni.cli.unknown import Unknown
from vpccni.ipam.values import MAIN_TABLE
from vpccni.linux.layout import TO_PODS, number_of
from vpccni.linux.rules import Rule
from vpccni.linux.wiring import FROM_POD, TO_POD, pod_of

VLAN, LOCAL_BEHIND, BY_MARK, TO_SERVICE = 10, 20, 1024, 1535
"""Priorities of ours beside the pods' (spec 5.1)."""
OUTSIDE = IPv4Address("192.0.2.1")
"""Some address that is no pod's: where a packet would go that a rule is tried with."""


def foreign_rules(facts: Facts) -> Iterator[Finding]:
    """Rules before the last one that a pod's packets must meet."""
    routing = known(facts.routing)
    pods = () if isinstance(facts.assignments, Unknown) else facts.assignments
    for rule in routing.network.rules:
        if rule.priority > FROM_POD or is_ours(rule):
            continue
        caught = next(
            (
                p
                for p in pods
                if isinstance(p.address, IPv4Address) and _takes(routing.network, rule, p.address)
            ),
            None,
        )
        where = "in front of" if rule.priority < TO_POD else "among"
        effect = (
            f"packets of pod {caught.pod} follow it"
            if caught is not None
            else "no pod's packets follow it now"
        )
        yield Finding(
            "foreign-rules",
            Severity.RISKY if caught is None else Severity.BROKEN,
            f"rule `{rule}` of somebody else's is {where} ours ({TO_POD} to {FROM_POD}); {effect}",
            "rules are asked in order: what it matches follows it and never meets the pods' own",
            f"find who makes it (another CNI, a VPN, a security agent) and have it use a priority from {FROM_POD + 1} on; "
            f"by hand: ip rule del pref {rule.priority} …",
        )


def is_ours(rule: PolicyRule) -> bool:
    """Whether a rule is the kernel's, or has the shape of one of ours or of the original's (spec 5.1)."""
    if rule.table == LOCAL_TABLE and rule.priority in (0, LOCAL_BEHIND):
        return True
    if rule.priority == VLAN:
        return rule.iif is not None and rule.iif.startswith("vlan")
    same = plain(rule)
    return same is not None and any(
        (
            same == TO_PODS,
            number_of(same) is not None,
            _older(same),
            pod_of(same) is not None and (same.priority == FROM_POD or same.table == MAIN_TABLE),
            same.mark is not None and same == Rule(BY_MARK, MAIN_TABLE, mark=same.mark, mask=same.mask),
            same.destination is not None
            and same == Rule(TO_SERVICE, MAIN_TABLE, destination=same.destination),
        )
    )


def _older(rule: Rule) -> bool:
    """From a pod to one of the VPC's CIDRs: releases before 1.6 (spec 5.5)."""
    both = rule.source is not None and rule.destination is not None
    return rule.priority == FROM_POD and both and rule.mark is None


def _takes(network: Network, rule: PolicyRule, address: IPv4Address) -> bool:
    """Whether a packet from or to the pod may follow the rule: a device, a mark or a port that it asks for may be there."""
    able = Flow(
        OUTSIDE,
        address,
        mark=0 if rule.inverted else rule.mark,
        iif=LOOPBACK if rule.inverted or rule.iif is None else rule.iif,
        protocol=rule.protocol or 0,
        source_port=rule.source_ports[0] if rule.source_ports else 0,
        destination_port=rule.destination_ports[0] if rule.destination_ports else 0,
    )
    back = replace(able, source=OUTSIDE, destination=address)
    return any(look_up(network, flow).rule == rule for flow in (able, back))
