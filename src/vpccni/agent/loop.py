"""The pool's one owner: serves ADD, DEL, CHECK, GC and STATUS, and has the pool's actions carried out.

Nothing here decides about addresses: `vpccni.ipam` does; this asks it, writes down what it said, has it done, and
tells it what came of that. Everything that touches the pool runs in this object's event loop, so there are no locks.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from vpccni.agent.clock import Clock
from vpccni.agent.cni_call import (
    INTERNAL,
    LIMITED,
    UNKNOWN_CONTAINER,
    CniCall,
    CniError,
    result_json,
)
from vpccni.agent.counters import Counters
from vpccni.agent.turns import Turns
from vpccni.agent.wire import PluginRequest
from vpccni.ipam.actions import Action, Attached, Detached, Failed, Outcome
from vpccni.ipam.checkpoint import Given, JournalEntry, TakenBack
from vpccni.ipam.decide import Ipam
from vpccni.ipam.pool import PoolError
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.under_way import NotUnderWayError
from vpccni.ipam.values import Assignment, Cooling, Eni, EniId, Pod, SandboxKey

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds that an ADD waits for addresses that are on their way; EC2 needs 1-10 to create and attach an ENI."""

MIGRATED_NETWORK, MIGRATED_INTERFACE = "_migrated-from-cri", "unknown"
"""The original's names in the key of a sandbox that was there before keys had them (spec 3.3)."""


class Host(Protocol):
    """The node's kernel, as the loop needs it. Every method is idempotent; failures are `HostError`."""

    async def wire(self, request: PluginRequest, call: CniCall, assignment: Assignment, eni: Eni) -> str:
        """Connect the sandbox; returns the host veth's name."""

    async def unwire(self, pod: Pod, assignment: Assignment, eni: Eni | None, *, keep_link: bool) -> None:
        """Take the pod's rules, route and (unless `keep_link`) its link away."""

    async def check(
        self, request: PluginRequest, call: CniCall, assignment: Assignment, eni: Eni
    ) -> list[str]:
        """What differs from what `wire` would make, in words."""


class HostError(Exception):
    """The kernel refused a step; the message says which and for whom."""


class Policies(Protocol):
    """Whoever enforces network policies on pods; failures are CniError."""

    async def enforce(self, pod: Pod) -> None:
        """Before the pod runs."""

    async def forget(self, pod: Pod) -> None:
        """After it has gone."""


class Store(Protocol):
    """Where assignments are written down."""

    async def append(self, entry: JournalEntry) -> None:
        """Return when the entry is safe on disk; raises OSError."""


