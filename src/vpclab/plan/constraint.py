"""What stands in the way: of a pod, if any had no address; else of a larger cluster, whichever is nearest."""

from __future__ import annotations

from collections.abc import Mapping

from vpccni.ipam.reasons import Reason
from vpclab.plan.outcome import Outcome
from vpclab.plan.scenario import Scenario
from vpclab.plan.timeline import Timeline


def binding(scenario: Scenario, outcome: Outcome, plan: Timeline, rooms: Mapping[str, int]) -> str:
    """A sentence."""
    failed = [r for r in outcome.reasons if r.failed]
    if failed:
        worst = failed[0]
        about = worst.detail.partition(" (")[0].partition(";")[0]
        what = f"{worst.failed} ADDs failed with {worst.reason}" + (f", {about}" if about else "")
        return f"{what}. {Reason(worst.reason).advice}"
    if plan.no_room:
        pods = sum(rooms[g.name] * g.count for g in scenario.nodes)
        return (
            f"max pods: {len(plan.no_room)} pods found no node with room; the first nodes take {pods} pods "
            "beside those of the host's network"
        )
    subnet = min(outcome.subnets, key=lambda s: s.lowest_free / s.capacity, default=None)
    calls = min(outcome.by_action, key=lambda c: c.headroom, default=None)
    if subnet is None:
        return "nothing"
    refused = sum(c.no_address for c in outcome.by_action)
    if refused:
        return (
            f"subnet {subnet.name} is full for the pools: {refused} EC2 calls were refused for want of addresses or /28s, "
            "the warm targets could not be met, and no pod went without yet"
        )
    left = subnet.lowest_free / subnet.capacity
    if calls is not None and calls.headroom < left:
        return (
            f"nothing yet; the nearest is EC2's rate limit on {calls.action}: "
            f"{calls.lowest:.0f} of {calls.size:.0f} tokens were left at the busiest moment"
        )
    return (
        f"nothing yet; the nearest is subnet {subnet.name}: "
        f"{subnet.lowest_free} of {subnet.capacity} addresses were left"
    )
