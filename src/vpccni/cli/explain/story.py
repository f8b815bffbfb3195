"""What was decided, in order of time, and the sentence that says what to change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vpccni.ipam.reasons import Reason

Plain = Mapping[str, Any]
BEFORE = 10
"""Decisions that are told from before a pod was first refused: what led to it."""
ADDRESS_FOR = "an address for pod "


@dataclass(frozen=True, slots=True)
class Story:
    """A pod's, or the node's."""

    about: str
    now: tuple[str, ...]
    """How things are, in sentences."""
    decisions: tuple[Plain, ...]
    """The oldest first, as the agent tells them."""
    advice: tuple[tuple[str, str], ...] = field(default=())
    """Reason and what to do, for each that counts."""
    bad: bool = False

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "about": self.about,
            "now": list(self.now),
            "decisions": [dict(each) for each in self.decisions],
            "advice": [{"reason": reason, "do": text} for reason, text in self.advice],
        }


def of_node(status: Plain, decisions: Iterable[Plain]) -> Story:
    """Everything that is remembered, and what is in the way now."""
    blockers = [pool["blocker"] for pool in status["pools"] if pool["blocker"] is not None]
    because = [why for why in status["readiness"]["because"] if why not in blockers]
    now = [_pool(pool) for pool in status["pools"]]
    now += [f"in the way: {each['reason']}: {each['detail']}" for each in (*blockers, *because)]
    advice = {each["reason"]: each["advice"] for each in (*blockers, *because)}
    name = status["node"] or "this node"
    return Story(name, tuple(now), tuple(decisions), tuple(advice.items()), bad=bool(advice))


def of_silence(about: str, silence: str, decisions: Iterable[Plain]) -> Story:
    """Nobody answers: that is the reason, whatever was asked about; `decisions` are what the agent left on disk."""
    reason = Reason.AGENT_UNREACHABLE
    now = (f"the agent does not answer: {silence}", "what was decided is what it had written down before")
    return Story(about, now, tuple(decisions), ((reason.value, reason.advice),), bad=True)


def of_pod(pod: str, status: Plain, decisions: Iterable[Plain], pods: Iterable[Plain]) -> Story:
    """A pod's: what it was refused and what the pool did meanwhile, and whether it has an address by now."""
    listed = list(decisions)
    held = [each for each in pods if f"{each['namespace']}/{each['name']}" == pod]
    mine = [index for index, each in enumerate(listed) if each["what"] == f"{ADDRESS_FOR}{pod}"]
    if held:
        now = [
            f"it has {each['address']} of {each['eni']}, since {clock(each['assigned_at'])}" for each in held
        ]
    elif mine:
        now = [f"it has no address; it was refused one {sum(listed[i]['times'] for i in mine)} times"]
    else:
        now = ["the agent knows nothing of it: no ADD of this pod has come, or it was too long ago"]
    first = max(0, mine[0] - BEFORE) if mine else len(listed)
    told = tuple(
        each
        for index, each in enumerate(listed)
        if index >= first and (index in mine or not each["what"].startswith(ADDRESS_FOR))
    )
    reasons = [] if held or not mine else [listed[mine[-1]]["why"]]
    blockers = [pool["blocker"] for pool in status["pools"] if pool["blocker"] is not None]
    starting = () if held else _starting(status)
    now += [f"the agent is starting: {each['detail']}" for each in starting]
    reasons += [each["reason"] for each in starting]
    if reasons and blockers:
        now += [f"in the pool's way now: {each['reason']}: {each['detail']}" for each in blockers]
        reasons += [each["reason"] for each in blockers]
    return Story(pod, tuple(now), told, tuple(_advice(reasons).items()), bad=bool(reasons))


def to_text(story: Story) -> str:
    """For a person."""
    return "\n".join(_lines(story))


def clock(text: str) -> str:
    """The time of the day, in UTC."""
    return text.partition("T")[2].partition(".")[0] + "Z"


def _starting(status: Plain) -> list[Plain]:
    """An agent that has not started serves no pod, and has no pool yet whose way something could be in."""
    word = Reason.AGENT_STARTING.value
    return [each for each in status["readiness"]["because"] if each["reason"] == word]


def _lines(story: Story) -> Iterator[str]:
    yield story.about
    for sentence in story.now:
        yield f"  {sentence}"
    if story.decisions:
        yield ""
        yield "what was decided"
    for each in story.decisions:
        often = f" ({each['times']} times, last at {clock(each['last_at'])})" if each["times"] > 1 else ""
        yield f"  {clock(each['at'])}  {each['kind']:<8}{each['what']}{often}"
        yield f"                     {each['why']}"
    if story.advice:
        yield ""
        yield "what to do"
    for reason, text in story.advice:
        yield f"  {reason}: {text}"


def _pool(pool: Plain) -> str:
    numbers, targets = pool["numbers"], pool["targets"]
    return (
        f"the pool of card {pool['network_card']} has {numbers['total']} addresses, {numbers['assigned']} assigned and "
        f"{numbers['free']} free, on {numbers['enis']} of {numbers['most_enis']} ENIs; {targets['in_force']}"
    )


def _advice(whys: Iterable[str]) -> dict[str, str]:
    """A refusal's words begin with its reason."""
    found: dict[str, str] = {}
    for why in whys:
        word = why.partition(":")[0]
        if word in {reason.value for reason in Reason}:
            found[word] = Reason(word).advice
    return found
