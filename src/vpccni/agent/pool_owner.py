"""The pools' one owner: gives and takes back addresses, and has the pools' actions carried out.

Nothing here decides about addresses: `vpccni.ipam` does; this asks it, writes down what it said, has it done, and
tells it what came of that. Everything that touches the pools runs in this object's event loop, so there are no locks.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter

from vpccni.agent.clock import Clock
from vpccni.agent.cni_call import INTERNAL, NO_ADDRESS, CniCall, CniError
from vpccni.agent.counters import Counters
from vpccni.agent.decisions import Decisions
from vpccni.agent.onlooker import Onlooker
from vpccni.agent.ports import HostError, Mender, Store
from vpccni.ipam.actions import Action, Attached, Detached, DetachEni, Failed, Outcome
from vpccni.ipam.cards import Cards, assign_on
from vpccni.ipam.checkpoint import Given, TakenBack
from vpccni.ipam.decide import Ipam
from vpccni.ipam.pool import PoolError
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.sightings import adopt
from vpccni.ipam.under_way import NotUnderWayError
from vpccni.ipam.values import Assignment, AttachedEni, Cooling, Eni, EniId, Interface, Pod

log = logging.getLogger(__name__)

EC2_CALL = re.compile(r"ec2:(\w+)")
UNDERSTOOD = frozenset(
    {Reason.SUBNET_FULL, Reason.NO_FREE_PREFIX, Reason.THROTTLED, Reason.NOT_AUTHORISED, Reason.ENI_LIMIT}
)
"""Refusals that tell nothing new of the node's ENIs."""


class PoolOwner:
    """The node's pools, a card a pool, and its ENIs."""

    def __init__(
        self,
        pools: Mapping[int, tuple[Ipam, Store]],
        enis: dict[EniId, Eni],
        host: Mender,
        perform: Callable[[Action], Awaitable[Outcome]],
        clock: Clock,
        *,
        patience: float,
        multi_nic: bool = False,
        counters: Counters | None = None,
        decisions: Decisions | None = None,
    ) -> None:
        """`pools` have stores of their own, by network card; `patience` is how many seconds an ADD waits for addresses."""
        self.cards = Cards([pool for pool, _ in pools.values()])
        self.enis = enis
        self.counters = counters if counters is not None else Counters()
        self.decisions = decisions if decisions is not None else Decisions()
        self._stores = {card: store for card, (_, store) in pools.items()}
        self._host = host
        self._perform = perform
        self._clock = clock
        self._patience = patience
        self._multi_nic = multi_nic
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.onlooker = Onlooker()
        """Told of what becomes of pods."""
        self.doubted: Callable[[], None] = lambda: None
        """Told when EC2 did not do what we thought it would: the pools should be compared with it."""
        self.unprovided: Callable[[], None] = lambda: None
        """Told when a pod was refused what only somebody else can bring: they may have by now."""
        self.has_addresses = asyncio.Event()
        """Set once the pools have held an address for pods: the node can run some."""

    # --- addresses of pods ------------------------------------------------------------------------------------

    async def take(self, call: CniCall) -> tuple[Assignment, ...]:
        """An address for each interface, written down; waits a bounded time for what is on its way. Raises CniError."""
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
                    await self.give_back(assignment, "SetupNSFailed")
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
                raise self.refused(pools[0].refusal(self._clock()), call.pod)
        assigned = perf_counter()
        self.counters.waited += assigned - began if waited else 0.0
        self.counters.add_seconds["wait"].observe(assigned - began)
        self.kick()
        try:
            await self._stores[self._card(answer)].append(Given(answer))
        except OSError as error:
            self.cards.holder(answer).undo(call.key)
            raise self.refused(Refusal(Reason.CHECKPOINT_FAILED, str(error)), call.pod) from error
        self.counters.add_seconds["checkpoint"].observe(perf_counter() - assigned)
        if not interface.index:
            self.onlooker.given(call.pod, answer.address)
        return answer

    def refused(self, refusal: Refusal, pod: Pod) -> CniError:
        """What a pod that gets no network is answered; those who count and look on are told."""
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

    async def give_back(self, assignment: Assignment, reason: str) -> None:
        """Let its address cool; `reason` is the original's word for why (spec 8.2), which is counted."""
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
            cooling = Cooling(assignment.address, self._clock() + self.cards.pools[0].pool.cooldown)
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
