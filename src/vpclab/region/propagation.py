"""Eventually consistent reads: for how long a new ENI is unknown, and an old version of one is still described.

EC2 promises no more (EC2 API reference, "eventual consistency"): a create that has succeeded may be followed by a NotFound, a
change by a describe that has not heard of it. The region's own truth is never late; only these two views of it are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vpclab.region.values import NetworkInterface


@dataclass(slots=True)
class _History:
    """The versions of one ENI that are still to be shown: each until its time; None is its absence."""

    ordinal: int
    shown_until: list[tuple[float, NetworkInterface | None]] = field(default_factory=list)

    def at(self, now: float) -> NetworkInterface | None:
        """The version shown at this time. Call only while `pending`."""
        return next(version for until, version in self.shown_until if now < until)

    def pending(self, now: float) -> bool:
        """Whether anything but the truth is shown."""
        while self.shown_until and self.shown_until[0][0] <= now:
            del self.shown_until[0]
        return bool(self.shown_until)


class Propagation:
    """What has not reached every reader yet. Empty, and free of cost, unless lags are set."""

    def __init__(self) -> None:
        self._unknown_until: dict[str, float] = {}
        self._histories: dict[str, _History] = {}

    def created(self, eni_id: str, now: float, seconds: float) -> None:
        """An ENI was made that calls by its id do not find for so long."""
        if seconds > 0:
            self._unknown_until[eni_id] = now + seconds

    def changed(
        self, eni_id: str, before: NetworkInterface | None, now: float, seconds: float, ordinal: int
    ) -> None:
        """An ENI is different (None: there was none before); describes show what was for so long."""
        history = self._histories.get(eni_id)
        if seconds <= 0 and history is None:
            return
        if history is None:
            history = self._histories[eni_id] = _History(ordinal)
        until = now + seconds
        if history.shown_until:
            # a later change is never seen before an earlier one
            until = max(until, history.shown_until[-1][0])
        history.shown_until.append((until, before))

    def unknown(self, eni_id: str, now: float) -> bool:
        """Whether calls by this id do not find the ENI yet."""
        until = self._unknown_until.get(eni_id)
        if until is not None and until <= now:
            del self._unknown_until[eni_id]
            return False
        return until is not None

    def described(
        self, enis: Mapping[str, NetworkInterface], ordinals: Mapping[str, int], now: float
    ) -> tuple[Mapping[str, NetworkInterface], Mapping[str, int]] | None:
        """All ENIs as describes show them, with their places in the order; None if that is the truth."""
        for eni_id in [key for key, history in self._histories.items() if not history.pending(now)]:
            del self._histories[eni_id]
        hidden = [key for key in list(self._unknown_until) if self.unknown(key, now)]
        if not self._histories and not hidden:
            return None
        shown = dict(enis)
        places = dict(ordinals)
        for eni_id, history in self._histories.items():
            version = history.at(now)
            places[eni_id] = history.ordinal
            if version is None:
                shown.pop(eni_id, None)
            else:
                shown[eni_id] = version
        for eni_id in hidden:
            shown.pop(eni_id, None)
        return dict(sorted(shown.items(), key=lambda pair: places[pair[0]])), places
