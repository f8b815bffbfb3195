"""Who called what, and what came of it: the last calls, and counts of all."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

KEPT = 5000


@dataclass(frozen=True, slots=True)
class Call:
    """One call of AWS's API."""

    at: float
    """Seconds since the epoch, when it came."""
    source: str
    """The client's address."""
    instance_id: str | None
    """The instance that the address belongs to."""
    action: str
    code: str
    """The error's code; empty if it went well."""
    seconds: float
    """How long the answer took."""
    service: str = "ec2"
    """Empty if the endpoint has no such service."""

    @property
    def name(self) -> str:
        """How it is counted, and named in faults: EC2's calls by their action, others' with their service before it."""
        return self.action if self.service in ("", "ec2") else f"{self.service}:{self.action}"


class CallLog:
    """A bounded ring of calls, and how often each action ended with each code."""

    def __init__(self, kept: int = KEPT) -> None:
        self._calls: deque[Call] = deque(maxlen=kept)
        self.answered = 0
        """How many calls there were, those forgotten included."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """By (name, code)."""

    def add(self, call: Call) -> None:
        """Note a call that has been answered."""
        self._calls.append(call)
        self.answered += 1
        self.counts[call.name, call.code] += 1

    def after(self, answered: int) -> tuple[Call, ...]:
        """The calls that came after so many had been answered, as far as they are kept."""
        missed = self.answered - answered
        return tuple(self._calls)[-missed:] if missed > 0 else ()

    def calls(self, action: str | None = None, *, instance_id: str | None = None) -> tuple[Call, ...]:
        """The last calls, oldest first; only these if something is named."""
        return tuple(
            call
            for call in self._calls
            if action in (None, call.action) and instance_id in (None, call.instance_id)
        )
