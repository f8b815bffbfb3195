"""All that metrics, introspection and probes look at: filled as start-up goes on, read in the loop's thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vpccni import VERSION
from vpccni.agent import view, viewing
from vpccni.agent.clock import Clock
from vpccni.agent.counters import Counters
from vpccni.agent.decisions import Decisions
from vpccni.agent.readiness import Condition, Readiness, before_start
from vpccni.agent.settings import Settings
from vpccni.aws.budget import CallBudget
from vpccni.aws.call_log import CallLog
from vpccni.ipam.decide import Ipam
from vpccni.ipam.reconcile import Differences
from vpccni.ipam.values import EniId


@dataclass(slots=True)
class Scene:
    """One agent's. `ipams` is empty until it has started."""

    settings: Settings
    clock: Clock
    counters: Counters = field(default_factory=Counters)
    decisions: Decisions = field(default_factory=Decisions)
    calls: CallLog = field(default_factory=CallLog)
    """The EC2 client's."""
    budget: CallBudget = field(default_factory=CallBudget)
    """The EC2 client's; its clock is `time.monotonic`."""
    phase: Callable[[], str] = lambda: "starting"
    """What start-up is doing."""
    eni_config: Callable[[], str | None] = lambda: None
    """The ENIConfig that applies to this node; None if there is none, or nobody knows."""
    ipams: tuple[Ipam, ...] = ()
    """A pool for each managed network card, the first card's first."""
    stopping: bool = False
    facts: dict[str, float] = field(default_factory=dict)
    """When something was last told by others, by its name; the agent's clock."""

    def heard(self, fact: str) -> None:
        """Somebody told something now: "instance metadata", "ENIs at EC2", "security groups"."""
        self.facts[fact] = self.clock()

    def compared(self, eni: EniId, differences: Differences | None) -> None:
        """The pool's idea of an ENI was compared with EC2's; None: EC2 was changing it just then."""
        self.decisions.compared(eni, differences, self.clock())
        if differences is not None:
            self._reconciled("eniDataStorePoolReconcileAdd", len(differences.added))
            self._reconciled("eniIPPoolReconcileDel", len(differences.removed))

    def eni_found(self) -> None:
        """An ENI is attached that the pool did not have."""
        self._reconciled("eniReconcileAdd", 1)

    def eni_lost(self, eni: EniId, dropped: int) -> None:
        """An ENI of the pool is not attached any more; so many pods had addresses of it."""
        self._reconciled("eniReconcileDel", 1)
        self.decisions.forget(eni)
        if dropped:
            self.counters.force_removed_enis += 1
            self.counters.force_removed_addresses += dropped

    def readiness(self) -> Readiness:
        """For probes."""
        if self.stopping:
            return before_start(Condition.STOPPING.value)
        if not self.ipams:
            return before_start(self.phase())
        return viewing.readiness(self.ipams, self.decisions, self.clock())

    def known(self) -> tuple[view.Fact, ...]:
        """What others told, with its age."""
        now = self.clock()
        ages = {name: now - at for name, at in self.facts.items()}
        if self.ipams and (looked_at := self.ipams[0].state.placement.looked_at) is not None:
            ages["subnets"] = now - looked_at
        if (answer_age := self.calls.answer_age) is not None:
            ages["any answer of EC2"] = answer_age
        if self.decisions.reconciled:
            ages["ENIs compared with EC2"] = now - min(r.at for r in self.decisions.reconciled.values())
        return tuple(view.Fact(name, round(max(age, 0.0), 3)) for name, age in sorted(ages.items()))

    def budget_levels(self) -> tuple[view.BudgetStatus, ...]:
        """EC2's buckets as they stand."""
        return viewing.budget_statuses(self.budget.levels(time.monotonic()))

    def _reconciled(self, what: str, times: int) -> None:
        if times:
            self.counters.reconciled[what] += times

    def status(self) -> view.Status:
        """Everything at a glance."""
        now = self.clock()
        return view.Status(
            version=VERSION,
            node=self.settings.node_name,
            at=view.moment(now),
            readiness=viewing.readiness_status(self.readiness()),
            pools=tuple(viewing.pool_status(ipam, now) for ipam in self.ipams),
            budget=self.budget_levels(),
            facts=self.known(),
        )
