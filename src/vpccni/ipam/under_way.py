"""What EC2 has been asked for and has not answered yet, or not so that we know whether it did it."""

from __future__ import annotations

from vpccni.ipam.actions import Action, AssignAddresses, AttachEni, DetachEni, FindSubnets, ReleaseAddresses
from vpccni.ipam.values import BlockKind, EniId


class NotUnderWayError(Exception):
    """An outcome was told of an action that nobody began, or that was told of before."""


class UnderWay:
    """At most one action per ENI, one ENI being attached, one look for subnets."""

    def __init__(self) -> None:
        self._by_eni: dict[EniId, Action] = {}
        self._attach: AttachEni | None = None
        self.finding_subnets = False
        """Whether EC2 is being asked for subnets."""
        self._in_doubt: dict[EniId, ReleaseAddresses | DetachEni] = {}

    def begin(self, action: Action) -> None:
        """It was given out."""
        if isinstance(action, AttachEni):
            self._attach = action
        elif isinstance(action, FindSubnets):
            self.finding_subnets = True
        else:
            self._by_eni[action.eni] = action

    def end(self, action: Action) -> None:
        """It was reported. Raises NotUnderWayError."""
        if isinstance(action, AttachEni):
            if self._attach != action:
                raise NotUnderWayError(f"{action} is not under way")
            self._attach = None
            return
        if isinstance(action, FindSubnets):
            if not self.finding_subnets:
                raise NotUnderWayError(f"{action} is not under way")
            self.finding_subnets = False
            return
        if self._by_eni.get(action.eni) != action:
            raise NotUnderWayError(f"{action} is not under way")
        del self._by_eni[action.eni]

    def doubt(self, action: ReleaseAddresses | DetachEni) -> None:
        """It was reported as failed, but EC2 may have done it, this time or before: it must be begun again."""
        self._in_doubt[action.eni] = action

    def settle(self, eni: EniId) -> None:
        """What EC2 did to the ENI is known now."""
        self._in_doubt.pop(eni, None)

    @property
    def in_doubt(self) -> tuple[ReleaseAddresses | DetachEni, ...]:
        """Actions to be begun again; nothing else can be done to their ENIs."""
        return tuple(action for eni, action in self._in_doubt.items() if eni not in self._by_eni)

    def doubted(self, eni: EniId) -> bool:
        """Whether EC2 may have done something to the ENI that it was reported not to have done."""
        return eni in self._in_doubt

    def on(self, eni: EniId) -> Action | None:
        """What is being done to the ENI, or must be done again."""
        return self._by_eni.get(eni) or self._in_doubt.get(eni)

    def told(self, eni: EniId) -> bool:
        """Whether EC2 is not doing anything to the ENI that we asked for."""
        return eni not in self._by_eni

    @property
    def attaching(self) -> bool:
        """Whether an ENI is on its way."""
        return self._attach is not None

    @property
    def detaching(self) -> bool:
        """Whether an ENI is being taken away."""
        return any(isinstance(a, DetachEni) for a in (*self._by_eni.values(), *self._in_doubt.values()))

    @property
    def asked(self) -> tuple[Action, ...]:
        """What EC2 has not answered yet."""
        return (*self._by_eni.values(), *((self._attach,) if self._attach else ()))

    def coming(self, kind: BlockKind) -> int:
        """Blocks of this kind that are on their way."""
        if not self._by_eni and self._attach is None:
            return 0
        return sum(a.count for a in self._growing if a.kind is kind)

    @property
    def blocks(self) -> int:
        """Blocks that are on their way."""
        return sum(a.count for a in self._growing)

    @property
    def _growing(self) -> list[AssignAddresses | AttachEni]:
        return [a for a in self.asked if isinstance(a, AssignAddresses | AttachEni)]

    @property
    def growing(self) -> bool:
        """Whether something brings addresses."""
        return self.blocks > 0

    def __len__(self) -> int:
        return len(self._by_eni) + self.attaching + self.finding_subnets
