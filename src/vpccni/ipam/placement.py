"""Where new ENIs go, and which ENIs give pods addresses (spec 6.11, 7.1)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import Eni, EniId, EniRole, SubnetId, SubnetOffer

FRESH = 60.0
"""Seconds for which EC2's word on subnets is good enough to choose one for a new ENI."""
LOOK_EVERY = 21600.0
"""Seconds between looks at the subnets' tags, so that an exclusion is seen, and its end, without a restart."""
LOOK_JITTER = 0.25
"""The part of that time that is added at most, so that nodes do not ask together."""


@dataclass(slots=True)
class Placement:
    """One node's. With `discovery` EC2 is asked; without, the offers are the agent's to set, or the primary's subnet."""

    discovery: bool = False
    seed: int = 0
    offers: tuple[SubnetOffer, ...] = ()
    """In the order in which they are tried; none: the primary ENI's subnet."""
    refusal: Refusal | None = None
    """Why no ENI may be made anywhere."""
    excluded: frozenset[SubnetId] = frozenset()
    awaited: bool = False
    """Somebody is about to say where new ENIs go (the node's ENIConfig is being read)."""
    primary_for_pods: bool = True
    """False with custom networking."""
    missing: frozenset[EniId] = frozenset()
    """ENIs that somebody did not see any more where they should be: no pod gets an address of one meanwhile."""
    looked_at: float | None = None
    _due: tuple[float, float] | None = field(default=None, init=False, repr=False, compare=False)
    """When it was looked, and when to look again: asked for with every plan."""

    def found(self, offers: tuple[SubnetOffer, ...], excluded: frozenset[SubnetId], now: float) -> None:
        """What EC2 said."""
        self.offers, self.excluded, self.looked_at = offers, excluded, now
        detail = "none of the zone's subnets may be used for pods"
        self.refusal = None if offers else Refusal(Reason.NO_USABLE_SUBNET, detail)

    def not_found(self, now: float) -> None:
        """EC2 did not say: what was known goes on, else the primary's subnet is used as if nothing were tagged."""
        self.looked_at = now

    def stale(self, now: float) -> bool:
        """Whether EC2 must be asked before a new ENI is put anywhere."""
        return self.discovery and (self.looked_at is None or now > self.looked_at + FRESH)

    @property
    def unknown(self) -> bool:
        """Whether EC2 was never asked though it should be."""
        return self.discovery and self.looked_at is None

    def due_at(self) -> float | None:
        """When EC2 is to be asked whatever happens; None: never."""
        if not self.discovery:
            return None
        if self.looked_at is None:
            return 0.0
        if self._due is None or self._due[0] != self.looked_at:
            chance = zlib.crc32(f"{self.seed} {self.looked_at}".encode()) / 0xFFFFFFFF
            self._due = self.looked_at, self.looked_at + LOOK_EVERY * (1 + LOOK_JITTER * chance)
        return self._due[1]

    @property
    def restricts(self) -> bool:
        """Whether some ENI may have addresses that no pod gets."""
        return bool(self.excluded) or not self.primary_for_pods

    def gives_addresses(self, eni: Eni) -> bool:
        """Whether pods get addresses of the ENI."""
        if eni.role is not EniRole.PLAIN or eni.subnet_id in self.excluded or eni.id in self.missing:
            return False
        return self.primary_for_pods or not eni.is_primary
