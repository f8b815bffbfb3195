"""What EC2 refused, and until when it is therefore not asked for the same again."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from vpccni.ipam.actions import Action
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import SubnetId

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
    """What a pause is about: a kind of action, in one subnet or (None) everywhere."""

    action: type[Action]
    subnet: SubnetId | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Why, and until when."""

    until: float
    refusal: Refusal
    failures: int


class Pauses:
    """The node's memory of refusals. `seed` is what makes its jitter differ from other nodes'."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._pauses: dict[Subject, Pause] = {}

    def failed(self, subject: Subject, refusal: Refusal, now: float) -> None:
        """Pause; each further failure without a success between pauses for twice as long, to BACKOFF_MOST."""
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
        self._pauses[subject] = Pause(now + length, refusal, failures)

    def succeeded(self, action: type[Action], subnet: SubnetId | None = None) -> None:
        """Forget what was refused, everywhere and in this subnet."""
        self._pauses.pop(Subject(action), None)
        self._pauses.pop(Subject(action, subnet), None)

    def on(self, action: type[Action], now: float, subnet: SubnetId | None = None) -> Pause | None:
        """What keeps this from being asked now: in this subnet, else everywhere."""
        for subject in (Subject(action, subnet), Subject(action)):
            pause = self._pauses.get(subject)
            if pause is not None and now < pause.until:
                return pause
        return None

    def next_end(self, now: float) -> float | None:
        """When the next pause ends."""
        return min((p.until for p in self._pauses.values() if p.until > now), default=None)

    def _chance(self, subject: Subject, failures: int) -> float:
        """0 to 1, the same for the same node, subject and try."""
        text = f"{self._seed} {subject.action.__name__} {subject.subnet} {failures}"
        return zlib.crc32(text.encode()) / 0xFFFFFFFF
