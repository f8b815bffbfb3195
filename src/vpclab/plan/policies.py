"""A policy's settings as the agent reads them, and what of other managers' rules the same pool can follow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from vpccni.agent.settings import Settings, WarmMode, parse_settings
from vpccni.ipam.adaptive import Adaptive
from vpccni.ipam.limits import InstanceLimits
from vpccni.ipam.values import BlockKind
from vpccni.ipam.warmth import Warmth
from vpclab.plan.scenario import Manager, Policy
from vpclab.sim.node import Setup
from vpclab.sim.watermarks import Azure, Cilium

COUNT = frozenset(
    {
        *("WARM_ENI_TARGET", "WARM_IP_TARGET", "MINIMUM_IP_TARGET", "WARM_PREFIX_TARGET", "MAX_ENI"),
        *("ENABLE_PREFIX_DELEGATION", "IP_COOLDOWN_PERIOD", "VPC_CNI_SURPLUS_PERIOD"),
        *("ENABLE_SUBNET_DISCOVERY", "DISABLE_LEAKED_ENI_CLEANUP"),
        *("WARM_TARGET_MODE", "WARM_WAIT_PROBABILITY"),
    }
)
"""Settings that change what a node holds and asks for."""
OTHERS_TOO = frozenset({"ENABLE_PREFIX_DELEGATION", "IP_COOLDOWN_PERIOD", "MAX_ENI"})
"""What a pool under Azure's or Cilium's rules has as well."""


def problem_of(policy: Policy) -> tuple[str, str] | None:
    """Which setting can't be planned with, and why."""
    theirs = policy.manager in {Manager.AZURE, Manager.CILIUM}
    for name in policy.env:
        if name not in COUNT:
            return name, f"{name} does not change what a plan counts; these do: {', '.join(sorted(COUNT))}"
        if theirs and name not in OTHERS_TOO:
            return name, f"{name} means nothing to {policy.manager.value}'s rules"
    _, bad = parse_settings(policy.env)
    return (bad[0].name, str(bad[0])) if bad else None


def settings_of(policy: Policy) -> Settings:
    """As aws-node would read them."""
    return parse_settings(policy.env)[0]


def setup_of(policy: Policy, of_type: InstanceLimits, max_pods: int | None) -> Setup:
    """For a node of this type."""
    settings = settings_of(policy)
    kind = (
        BlockKind.PREFIX
        if settings.prefix_delegation and of_type.supports_prefixes
        else BlockKind.SECONDARY_IP
    )
    warmth: Callable[[], Warmth] | None = None
    if settings.warm_mode is WarmMode.ADAPTIVE:
        warmth = partial(Adaptive, settings.warm, settings.wait_probability)
    if policy.manager is Manager.AZURE:
        warmth = partial(Azure, policy.batch, policy.minimum_free)
    elif policy.manager is Manager.CILIUM:
        warmth = partial(Cilium, policy.pre_allocate)
    return Setup(
        targets=settings.warm,
        kind=kind,
        cooldown=settings.cooldown,
        max_enis=settings.max_enis,
        max_pods=max_pods,
        subnet_discovery=settings.subnet_discovery,
        looks_for_leaked=settings.leaked_eni_cleanup,
        surplus_lasts=settings.surplus_lasts,
        warmth=warmth,
    )
