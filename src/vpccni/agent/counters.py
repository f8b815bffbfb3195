"""What the agent counts as it goes; the metrics endpoint renders it (spec 8.2)."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from vpccni.histogram import CALL_SECONDS, POD_SECONDS, PROMETHEUS_DEFAULT, Histogram
from vpccni.ipam.actions import (
    Action,
    AssignAddresses,
    AttachEni,
    DetachEni,
    Failed,
    FindSubnets,
    ReleaseAddresses,
)
from vpccni.ipam.reasons import Reason

ADD_PHASES = ("wait", "checkpoint", "wiring", "total")
DELETE_PHASES = ("wiring", "checkpoint", "total")


def _phases(names: tuple[str, ...]) -> dict[str, Histogram]:
    return {name: Histogram(POD_SECONDS) for name in names}


@dataclass(slots=True)
class Counters:
    """Plain numbers, written by the agent's loop alone."""

    adds: int = 0
    deletions: Counter[str] = field(default_factory=Counter)
    """By the original's reasons: PodDeleted, SetupNSFailed."""
    refused: Counter[Reason] = field(default_factory=Counter)
    """ADDs that came to nothing, by reason."""
    failed_actions: Counter[tuple[str, Reason]] = field(default_factory=Counter)
    """Pool actions that came to nothing: by kind and reason."""
    errors: Counter[str] = field(default_factory=Counter)
    """By the names of the original's functions (spec 8.2)."""
    add_seconds: dict[str, Histogram] = field(default_factory=lambda: _phases(ADD_PHASES))
    delete_seconds: dict[str, Histogram] = field(default_factory=lambda: _phases(DELETE_PHASES))
    action_seconds: dict[str, Histogram] = field(
        default_factory=lambda: defaultdict(lambda: Histogram(CALL_SECONDS))
    )
    """Pool actions from their beginning to their outcome, by kind."""
    waits: int = 0
    """Times that an ADD found no address free, whether or not one came in time."""
    waited: float = 0.0
    """Seconds, all waits together."""
    initialising: int = 0
    """1 while the agent starts."""
    reconciling: int = 0
    """1 while the pool is compared with EC2."""
    reconciled: Counter[str] = field(default_factory=Counter)
    """What comparing the pool with EC2 changed, by the original's names (spec 8.2)."""
    force_removed_enis: int = 0
    force_removed_addresses: int = 0
    """Taken out of the pool though pods had them: EC2 took them away."""
    pod_eni_errors: Counter[str] = field(default_factory=Counter)
    aws_utils_errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What went wrong with AWS beside calls to EC2: by what was asked for and the error."""
    startup_seconds: dict[tuple[bool, bool, str], Histogram] = field(default_factory=dict)
    """By (success, with the API server, failure reason)."""
    initialisation_seconds: dict[bool, Histogram] = field(default_factory=dict)
    """By success."""
    connmark_backend: str | None = None
    """nftables or iptables, once it is chosen."""
    connmark_reconciled: Counter[str] = field(default_factory=lambda: Counter(success=0, error=0))
    loop_lag: Histogram = field(default_factory=lambda: Histogram(POD_SECONDS))
    """Seconds that the loop was late for a timer."""

    def startup_took(self, seconds: float, *, with_api_server: bool, failure: str = "") -> None:
        """From the process's start to serving, or to giving up; `with_api_server`: one is configured."""
        key = (not failure, with_api_server, failure)
        self.startup_seconds.setdefault(key, Histogram(PROMETHEUS_DEFAULT)).observe(seconds)

    def initialisation_took(self, seconds: float, *, success: bool) -> None:
        """Setting the node up: the host's rules, its ENIs, the restored assignments."""
        self.initialisation_seconds.setdefault(success, Histogram(PROMETHEUS_DEFAULT)).observe(seconds)

    def action_failed(self, outcome: Failed) -> None:
        """A pool action came to nothing."""
        self.failed_actions[type(outcome.action).__name__, outcome.refusal.reason] += 1
        name = _original_name(outcome.action, outcome.refusal.reason)
        if name is not None:
            self.errors[name] += 1


def _original_name(action: Action, reason: Reason) -> str | None:
    """Under which of the original's functions a failure counts (spec 8.2)."""
    match action:
        case AssignAddresses():
            return "increaseIPPoolAllocIPAddressesFailed"
        case AttachEni():
            invisible = reason is Reason.ENI_NOT_VISIBLE
            return "increaseIPPoolsetupENIFailed" if invisible else "increaseIPPoolAllocENI"
        case ReleaseAddresses():
            return "decreaseIPPool"
        case DetachEni():
            return "decreaseIPPoolFreeENIFailed"
        case FindSubnets():
            return None
