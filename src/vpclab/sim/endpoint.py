"""EC2's API in virtual time: the region behind its gate, with what a call takes, what it costs, and lost answers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from vpclab.region.gate import Latency
from vpclab.region.region import Region
from vpclab.region.values import ApiError
from vpclab.sim.events import Events, Work

T = TypeVar("T")


def usual_latency() -> Latency:
    """Seconds that EC2's calls take, as agents see them: a fifth of a second, and more where something is made."""
    return Latency(
        every=(0.1, 0.3),
        by_action={
            "CreateNetworkInterface": (0.4, 1.0),
            "AttachNetworkInterface": (0.4, 1.0),
            "AssignPrivateIpAddresses": (0.3, 0.8),
            "UnassignPrivateIpAddresses": (0.3, 0.8),
        },
    )


class LostAnswerError(Exception):
    """EC2 did what it was asked, and the caller never heard of it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API."""

    at: float
    node: str
    action: str
    code: str
    """The error's; empty if it went well."""


@dataclass(slots=True)
class Calls:
    """Who called what. Counts always; each single call only if `kept`."""

    kept: bool = False
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By (node, action, code)."""
    history: list[Call] = field(default_factory=list)

    def note(self, call: Call) -> None:
        """A call has been answered."""
        self.counts[call.node, call.action, call.code] += 1
        if self.kept:
            self.history.append(call)

    def by_action(self, node: str | None = None) -> Counter[str]:
        """How often each action was called, whatever came of it."""
        found: Counter[str] = Counter()
        for (caller, action, _), count in self.counts.items():
            if node in (None, caller):
                found[action] += count
        return found

    @property
    def total(self) -> int:
        """All calls."""
        return sum(self.counts.values())

    def failed(self, code: str) -> int:
        """Calls that ended with this code."""
        return sum(count for (_, _, ended), count in self.counts.items() if ended == code)


class Endpoint:
    """What every node's EC2 client talks to."""

    def __init__(self, region: Region, events: Events, *, seed: int = 0, keep_calls: bool = False) -> None:
        self.region = region
        self.events = events
        self.calls = Calls(keep_calls)
        self.lost_answers = 0.0
        """The part of answers that get lost."""
        self.changed: Callable[[], None] = lambda: None
        """Told after each call that did something."""
        self._chance = random.Random(f"answers {seed}")  # noqa: S311 -- the same run for the same seed

    def call(self, node: str, action: str, effect: Callable[[], T]) -> Work[T]:
        """One call: the effect lies in the middle of it. Raises ApiError, LostAnswerError."""
        began, code = self.events.now, ""
        try:
            gate = self.region.gate
            gate.admit(action, began)
            half = gate.call_seconds(action) / 2
            if half > 0:
                yield half
            answer = effect()
            self.changed()
            if half > 0:
                yield half
            if self.lost_answers and self._chance.random() < self.lost_answers:
                raise LostAnswerError
        except ApiError as error:
            code = error.code
            raise
        except LostAnswerError:
            code = "(lost)"
            raise
        finally:
            self.calls.note(Call(began, node, action, code))
        return answer
