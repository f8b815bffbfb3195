"""What a run costs: addresses that are taken from subnets and that no pod has, over time."""

from __future__ import annotations

from vpclab.region.region import Region
from vpclab.sim.events import Events

HOUR = 3600.0


class Meter:
    """Every address that EC2 gave out and no pod has: ENIs' own too, for no one else can have them."""

    def __init__(self, region: Region, events: Events) -> None:
        self._region = region
        self._events = events
        self._subnets = tuple(region.subnets)
        self._start = events.now
        self._at = events.now
        self._first_free = self._free()
        self.taken = 0
        self.used = 0
        self.unused_seconds = 0.0
        self.used_seconds = 0.0
        self.peak_unused = 0
        self.peak_taken = 0

    def forget_taken(self) -> None:
        """What is taken by now is others'."""
        self._first_free = self._free()
        self.taken = 0

    def restart(self) -> None:
        """Count from now on; what is held stays held."""
        self._start = self._at = self._events.now
        self.unused_seconds = self.used_seconds = 0.0
        self.peak_unused = self.taken - self.used
        self.peak_taken = self.taken

    def pods(self, change: int) -> None:
        """So many more pods have addresses."""
        self._pass()
        self.used += change
        self._note_peak()

    def changed(self) -> None:
        """EC2 did something."""
        self._pass()
        self.taken = self._first_free - self._free()
        self._note_peak()

    def end(self) -> None:
        """Count up to now."""
        self.changed()

    @property
    def unused_hours(self) -> float:
        """Address-hours that were held and not used."""
        return self.unused_seconds / HOUR

    @property
    def mean_unused(self) -> float:
        """Addresses that were held and not used, on average."""
        passed = self._at - self._start
        return self.unused_seconds / passed if passed else 0.0

    def _pass(self) -> None:
        passed = self._events.now - self._at
        if passed > 0:
            self.unused_seconds += passed * (self.taken - self.used)
            self.used_seconds += passed * self.used
            self._at = self._events.now

    def _note_peak(self) -> None:
        self.peak_unused = max(self.peak_unused, self.taken - self.used)
        self.peak_taken = max(self.peak_taken, self.taken)

    def _free(self) -> int:
        return sum(map(self._region.free_addresses, self._subnets))
