"""What IMDS knows of an instance's ENIs: EC2's truth, some time later; and MACs that it has not forgotten yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from vpclab.region.values import AttachmentStatus, NetworkInterface


@dataclass(frozen=True, slots=True)
class Lag:
    """When a change becomes visible, and how long a lost MAC stays in the list after that (seconds)."""

    now: float
    seconds: float = 0.0
    linger: float = 0.0


@dataclass(slots=True)
class _Seen:
    """One ENI on one instance: the version that is visible, then those still to come; None is its absence."""

    mac: str
    linger: float = 0.0
    versions: list[tuple[float, NetworkInterface | None]] = field(default_factory=list)

    def append(self, version: NetworkInterface | None, lag: Lag) -> None:
        """A version more; never before an earlier one: lags differ, the order does not."""
        visible_at = lag.now + lag.seconds
        if self.versions:
            visible_at = max(visible_at, self.versions[-1][0])
        self.linger = lag.linger
        self.versions.append((visible_at, version))
        while len(self.versions) > 1 and self.versions[1][0] <= lag.now:
            del self.versions[0]

    def at(self, now: float) -> NetworkInterface | None:
        """The version that is visible at this time."""
        visible = None
        for since, version in self.versions:
            if since <= now:
                visible = version
        return visible

    def listed(self, now: float) -> bool:
        """Whether the MAC is in the list, be it as a ghost."""
        past = [(since, version) for since, version in self.versions if since <= now]
        return bool(past) and (past[-1][1] is not None or now < past[-1][0] + self.linger)

    def dead(self, now: float) -> bool:
        """Whether nothing is or will be seen of it."""
        return all(since <= now for since, _ in self.versions) and not self.listed(now)


class MetadataView:
    """By instance. An ENI is seen while its device is attached."""

    def __init__(self) -> None:
        self._instances: dict[str, dict[str, _Seen]] = {}

    def note(self, before: NetworkInterface | None, after: NetworkInterface | None, lag: Lag) -> None:
        """An ENI changed."""
        was, became = _instance_with_device(before), _instance_with_device(after)
        if before is not None and was is not None and was != became:
            self._append(was, before, None, lag)
        if after is not None and became is not None:
            self._append(became, after, after, lag)

    def enis(self, instance_id: str, now: float) -> tuple[NetworkInterface, ...]:
        """The ENIs with all their keys."""
        seen = self._instances.get(instance_id, {}).values()
        return tuple(eni for eni in (one.at(now) for one in seen) if eni is not None)

    def macs(self, instance_id: str, now: float) -> tuple[str, ...]:
        """The list of MACs, ghosts included."""
        return tuple(one.mac for one in self._instances.get(instance_id, {}).values() if one.listed(now))

    def forget(self, instance_id: str) -> None:
        """The instance is gone."""
        self._instances.pop(instance_id, None)

    def _append(
        self, instance_id: str, eni: NetworkInterface, version: NetworkInterface | None, lag: Lag
    ) -> None:
        known = self._instances.setdefault(instance_id, {})
        for gone in [key for key, one in known.items() if one.dead(lag.now)]:
            del known[gone]
        known.setdefault(eni.id, _Seen(eni.mac)).append(version, lag)


def _instance_with_device(eni: NetworkInterface | None) -> str | None:
    if eni is None or eni.attachment is None or eni.attachment.status is not AttachmentStatus.ATTACHED:
        return None
    return eni.attachment.instance_id
