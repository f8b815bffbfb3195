"""The largest cluster that fits: the scenario's nodes and pods, so many times, until an ADD fails for want of addresses or calls."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vpclab.plan.run import Run, StoppedError
from vpclab.plan.scenario import Policy, Scenario, ScenarioError

FARTHEST = 64.0
"""Times the scenario's size; what still fits then is said to fit so far."""
CLOSE = 0.02
"""The part of a cluster's size that is not told apart."""
LONGEST = 4 * 3600.0
"""Seconds that are tried: a day's curve is looked at around its noon."""


@dataclass(frozen=True, slots=True)
class Largest:
    """How far it goes."""

    nodes: int | None
    """None: not even one node a group fits."""
    because: str
    """What the next larger one meets."""


def largest(scenario: Scenario, policy: Policy) -> Largest:
    """By halving. Raises ScenarioError."""
    tried = shortened(scenario)
    low, high, why = 0.0, 1.0, ""
    while high <= FARTHEST:
        met = _meets(tried, policy, high)
        if met:
            why = met
            break
        low, high = high, high * 2
    else:
        return Largest(tried.scaled(low).most_nodes, "larger ones were not tried")
    while (high - low) * scenario.most_nodes >= 1 and (high - low) > CLOSE * high:
        middle = (low + high) / 2
        met = _meets(tried, policy, middle)
        if met:
            high, why = middle, met
        else:
            low = middle
    fits = tried.scaled(low).most_nodes if low else None
    return Largest(fits, why)


def shortened(scenario: Scenario) -> Scenario:
    """The busiest hours: the noon of a day's curve, else the first ones."""
    if scenario.seconds <= LONGEST or (scenario.seconds >= 43200 and any(p.spans for p in scenario.pods)):
        return scenario
    return replace(scenario, seconds=LONGEST) if not _curved(scenario) else replace(scenario, seconds=50400.0)


def _curved(scenario: Scenario) -> bool:
    return any(p.shape.value == "diurnal" for p in scenario.pods) or any(g.changes for g in scenario.nodes)


def _meets(scenario: Scenario, policy: Policy, factor: float) -> str:
    """What keeps it from fitting; empty: nothing."""
    try:
        outcome = Run(scenario.scaled(factor), policy, stop_at_failure=True).go()
    except StoppedError as error:
        return str(error)
    except ScenarioError as error:
        return str(error)
    if outcome.no_room:
        return f"{outcome.no_room} pods find no node with room (max pods)"
    return ""
