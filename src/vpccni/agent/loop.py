"""The pool's one owner: serves ADD, DEL, CHECK, GC and STATUS, and has the pool's actions carried out.

Nothing here decides about addresses: `vpccni.ipam` does; this asks it, writes down what it said, has it done, and
tells it what came of that. Everything that touches the pool runs in this object's event loop, so there are no locks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import perf_counter
from typing import Protocol

from vpccni.agent.clock import Clock
from vpccni.agent.cni_call import (
    INTERNAL,
    LIMITED,
    NO_ADDRESS,
    UNKNOWN_CONTAINER,
    CniCall,
    CniError,
    Connected,
    result_json,
)
from vpccni.agent.counters import Counters
from vpccni.agent.decisions import Decisions
from vpccni.agent.onlooker import Onlooker
from vpccni.agent.turns import Turns
from vpccni.agent.wire import PluginRequest
from vpccni.ipam.actions import Action, Attached, Detached, DetachEni, Failed, Outcome
from vpccni.ipam.cards import Cards, assign_on
from vpccni.ipam.checkpoint import Given, JournalEntry, TakenBack
from vpccni.ipam.decide import Ipam
from vpccni.ipam.found import found_key
from vpccni.ipam.pool import PoolError
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.sightings import adopt
from vpccni.ipam.under_way import NotUnderWayError
from vpccni.ipam.values import (
    Address,
    Assignment,
    AttachedEni,
    Cooling,
    Eni,
    EniId,
    Interface,
    Pod,
    SandboxKey,
)
from vpccni.linux.names import host_veth, interface_name

log = logging.getLogger(__name__)

EC2_CALL = re.compile(r"ec2:(\w+)")
UNDERSTOOD = frozenset(
    {Reason.SUBNET_FULL, Reason.NO_FREE_PREFIX, Reason.THROTTLED, Reason.NOT_AUTHORISED, Reason.ENI_LIMIT}
)
"""Refusals that tell nothing new of the node's ENIs."""
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

    async def mend(self, assignment: Assignment, eni: Eni) -> None:
        """The pod's route and rules lead by this ENI."""

    async def check(
        self, request: PluginRequest, call: CniCall, assignment: Assignment, eni: Eni
    ) -> list[str]:
        """What differs from what `wire` would make, in words."""


class HostError(Exception):
    """The kernel refused a step; the message says which and for whom."""


class Policies(Protocol):
    """Whoever enforces network policies on pods; failures are CniError."""

    async def enforce(self, pod: Pod, interfaces: int = 1) -> None:
        """Before the pod runs."""

    async def forget(self, pod: Pod) -> None:
        """After it has gone."""


class Branches(Protocol):
    """The pods with branch ENIs, whose addresses are none of the pools'. What fails is a CniError."""

    async def add(self, request: PluginRequest, call: CniCall) -> bytes | None:
        """ADD's result; None: it is no such pod."""

    async def delete(self, call: CniCall) -> bool:
        """Whether it was such a pod, and is not connected any more."""

    async def check(self, request: PluginRequest, call: CniCall) -> bool:
        """Whether it is such a pod, and all right."""

    async def sweep(self) -> None:
        """Take away what is left of such pods that have gone."""


class Store(Protocol):
    """Where assignments are written down."""

    async def append(self, entry: JournalEntry) -> None:
        """Return when the entry is safe on disk; raises OSError."""


