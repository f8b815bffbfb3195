"""What EC2 refused, and until when it is therefore not asked for the same again."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from vpccni.ipam.actions import Action
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import BlockKind, SubnetId

FULL_SUBNET_PAUSE = 120.0
"""Seconds for which a full subnet is not asked again (spec 6.7)."""
LIMIT_PAUSE = 120.0
"""Seconds after EC2 said that no more ENIs may be had: limits change only by a person's doing."""
NOT_AUTHORISED_PAUSE = 60.0
BACKOFF_FIRST, BACKOFF_MOST = 1.0, 60.0
JITTER = 0.25
"""The part of a back-off that is added at most: a thousand nodes must not come back together."""
SUBNET_IS_FULL = frozenset({Reason.SUBNET_FULL, Reason.NO_FREE_PREFIX})


@dataclass(frozen=True, slots=True)
class Subject:
    """What a pause is about: a kind of action everywhere, or whatever takes addresses from a subnet."""

    action: type[Action] | None = None
    subnet: SubnetId | None = None
    kind: BlockKind | None = None
    """PREFIX: the subnet may still have single addresses."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Why, and until when."""

    until: float
    refusal: Refusal
    failures: int
    subnet: SubnetId | None


class Pauses:
    """The node's memory of refusals. `seed` is what makes its jitter differ from other nodes'."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._pauses: dict[Subject, Pause] = {}

    def failed(self, action: type[Action], refusal: Refusal, now: float) -> None:
        """Pause everywhere; each further failure without a success between pauses for twice as long."""
        self._pause(Subject(action), refusal, now)

    def subnet_is_full(self, subnet: SubnetId, kind: BlockKind, refusal: Refusal, now: float) -> None:
        """Pause in this subnet, whichever action met it. One without a /28 may have single addresses."""
        self._pause(Subject(None, subnet, _about(kind)), refusal, now)

    def succeeded(self, action: type[Action]) -> None:
        """Forget what was refused everywhere."""
        self._pauses.pop(Subject(action), None)

    def subnet_gave(self, subnet: SubnetId, kind: BlockKind) -> None:
        """Forget that the subnet was full; one that gave a single address may still have no /28."""
        self._pauses.pop(Subject(None, subnet), None)
        self._pauses.pop(Subject(None, subnet, _about(kind)), None)

    def on(self, action: type[Action], now: float) -> Pause | None:
        """What keeps this from being asked anywhere now."""
        return self._find(Subject(action), now)

    def on_taking(
        self, action: type[Action], subnet: SubnetId | None, kind: BlockKind, now: float
    ) -> Pause | None:
        """What keeps blocks of this kind from being asked for by this action in this subnet now."""
        subjects = (Subject(None, subnet), Subject(None, subnet, _about(kind)), Subject(action))
        return next((pause for subject in subjects if (pause := self._find(subject, now))), None)

    def unsure_of(self, subnet: SubnetId | None, kind: BlockKind) -> bool:
        """Whether the subnet was full when it was asked last: one question is enough to learn whether it still is."""
        return Subject(None, subnet) in self._pauses or Subject(None, subnet, _about(kind)) in self._pauses

    def next_end(self, now: float) -> float | None:
        """When the next pause ends."""
        return min((p.until for p in self._pauses.values() if p.until > now), default=None)

    def _find(self, subject: Subject, now: float) -> Pause | None:
        pause = self._pauses.get(subject)
        return pause if pause is not None and now < pause.until else None

    def _pause(self, subject: Subject, refusal: Refusal, now: float) -> None:
        before = self._pauses.get(subject)
        failures = before.failures + 1 if before else 1
        if refusal.reason in SUBNET_IS_FULL:
            length = FULL_SUBNET_PAUSE
        elif refusal.reason in {Reason.ENI_LIMIT, Reason.IP_LIMIT}:
            length = LIMIT_PAUSE
        elif refusal.reason is Reason.NOT_AUTHORISED:
            length = NOT_AUTHORISED_PAUSE
        else:
            length = min(BACKOFF_FIRST * 2.0 ** min(failures - 1, 16), BACKOFF_MOST)
            length *= 1 + JITTER * self._chance(subject, failures)
        self._pauses[subject] = Pause(now + length, refusal, failures, subject.subnet)

    def _chance(self, subject: Subject, failures: int) -> float:
        """0 to 1, the same for the same node, subject and try."""
        name = subject.action.__name__ if subject.action else None
        return zlib.crc32(f"{self._seed} {name} {subject.subnet} {failures}".encode()) / 0xFFFFFFFF


def _about(kind: BlockKind) -> BlockKind | None:
    return None if kind is BlockKind.SECONDARY_IP else kind
