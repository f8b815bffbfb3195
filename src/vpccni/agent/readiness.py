"""Whether the node can run pods, and whether the agent lives: told as it is (spec 11.6 number 50). Pure.

Ready means: started, and the pool holds addresses for pods or can get some. In particular

| Case | Holds addresses | Holds none |
| --- | --- | --- |
| the pool is exhausted (limits reached, all assigned) | ready, degraded | cannot be |
| EC2 does not answer, or throttles | ready, degraded | not ready |
| the role may not call EC2 | ready, degraded | not ready |
| custom networking without an ENIConfig | ready, degraded | not ready |
| every ENI failed to be set up | ready, degraded | not ready |
| EC2 has not been asked yet, or is being asked for the first time | - | ready |
| the subnet is full | ready, degraded | not ready |

A pool that holds addresses is ready even if all of them are with pods: the agent does all that it can, and the scheduler
knows how many pods the node takes. What failed counts until it worked, not until the next attempt begins, so readiness
does not flap with the back-off. Liveness is another question: it fails for a loop that hangs and for nothing else,
because a restart cures nothing else.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from vpccni.ipam.decide import Ipam
from vpccni.ipam.reasons import Reason, Refusal

HANGING = 5.0
"""Seconds of lag from which on the loop counts as stuck: kubelet's probes give up far earlier."""
AS_IT_SHOULD_BE = frozenset({Reason.POOL_REFILLING, Reason.ALL_COOLING})
"""Reasons that pass by themselves, or are what the settings ask for."""


class Condition(enum.Enum):
    """How the agent is."""

    STARTING = "starting"
    SERVING = "serving"
    DEGRADED = "degraded"
    """It serves, or could, but something is in its way."""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Readiness:
    """What probes and people are told."""

    condition: Condition
    ready: bool
    phase: str
    """What start-up is doing; "serving" after it."""
    because: tuple[Refusal, ...] = ()
    """What is in the way, the most specific first; none if nothing is."""


def before_start(phase: str) -> Readiness:
    """The agent has not started, or has been told to stop."""
    if phase == Condition.STOPPING.value:
        return Readiness(Condition.STOPPING, ready=False, phase=phase)
    reason = Refusal(Reason.AGENT_STARTING, phase)
    return Readiness(Condition.STARTING, ready=False, phase=phase, because=(reason,))


def judge(
    *,
    holds: int,
    assignable: bool,
    obtainable: bool,
    refusal: Refusal,
    shortfall: Refusal | None,
    failing: tuple[Refusal, ...],
) -> Readiness:
    """The answer to probes, from what the pool says of itself.

    `holds`: addresses on usable ENIs; `refusal`: why an ADD would be refused, if it would; `shortfall`: why the targets
    are not met; `failing`: what EC2 or the host refused and has not granted since.
    """
    # what failed once and is not wanted any more, or was had elsewhere, is in nobody's way
    because = [] if assignable and shortfall is None else list(failing)
    if not assignable and refusal.reason not in AS_IT_SHOULD_BE:
        because.append(refusal)
    if shortfall is not None and shortfall.reason not in AS_IT_SHOULD_BE:
        because.append(shortfall)
    seen: dict[Reason, Refusal] = {}
    for entry in because:
        seen.setdefault(entry.reason, entry)
    ready = holds > 0 or (obtainable and not failing)
    condition = Condition.DEGRADED if seen or not ready else Condition.SERVING
    if not ready and not seen:
        seen[refusal.reason] = refusal
    return Readiness(condition, ready, Condition.SERVING.value, tuple(seen.values()))


def of_pool(ipam: Ipam, failing: tuple[Refusal, ...], now: float) -> Readiness:
    """How one started pool is."""
    return judge(
        holds=sum(ipam.pool.total.values()),
        assignable=ipam.can_assign(now),
        obtainable=ipam.worth_waiting(now),
        refusal=ipam.refusal(now),
        shortfall=ipam.shortfall(now),
        failing=failing,
    )


def of_cards(cards: Sequence[Readiness]) -> Readiness:
    """How a node is whose network cards have pools of their own: a pod gets its address from any that has one."""
    seen: dict[Reason, Refusal] = {}
    for refusal in (r for card in cards for r in card.because):
        seen.setdefault(refusal.reason, refusal)
    degraded = any(card.condition is Condition.DEGRADED for card in cards)
    return Readiness(
        Condition.DEGRADED if degraded else Condition.SERVING,
        any(card.ready for card in cards),
        Condition.SERVING.value,
        tuple(seen.values()),
    )
