"""What EC2 has been asked for and has not answered yet."""

from __future__ import annotations

from vpccni.ipam.actions import Action, AssignAddresses, AttachEni, DetachEni
from vpccni.ipam.values import EniId


class NotUnderWayError(Exception):
    """An outcome was told of an action that nobody began, or that was told of before."""


class UnderWay:
    """At most one action per ENI, and one ENI being attached."""

    def __init__(self) -> None:
        self._by_eni: dict[EniId, Action] = {}
        self._attach: AttachEni | None = None

    def begin(self, action: Action) -> None:
        """It was given out."""
        if isinstance(action, AttachEni):
            self._attach = action
        else:
            self._by_eni[action.eni] = action

    def end(self, action: Action) -> None:
        """It was reported. Raises NotUnderWayError."""
        if isinstance(action, AttachEni):
            if self._attach != action:
                raise NotUnderWayError(f"{action} is not under way")
            self._attach = None
            return
        if self._by_eni.get(action.eni) != action:
            raise NotUnderWayError(f"{action} is not under way")
        del self._by_eni[action.eni]

    def on(self, eni: EniId) -> Action | None:
        """What is being done to the ENI."""
        return self._by_eni.get(eni)

    @property
    def attaching(self) -> bool:
        """Whether an ENI is on its way."""
        return self._attach is not None

    @property
    def detaching(self) -> bool:
        """Whether an ENI is being taken away."""
        return any(isinstance(action, DetachEni) for action in self._by_eni.values())

    @property
    def blocks(self) -> int:
        """Blocks that are on their way."""
        coming = sum(a.count for a in self._by_eni.values() if isinstance(a, AssignAddresses))
        return coming + (self._attach.count if self._attach else 0)

    @property
    def growing(self) -> bool:
        """Whether something brings addresses."""
        return self.blocks > 0

    def __len__(self) -> int:
        return len(self._by_eni) + self.attaching
