"""What /v2/ shows and `vpc-cni status` reads: plain values. `to_plain` makes JSON of any of them, times in RFC 3339."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

PREFIX, SECONDARY_IP = "prefix", "secondary-ip"


@dataclass(frozen=True, slots=True)
class Blocker:
    """A refusal, with what a person can do about it."""

    reason: str
    detail: str
    advice: str


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """One block of an ENI."""

    block: str
    kind: str
    """secondary-ip or prefix."""
    assigned: int
    cooling: int
    free: int
    leaving: bool
    """On its way back to EC2: no pod gets an address of it."""


@dataclass(frozen=True, slots=True)
class EniStatus:
    """One ENI of the pool."""

    id: str
    mac: str
    role: str
    primary: bool
    device_index: int
    network_card: int
    subnet: str
    subnet_cidr: str
    address: str
    route_table: int
    since: datetime
    """When the agent took it into the pool."""
    gives_addresses: bool
    slots_used: int
    slots: int
    total: int
    assigned: int
    cooling: int
    free: int
    under_way: str | None
    called_full: Blocker | None
    """EC2 called it full though there is room by our count."""
    content: tuple[SlotStatus, ...]


@dataclass(frozen=True, slots=True)
class TargetsStatus:
    """The settings, and what they make of the pool as it is."""

    mode: str
    """prefix or secondary-ip: what the pool is made of when it can."""
    warm_eni: int
    warm_ip: int
    minimum_ip: int
    warm_prefix: int
    in_force: str
    """Which of them count, in words."""
    short: int
    """Blocks that are missing and not on their way."""
    surplus: int
    """Blocks that are too many."""


@dataclass(frozen=True, slots=True)
class PoolNumbers:
    """Addresses of all ENIs, those that give pods none included."""

    total: int
    assigned: int
    cooling: int
    free: int
    """Those that a pod could get now: on usable ENIs."""
    leaving: int
    coming: int
    """Blocks that EC2 has been asked for."""
    enis: int
    most_enis: int
    slots_per_eni: int
    max_pods: int
    shortest_reuse: float | None
    """Seconds between a release and the next assignment of the same address: the shortest there was."""


@dataclass(frozen=True, slots=True)
class Upcoming:
    """What happens next, and when."""

    what: str
    at: datetime | None
    """None: at once, or as soon as something else happens."""


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """One network card's pool."""

    network_card: int
    numbers: PoolNumbers
    targets: TargetsStatus
    under_way: tuple[str, ...]
    next: Upcoming | None
    """None: nothing will, unless pods come or go."""
    blocker: Blocker | None
    """Why the targets are not met, or why an ADD would be refused."""
    enis: tuple[EniStatus, ...]


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """One EC2 action's share of the account's call rate."""

    action: str
    tokens: float
    size: float
    refill: float
    pace: float


@dataclass(frozen=True, slots=True)
class Fact:
    """Something the agent was told."""

    name: str
    age: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class ReadinessStatus:
    """What /readyz answers."""

    condition: str
    ready: bool
    phase: str
    because: tuple[Blocker, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at a glance."""

    version: str
    node: str
    at: datetime
    readiness: ReadinessStatus
    pools: tuple[PoolStatus, ...]
    budget: tuple[BudgetStatus, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class PodStatus:
    """A pod's address. Container IDs are left out, as the original leaves them out (spec 8.1)."""

    namespace: str
    name: str
    network: str
    address: str
    eni: str
    assigned_at: datetime


@dataclass(frozen=True, slots=True)
class DecisionStatus:
    """One line of what was decided, what for and why."""

    at: datetime
    kind: str
    what: str
    why: str
    times: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReconcileStatus:
    """What the last comparison of one ENI with EC2 found."""

    eni: str
    at: datetime
    skipped: bool
    """EC2 was changing the ENI for us, so nothing was compared."""
    added: tuple[str, ...]
    removed: tuple[str, ...]
    held_elsewhere: tuple[str, ...]
    pods_without_address: tuple[str, ...]
    """Pods on addresses that EC2 says the ENI does not hold."""


def moment(seconds: float) -> datetime:
    """The agent's clock as a time of the day."""
    return datetime.fromtimestamp(seconds, UTC)


def to_plain(value: Any) -> Any:
    """What `json.dumps` takes."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    return value