class Agent:
    """L-IPAM on one node, once it has started."""

    def __init__(
        self,
        ipam: Ipam,
        enis: dict[EniId, Eni],
        host: Host,
        store: Store,
        perform: Callable[[Action], Awaitable[Outcome]],
        clock: Clock,
        *,
        patience: float = PATIENCE,
        added: Callable[[CniCall], None] = lambda _: None,
        policies: Policies | None = None,
    ) -> None:
        """`added` is told of each ADD before anything is done for it."""
        self.ipam = ipam
        self.enis = enis
        self.counters = Counters()
        self._host = host
        self._store = store
        self._perform = perform
        self._clock = clock
        self._patience = patience
        self._added = added
        self._policies = policies
        self._turns = Turns()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.has_addresses = asyncio.Event()
        """Set once the pool has held an address for pods: the node can run some."""

    # --- the runtime's calls ---------------------------------------------------------------------------------

    async def add(self, request: PluginRequest, call: CniCall) -> bytes:
        """Give the sandbox an address and connect it. Repeating it gives the same address."""
        self.counters.adds += 1
        async with self._turns.of(call.pod):
            self._added(call)
            assignment = await self._take(call)
            eni = self.enis[assignment.eni]
            try:
                host_veth = await self._host.wire(request, call, assignment, eni)
            except HostError as error:
                await self._give_back(assignment, "SetupNSFailed")
                raise CniError.refused(Refusal(Reason.HOST_SETUP_FAILED, str(error)), call.pod) from error
            except asyncio.CancelledError:
                await self._give_back(assignment, "SetupNSFailed")
                raise
            if self._policies is not None:
                await self._policies.enforce(
                    call.pod
                )  # what it leaves behind is the runtime's DEL to clean up
        self.kick()
        return result_json(
            call,
            assignment.address,
            host_veth=host_veth,
            route_table=eni.route_table,
            device_index=eni.device_index,
        )

    async def delete(self, call: CniCall) -> bytes:
        """Disconnect the sandbox and let its address cool. What is not there (any more) is fine."""
        async with self._turns.of(call.pod):
            assignment = self.ipam.find(call.key)
            if assignment is None:
                await self._delete_unknown(call)
                return b""
            await self._unwire(assignment)
            await self._give_back(assignment, "PodDeleted")
            self.kick()
            if self._policies is not None:
                await self._policies.forget(assignment.pod)
        return b""

    async def check(self, request: PluginRequest, call: CniCall) -> bytes:
        """Raise CniError if the sandbox's network is not what ADD made of it."""
        assignment = self.ipam.find(call.key)
        if assignment is None:
            raise CniError(UNKNOWN_CONTAINER, f"no address is assigned to {call.key} (pod {call.pod})")
        differences = await self._host.check(request, call, assignment, self.enis[assignment.eni])
        if call.previous is not None and call.previous.address != assignment.address:
            differences.append(
                f"prevResult has {call.previous.address}, the agent assigned {assignment.address}"
            )
        if differences:
            raise CniError(INTERNAL, f"the network of pod {call.pod} differs: {'; '.join(differences)}")
        return b""

    async def collect_garbage(self, call: CniCall) -> bytes:
        """Delete every attachment of this network that the runtime does not name."""
        stale = [
            a
            for a in self.ipam.pool.assignments()
            if a.key.network == call.network and (a.key.container_id, a.key.interface) not in call.valid
        ]
        for assignment in stale:
            log.info(
                "GC: %s (pod %s, %s) is not attached any more",
                assignment.key,
                assignment.pod,
                assignment.address,
            )
            async with self._turns.of(assignment.pod):
                await self._unwire(assignment)
                await self._give_back(assignment, "PodDeleted")
        self.kick()
        return b""

    # --- of those who wire their pods themselves (vpccni.agent.rpc) -------------------------------------------

    async def assign_only(self, call: CniCall) -> tuple[tuple[Assignment, Eni], ...]:
        """As ADD, but the caller connects the sandbox: an address for each network card. Raises CniError."""
        self.counters.adds += 1
        async with self._turns.of(call.pod):
            self._added(call)
            had = self.ipam.find(call.key)
            try:
                assignment = await self._take(call)
            except asyncio.CancelledError:
                # nobody was told of it, and nobody may come back for it
                if had is None and (unheard := self.ipam.find(call.key)) is not None:
                    await self._give_back(unheard, "SetupNSFailed")
                raise
        self.kick()
        return ((assignment, self.enis[assignment.eni]),)

    async def release_only(self, call: CniCall, reason: str) -> tuple[tuple[Assignment, Eni | None], ...]:
        """As DEL, but the caller disconnects the sandbox; none if it has no address. An ENI may be gone."""
        async with self._turns.of(call.pod):
            assignment = self.ipam.find(call.key) or self.ipam.find(
                SandboxKey(MIGRATED_NETWORK, call.container_id, MIGRATED_INTERFACE)
            )
            if assignment is None:
                return ()
            await self._give_back(assignment, reason)
        self.kick()
        return ((assignment, self.enis.get(assignment.eni)),)

    def status(self) -> bytes:
        """Raise CniError if an ADD could not be served now."""
        now = self._clock()
        if not self.ipam.can_assign(now) and not self.ipam.worth_waiting(now):
            refusal = self.ipam.refusal(now)
            raise CniError(LIMITED, f"no address for another pod: {refusal}", refusal.reason.advice)
        return b""

    # --- steps of the calls -----------------------------------------------------------------------------------

    async def _take(self, call: CniCall) -> Assignment:
        """An address, written down; waits a bounded time for one that is on its way."""
        deadline = self._clock() + self._patience
        while True:
            now = self._clock()
            known = self.ipam.find(call.key)
            if known is not None:
                return known
            answer = self.ipam.assign(call.key, call.pod, now)
            if isinstance(answer, Assignment):
                break
            if not await self._wait_for_address(deadline):
                refusal = self.ipam.refusal(self._clock())
                self.counters.refused[refusal.reason] += 1
                raise CniError.refused(refusal, call.pod)
        self.kick()
        try:
            await self._store.append(Given(answer))
        except OSError as error:
            self.ipam.undo(call.key)
            self.counters.refused[Reason.CHECKPOINT_FAILED] += 1
            raise CniError.refused(Refusal(Reason.CHECKPOINT_FAILED, str(error)), call.pod) from error
        return answer

    async def _wait_for_address(self, deadline: float) -> bool:
        """Wait until the pool changed; False if there is nothing to wait for, or no time."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            self.kick()  # this want counts: it may be what makes the pool ask EC2
            now = self._clock()
            if not self.ipam.worth_waiting(now, deadline - now):
                return False
            async with asyncio.timeout(max(0.0, deadline - now)):
                await turn
        except TimeoutError:
            return False
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
        return True

    async def _give_back(self, assignment: Assignment, reason: str) -> None:
        self.counters.deletions[reason] += 1
        now = self._clock()
        self.ipam.release(assignment.key, now)
        cooling = Cooling(assignment.address, now + self.ipam.pool.cooldown)
        try:
            await self._store.append(TakenBack(assignment.key, cooling))
        except OSError as error:
            # the address cools here; after a restart its missing veth tells that it is free
            log.error(
                "the release of %s by pod %s is not on disk: %s", assignment.address, assignment.pod, error
            )

    async def _unwire(self, assignment: Assignment) -> None:
        # the pod's next sandbox may have taken the host veth's name over
        newer = any(a.key != assignment.key for a in self.ipam.pool.of_pod(assignment.pod))
        try:
            await self._host.unwire(
                assignment.pod, assignment, self.enis.get(assignment.eni), keep_link=newer
            )
        except HostError as error:
            raise CniError(
                INTERNAL, f"del cmd: failed on tear down pod network of {assignment.pod}: {error}"
            ) from error

    async def _delete_unknown(self, call: CniCall) -> None:
        """A sandbox the pool does not know: what its prevResult names is removed unless somebody else has it now."""
        previous = call.previous
        if previous is None or self.ipam.owner(previous.address) is not None:
            return
        leftover = Assignment(call.key, call.pod, previous.address, EniId(""), self._clock())
        newer = bool(self.ipam.pool.of_pod(call.pod))
        try:
            await self._host.unwire(call.pod, leftover, None, keep_link=newer)
        except HostError as error:
            raise CniError(
                INTERNAL, f"del cmd: failed on tear down pod network of {call.pod}: {error}"
            ) from error

    # --- the pool's actions -----------------------------------------------------------------------------------

    def kick(self) -> None:
        """Let the pool ask for what it wants now, and set the alarm for when it may want something else."""
        if self._stopping:
            return
        now = self._clock()
        if sum(self.ipam.pool.total.values()):
            self.has_addresses.set()
        for action in self.ipam.plan(now, waiting=len(self._waiting)):
            log.info("pool: %s", action)
            task = asyncio.get_running_loop().create_task(self._carry_out(action))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        if self._timer is not None:
            self._timer.cancel()
        at = self.ipam.next_event(now)
        self._timer = (
            None if at is None else asyncio.get_running_loop().call_later(max(0.0, at - now), self._alarm)
        )

    def _alarm(self) -> None:
        self._wake()
        self.kick()

    def _wake(self) -> None:
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)

    async def _carry_out(self, action: Action) -> None:
        outcome = await self._perform(action)
        if isinstance(outcome, Attached):
            self.enis[outcome.attached.eni.id] = outcome.attached.eni
        elif isinstance(outcome, Detached):
            self.enis.pop(outcome.action.eni, None)
        elif isinstance(outcome, Failed):
            kind = type(outcome.action).__name__
            self.counters.failed_actions[kind, outcome.refusal.reason] += 1
            log.warning("pool: %s failed: %s. %s", kind, outcome.refusal, outcome.refusal.reason.advice)
        if not isinstance(outcome, Failed):
            log.info("pool: done: %s", outcome)
        try:
            self.ipam.apply(outcome, self._clock())
        except (PoolError, NotUnderWayError):
            # whoever waits must be woken all the same, and the next action begun
            log.exception("EC2 did what the pool cannot follow: %s", outcome)
        self._wake()
        self.kick()

    async def stop(self) -> None:
        """Begin nothing new and let what is under way with EC2 end, so that no half-made ENI is left."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=8.0)
