"""The last decisions with their reasons: what a person asks for first when a pod has no address.

Memory is bounded: so many notes and no more. Refusals have a ring of their own, for kubelet asks again and again for a
pod that cannot be served, and that must not push out the very actions that say why.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from vpccni.agent.telling import action_words, outcome_words, why_words
from vpccni.ipam.actions import Action, AssignAddresses, AttachEni, Failed, FindSubnets, Outcome
from vpccni.ipam.reasons import Refusal
from vpccni.ipam.reconcile import Differences
from vpccni.ipam.state import NodeState
from vpccni.ipam.values import EniId, Pod

KEPT_ACTIONS = 200
KEPT_REFUSALS = 100


class Kind(enum.Enum):
    """What a note is about."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Note:
    """One decision. Times are the agent's clock's."""

    at: float
    kind: Kind
    what: str
    why: str
    times: int = 1
    """How often in a row the very same was decided; of refusals the words are the last one's."""
    last_at: float | None = None
    """When it was the last time, if more than once."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """When an ENI was last compared with what EC2 says, and what differed; None: EC2 was changing it just then."""

    at: float
    differences: Differences | None


@dataclass(slots=True)
class Decisions:
    """Written by the agent's loop alone."""

    _actions: deque[Note] = field(default_factory=lambda: deque(maxlen=KEPT_ACTIONS))
    _refusals: deque[Note] = field(default_factory=lambda: deque(maxlen=KEPT_REFUSALS))
    _failing: dict[tuple[int, type[Action]], Refusal] = field(default_factory=dict)
    reconciled: dict[EniId, Reconciled] = field(default_factory=dict)
    unsaved: bool = False
    """Whether something was noted that is not on disk."""

    def began(self, state: NodeState, action: Action, now: float, waiting: int) -> None:
        """The pool asked for an action."""
        self._note(
            self._actions,
            Note(now, Kind.BEGUN, action_words(action), why_words(state, action, waiting)),
        )

    def ended(self, outcome: Outcome, now: float, card: int = 0) -> None:
        """What came of it; `card` is the network card whose pool asked."""
        action = outcome.action
        failed = isinstance(outcome, Failed)
        if isinstance(outcome, Failed) and isinstance(action, AssignAddresses | AttachEni | FindSubnets):
            self._failing[card, type(action)] = outcome.refusal
        elif not failed:
            self._failing.pop((card, type(action)), None)
        kind = Kind.FAILED if failed else Kind.DONE
        self._note(self._actions, Note(now, kind, action_words(action), outcome_words(outcome)))

    def refused(self, pod: Pod, refusal: Refusal, now: float) -> None:
        """A pod got no address."""
        self.unsaved = True
        note = Note(now, Kind.REFUSED, f"an address for pod {pod}", str(refusal))
        last = self._refusals[-1] if self._refusals else None
        if last is not None and last.what == note.what and _reason(last) == refusal.reason.value:
            # the words may count seconds: kubelet's many tries for one pod are one entry all the same
            self._refusals[-1] = replace(last, why=note.why, times=last.times + 1, last_at=now)
        else:
            self._refusals.append(note)

    def compared(self, eni: EniId, differences: Differences | None, now: float) -> None:
        """The pool's idea of an ENI was compared with EC2's."""
        self.reconciled[eni] = Reconciled(now, differences)

    def forget(self, eni: EniId) -> None:
        """The ENI is gone."""
        self.reconciled.pop(eni, None)

    def failing(self, card: int = 0) -> tuple[Refusal, ...]:
        """What brings addresses to a card and failed when it was tried last: why, until it works again."""
        return tuple(refusal for (on, _), refusal in self._failing.items() if on == card)

    def restore(self, notes: Iterable[Note]) -> None:
        """What was noted before a restart; before anything else is."""
        for note in notes:
            (self._refusals if note.kind is Kind.REFUSED else self._actions).append(note)

    def _note(self, ring: deque[Note], note: Note) -> None:
        self.unsaved = True
        last = ring[-1] if ring else None
        if last is not None and (last.kind, last.what, last.why) == (note.kind, note.what, note.why):
            ring[-1] = replace(last, times=last.times + 1, last_at=note.at)
        else:
            ring.append(note)

    def notes(self) -> tuple[Note, ...]:
        """All that are kept, the oldest first."""
        return tuple(sorted((*self._actions, *self._refusals), key=lambda note: note.at))


def _reason(note: Note) -> str:
    return note.why.partition(":")[0]