def _listed(addresses: Iterable[Address]) -> str:
    return ", ".join(map(str, sorted(addresses, key=int)))


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
        more_cards: Mapping[int, tuple[Ipam, Store]] | None = None,
        multi_nic: bool = False,
        counters: Counters | None = None,
        decisions: Decisions | None = None,
    ) -> None:
        """`added` is told of each ADD before anything is done for it; `more_cards` have pools and stores of their own."""
        self.ipam = ipam
        self.cards = Cards([ipam, *(pool for pool, _ in (more_cards or {}).values())])
        self.enis = enis
        self.counters = counters if counters is not None else Counters()
        self.decisions = decisions if decisions is not None else Decisions()
        self._host = host
        self._stores = {0: store, **{card: other for card, (_, other) in (more_cards or {}).items()}}
        self._multi_nic = multi_nic
        self._perform = perform
        self._clock = clock
        self._patience = patience
        self._added = added
        self._policies = policies
        self._turns = Turns()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.branches: Branches | None = None
        """With ENABLE_POD_ENI."""
        self.onlooker = Onlooker()
        """Told of what becomes of pods."""
        self.doubted: Callable[[], None] = lambda: None
        """Told when EC2 did not do what we thought it would: the pools should be compared with it."""
        self.unprovided: Callable[[], None] = lambda: None
        """Told when a pod was refused what only somebody else can bring: they may have by now."""
        self.has_addresses = asyncio.Event()
        """Set once the pool has held an address for pods: the node can run some."""

    # --- the runtime's calls ---------------------------------------------------------------------------------

    async def add(self, request: PluginRequest, call: CniCall) -> bytes:
        """Give the sandbox an address and connect it. Repeating it gives the same address."""
        began = perf_counter()
        self.counters.adds += 1
        if self.branches is not None and (result := await self.branches.add(request, call)) is not None:
            self._added(call)
            return result
        async with self._turns.of(call.pod):
            self._added(call)
            for before in self._found(call):  # the pod's new sandbox takes the veth's name over
                await self._give_back(before, "PodDeleted")
            assignments = await self._take(call)
            connected: list[Connected] = []
            taken = perf_counter()
            try:
                for assignment in assignments:
                    eni = self.enis[assignment.eni]
                    host_veth = await self._host.wire(request, call, assignment, eni)
                    connected.append(
                        Connected(
                            host_veth,
                            interface_name(assignment),
                            assignment.address,
                            eni.route_table,
                            eni.device_index,
                        )
                    )
            except HostError as error:
                await self._give_up(assignments, len(connected))
                raise self._refused(Refusal(Reason.HOST_SETUP_FAILED, str(error)), call.pod) from error
            except asyncio.CancelledError:
                await self._give_up(assignments, len(connected))
                raise
            self.counters.add_seconds["wiring"].observe(perf_counter() - taken)
            if self._policies is not None:
                # what it leaves behind is the runtime's DEL to clean up
                await self._policies.enforce(call.pod, len(connected))
        self.kick()
        self.counters.add_seconds["total"].observe(perf_counter() - began)
        return result_json(call, connected)

    async def delete(self, call: CniCall) -> bytes:
        """Disconnect the sandbox and let its addresses cool. What is not there (any more) is fine."""
        began, seconds = perf_counter(), self.counters.delete_seconds
        async with self._turns.of(call.pod):
            assignments = self._find(call.key) or self._found(call)
            if not assignments:
                if self.branches is None or not await self.branches.delete(call):
                    await self._delete_unknown(call)
                return b""
            for assignment in assignments:
                step = perf_counter()
                await self._unwire(assignment)
                unwired = perf_counter()
                await self._give_back(assignment, "PodDeleted")
                seconds["wiring"].observe(unwired - step)
                seconds["checkpoint"].observe(perf_counter() - unwired)
            self.kick()
            if self._policies is not None:
                await self._policies.forget(assignments[0].pod)
        seconds["total"].observe(perf_counter() - began)
        return b""

    async def check(self, request: PluginRequest, call: CniCall) -> bytes:
        """Raise CniError if the sandbox's network is not what ADD made of it."""
        assignments = self.cards.find(call.key)
        if not assignments and self.branches is not None and await self.branches.check(request, call):
            return b""
        if not assignments:
            raise CniError(UNKNOWN_CONTAINER, f"no address is assigned to {call.key} (pod {call.pod})")
        differences: list[str] = []
        for assignment in assignments:
            differences += await self._host.check(request, call, assignment, self.enis[assignment.eni])
        before, now = {p.address for p in call.previous}, {a.address for a in assignments}
        if before and before != now:
            differences.append(f"prevResult has {_listed(before)}, the agent assigned {_listed(now)}")
        if differences:
            raise CniError(INTERNAL, f"the network of pod {call.pod} differs: {'; '.join(differences)}")
        return b""

    async def collect_garbage(self, call: CniCall) -> bytes:
        """Delete every attachment of this network that the runtime does not name."""
        stale = [
            a
            for a in self.cards.assignments()
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
        if self.branches is not None:
            await self.branches.sweep()
        self.kick()
        return b""

    # --- of those who wire their pods themselves (vpccni.agent.rpc) -------------------------------------------

    async def assign_only(self, call: CniCall) -> tuple[tuple[Assignment, Eni], ...]:
        """As ADD, but the caller connects the sandbox: an address for each network card. Raises CniError."""
        self.counters.adds += 1
        async with self._turns.of(call.pod):
            self._added(call)
            had = self.cards.find(call.key)
            try:
                assignments = await self._take(call)
            except asyncio.CancelledError:
                # nobody was told of it, and nobody may come back for it
                for unheard in self.cards.find(call.key) if not had else ():
                    await self._give_back(unheard, "SetupNSFailed")
                raise
        self.kick()
        return tuple((assignment, self.enis[assignment.eni]) for assignment in assignments)

    async def release_only(self, call: CniCall, reason: str) -> tuple[tuple[Assignment, Eni | None], ...]:
        """As DEL, but the caller disconnects the sandbox; none if it has no address. An ENI may be gone."""
        async with self._turns.of(call.pod):
            assignments = self._find(call.key)
            for assignment in assignments:
                await self._give_back(assignment, reason)
        self.kick()
        return tuple((assignment, self.enis.get(assignment.eni)) for assignment in assignments)

    async def take_back(self, assignment: Assignment) -> None:
        """Free the address of a pod that was never connected, if it is still assigned as it was."""
        async with self._turns.of(assignment.pod):
            if assignment in self.cards.find(assignment.key):
                await self._give_back(assignment, "SetupNSFailed")
        self.kick()

    def status(self) -> bytes:
        """Raise CniError if an ADD could not be served now."""
        now = self._clock()
        if not any(pool.can_assign(now) or pool.worth_waiting(now) for pool in self.cards.pools):
            refusal = self.ipam.refusal(now)
            raise CniError(LIMITED, f"no address for another pod: {refusal}", refusal.reason.advice)
        return b""

    # --- steps of the calls -----------------------------------------------------------------------------------

    def _find(self, key: SandboxKey) -> tuple[Assignment, ...]:
        """What the sandbox has; assignments from before the CNI's own checkpoint go by another key (spec 6.3)."""
        migrated = SandboxKey(MIGRATED_NETWORK, key.container_id, MIGRATED_INTERFACE)
        return self.cards.find(key) or self.cards.find(migrated)

    def _found(self, call: CniCall) -> tuple[Assignment, ...]:
        """What the host showed of this pod when no checkpoint told of it."""
        names = (host_veth(call.veth_prefix, call.pod, number) for number in range(len(self.cards.pools)))
        return tuple(a for name in names for a in self.cards.find(found_key(name)))

    async def _take(self, call: CniCall) -> tuple[Assignment, ...]:
        """An address for each interface, written down; waits a bounded time for what is on its way."""
        if call.every_card and not self._multi_nic:
            why = f"pod {call.pod} asks for an interface on each network card, and ENABLE_MULTI_NIC is off"
            raise CniError(
                INTERNAL, f"{NO_ADDRESS}: {why}", "set ENABLE_MULTI_NIC=true, or drop the annotation"
            )
        deadline = self._clock() + self._patience
        known = {a.interface.index: a for a in self.cards.find(call.key)}
        new: list[Assignment] = []
        for interface, pools in self.cards.interfaces(every_card=call.every_card):
            if interface.index in known:
                continue
            try:
                new.append(await self._take_one(call, interface, pools, deadline))
            except BaseException:
                for assignment in new:  # all of a pod's interfaces or none
                    await self._give_back(assignment, "SetupNSFailed")
                raise
        return tuple(sorted([*known.values(), *new], key=lambda a: a.interface.index))

    async def _take_one(
        self, call: CniCall, interface: Interface, pools: tuple[Ipam, ...], deadline: float
    ) -> Assignment:
        began, waited = perf_counter(), False
        while True:
            answer = assign_on(pools, call.key, call.pod, self._clock(), interface)
            if isinstance(answer, Assignment):
                break
            if not waited:
                waited = True
                self.counters.waits += 1
            if not await self._wait_for_address(pools, deadline):
                self.counters.waited += perf_counter() - began
                raise self._refused(pools[0].refusal(self._clock()), call.pod)
        assigned = perf_counter()
        self.counters.waited += assigned - began if waited else 0.0
        self.counters.add_seconds["wait"].observe(assigned - began)
        self.kick()
        try:
            await self._stores[self._card(answer)].append(Given(answer))
        except OSError as error:
            self.cards.holder(answer).undo(call.key)
            raise self._refused(Refusal(Reason.CHECKPOINT_FAILED, str(error)), call.pod) from error
        self.counters.add_seconds["checkpoint"].observe(perf_counter() - assigned)
        if not interface.index:
            self.onlooker.given(call.pod, answer.address)
        return answer

    def _refused(self, refusal: Refusal, pod: Pod) -> CniError:
        self.counters.refused[refusal.reason] += 1
        if refusal.reason is Reason.PROVISIONING_OFF:
            self.unprovided()
        self.decisions.refused(pod, refusal, self._clock())
        self.onlooker.no_address(pod, refusal)
        return CniError.refused(refusal, pod)

    async def _wait_for_address(self, pools: tuple[Ipam, ...], deadline: float) -> bool:
        """Wait until a pool changed; False if there is nothing to wait for, or no time."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (pools[0].state.card, turn)
        self._waiting.append(waiting)
        try:
            self.kick()  # this want counts: it may be what makes the pool ask EC2
            now = self._clock()
            if not any(pool.worth_waiting(now, deadline - now) for pool in pools):
                return False
            async with asyncio.timeout(max(0.0, deadline - now)):
                await turn
        except TimeoutError:
            return False
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        return True

    async def _give_up(self, assignments: tuple[Assignment, ...], connected: int) -> None:
        """A pod that could not be connected whole has nothing."""
        for assignment in assignments[:connected]:
            with contextlib.suppress(CniError):
                await self._unwire(assignment)
        for assignment in assignments:
            await self._give_back(assignment, "SetupNSFailed")

    async def _give_back(self, assignment: Assignment, reason: str) -> None:
        self.counters.deletions[reason] += 1
        now = self._clock()
        card = self._card(assignment)
        pool = self.cards.holder(assignment)
        pool.release(assignment.key, now)
        if not assignment.interface.index:
            self.onlooker.taken_back(assignment.pod, assignment.address)
        cooling = Cooling(assignment.address, now + pool.pool.cooldown)
        try:
            await self._stores[card].append(TakenBack(assignment.key, cooling))
        except OSError as error:
            # the address cools here; after a restart its missing veth tells that it is free
            log.error(
                "the release of %s by pod %s is not on disk: %s", assignment.address, assignment.pod, error
            )

    async def _unwire(self, assignment: Assignment) -> None:
        # the pod's next sandbox may have taken the host veth's name over
        mates = self.cards.holder(assignment).pool.of_pod(assignment.pod)
        newer = any(a.key != assignment.key for a in mates)
        try:
            await self._host.unwire(
                assignment.pod, assignment, self.enis.get(assignment.eni), keep_link=newer
            )
        except HostError as error:
            raise CniError(
                INTERNAL, f"del cmd: failed on tear down pod network of {assignment.pod}: {error}"
            ) from error

    async def _delete_unknown(self, call: CniCall) -> None:
        """A sandbox no pool knows: what its prevResult names is removed unless somebody else has it now."""
        newer = any(pool.pool.of_pod(call.pod) for pool in self.cards.pools)
        for number, previous in enumerate(call.previous):
            if any(pool.owner(previous.address) is not None for pool in self.cards.pools):
                continue
            interface = Interface(number, len(call.previous))
            leftover = Assignment(call.key, call.pod, previous.address, EniId(""), self._clock(), interface)
            try:
                await self._host.unwire(call.pod, leftover, None, keep_link=newer)
            except HostError as error:
                raise CniError(
                    INTERNAL, f"del cmd: failed on tear down pod network of {call.pod}: {error}"
                ) from error

    def _card(self, assignment: Assignment) -> int:
        """Whose store has it."""
        card = self.cards.holder(assignment).state.card
        return card if card in self._stores else 0

    # --- the pool's actions -----------------------------------------------------------------------------------

    def kick(self) -> None:
        """Let the pool ask for what it wants now, and set the alarm for when it may want something else."""
        if self._stopping:
            return
        now = self._clock()
        if any(sum(pool.pool.total.values()) for pool in self.cards.pools):
            self.has_addresses.set()
        for pool in self.cards.pools:
            waiting = sum(card == pool.state.card for card, _ in self._waiting)
            for action in pool.plan(now, waiting=waiting):
                log.info("pool: %s", action)
                self.decisions.began(pool.state, action, now, waiting)
                task = asyncio.get_running_loop().create_task(self._carry_out(action, pool.state.card))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
        if self._timer is not None:
            self._timer.cancel()
        at = self.cards.next_event(now)
        self._timer = (
            None if at is None else asyncio.get_running_loop().call_later(max(0.0, at - now), self._alarm)
        )

    def _alarm(self) -> None:
        self._wake()
        self.kick()

    def _wake(self) -> None:
        for _, turn in self._waiting:
            if not turn.done():
                turn.set_result(None)

    async def _carry_out(self, action: Action, card: int) -> None:
        began = perf_counter()
        outcome = await self._perform(action)
        self.counters.action_seconds[type(action).__name__].observe(perf_counter() - began)
        self.decisions.ended(outcome, self._clock(), card)
        if isinstance(outcome, Attached):
            self.enis[outcome.attached.eni.id] = outcome.attached.eni
        elif isinstance(outcome, Detached):
            self.enis.pop(outcome.action.eni, None)
            self.decisions.forget(outcome.action.eni)
        elif isinstance(outcome, Failed):
            kind = type(outcome.action).__name__
            self.counters.action_failed(outcome)
            log.warning("pool: %s failed: %s. %s", kind, outcome.refusal, outcome.refusal.reason.advice)
            if outcome.refusal.reason is Reason.NOT_AUTHORISED and (
                call := EC2_CALL.search(outcome.refusal.detail)
            ):
                self.onlooker.denied(call[1])
            if outcome.refusal.reason not in UNDERSTOOD or isinstance(outcome.action, DetachEni):
                self.doubted()
        if not isinstance(outcome, Failed):
            log.info("pool: done: %s", outcome)
        try:
            self.cards.apply(outcome, self._clock())
        except (PoolError, NotUnderWayError):
            # whoever waits must be woken all the same, and the next action begun
            log.exception("EC2 did what the pool cannot follow: %s", outcome)
        await self._follow_moved()
        self._wake()
        self.kick()

    async def _follow_moved(self) -> None:
        """Pods that turned out to be on another ENI have their rules lead there."""
        for pool in self.cards.pools:
            moved, pool.moved = pool.moved, []
            for assignment in moved:
                log.warning(
                    "pod %s is on %s now, with %s", assignment.pod, assignment.eni, assignment.address
                )
                try:
                    await self._host.mend(assignment, self.enis[assignment.eni])
                except HostError as error:
                    log.error("the rules of pod %s do not lead there: %s", assignment.pod, error)

    # --- what others did to the node's ENIs -------------------------------------------------------------------

    async def adopt(self, entry: AttachedEni) -> None:
        """Take in an ENI that is set up on the host; pods that turn out to be on it have their rules mended."""
        self.enis[entry.eni.id] = entry.eni
        moved = adopt(self.cards, entry, self._clock())
        for assignment in moved:
            try:
                await self._host.mend(assignment, entry.eni)
            except HostError as error:
                log.error("pod %s is on %s, and its rules are not: %s", assignment.pod, entry.eni.id, error)
        self._wake()
        self.kick()

    async def lose(self, eni_id: EniId, pods: tuple[Assignment, ...]) -> None:
        """An ENI was given up; the pods' addresses on it went with it."""
        eni = self.enis.pop(eni_id, None)
        for assignment in pods:
            card = eni.network_card if eni is not None and eni.network_card in self._stores else 0
            cooling = Cooling(assignment.address, self._clock() + self.ipam.pool.cooldown)
            try:
                await self._stores[card].append(TakenBack(assignment.key, cooling))
            except OSError as error:
                log.error("that %s was lost is not on disk: %s", assignment.address, error)

    async def stop(self) -> None:
        """Begin nothing new and let what is under way with EC2 end, so that no half-made ENI is left."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=8.0)
