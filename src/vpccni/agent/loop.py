"""Serves the runtime's calls: ADD, DEL, CHECK, GC and STATUS, and those of whoever wires pods himself.

Addresses are the pools', whose owner is asked for them (`vpccni.agent.pool_owner`); the sandbox's connection is the
host's. One pod's calls wait for each other, those of several pods run side by side in one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import perf_counter

from vpccni.agent.clock import Clock
from vpccni.agent.cni_call import (
    INTERNAL,
    LIMITED,
    UNKNOWN_CONTAINER,
    CniCall,
    CniError,
    Connected,
    result_json,
)
from vpccni.agent.counters import Counters
from vpccni.agent.decisions import Decisions
from vpccni.agent.pool_owner import PoolOwner
from vpccni.agent.ports import Branches, Host, HostError, Policies, Store
from vpccni.agent.turns import Turns
from vpccni.agent.wire import PluginRequest
from vpccni.ipam.actions import Action, Outcome
from vpccni.ipam.decide import Ipam
from vpccni.ipam.found import found_key
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import Address, Assignment, Eni, EniId, Interface, SandboxKey
from vpccni.linux.names import host_veth, interface_name

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds that an ADD waits for addresses that are on their way; EC2 needs 1-10 to create and attach an ENI."""

MIGRATED_NETWORK, MIGRATED_INTERFACE = "_migrated-from-cri", "unknown"
"""The original's names in the key of a sandbox that was there before keys had them (spec 3.3)."""


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
        self.owner = PoolOwner(
            {0: (ipam, store), **(more_cards or {})}, enis, host, perform, clock,
            patience=patience, multi_nic=multi_nic, counters=counters, decisions=decisions,
        )  # fmt: skip
        self.ipam = ipam
        self.cards = self.owner.cards
        self.enis = enis
        self.counters = self.owner.counters
        self.decisions = self.owner.decisions
        self._host = host
        self._clock = clock
        self._added = added
        self._policies = policies
        self._turns = Turns()
        self.branches: Branches | None = None
        """With ENABLE_POD_ENI."""

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
                await self.owner.give_back(before, "PodDeleted")
            assignments = await self.owner.take(call)
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
                raise self.owner.refused(Refusal(Reason.HOST_SETUP_FAILED, str(error)), call.pod) from error
            except asyncio.CancelledError:
                await self._give_up(assignments, len(connected))
                raise
            self.counters.add_seconds["wiring"].observe(perf_counter() - taken)
            if self._policies is not None:
                # what it leaves behind is the runtime's DEL to clean up
                await self._policies.enforce(call.pod, len(connected))
        self.owner.kick()
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
                await self.owner.give_back(assignment, "PodDeleted")
                seconds["wiring"].observe(unwired - step)
                seconds["checkpoint"].observe(perf_counter() - unwired)
            self.owner.kick()
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
                await self.owner.give_back(assignment, "PodDeleted")
        if self.branches is not None:
            await self.branches.sweep()
        self.owner.kick()
        return b""

    # --- of those who wire their pods themselves (vpccni.agent.rpc) -------------------------------------------

    async def assign_only(self, call: CniCall) -> tuple[tuple[Assignment, Eni], ...]:
        """As ADD, but the caller connects the sandbox: an address for each network card. Raises CniError."""
        self.counters.adds += 1
        async with self._turns.of(call.pod):
            self._added(call)
            had = self.cards.find(call.key)
            try:
                assignments = await self.owner.take(call)
            except asyncio.CancelledError:
                # nobody was told of it, and nobody may come back for it
                for unheard in self.cards.find(call.key) if not had else ():
                    await self.owner.give_back(unheard, "SetupNSFailed")
                raise
        self.owner.kick()
        return tuple((assignment, self.enis[assignment.eni]) for assignment in assignments)

    async def release_only(self, call: CniCall, reason: str) -> tuple[tuple[Assignment, Eni | None], ...]:
        """As DEL, but the caller disconnects the sandbox; none if it has no address. An ENI may be gone."""
        async with self._turns.of(call.pod):
            assignments = self._find(call.key)
            for assignment in assignments:
                await self.owner.give_back(assignment, reason)
        self.owner.kick()
        return tuple((assignment, self.enis.get(assignment.eni)) for assignment in assignments)

    async def take_back(self, assignment: Assignment) -> None:
        """Free the address of a pod that was never connected, if it is still assigned as it was."""
        async with self._turns.of(assignment.pod):
            if assignment in self.cards.find(assignment.key):
                await self.owner.give_back(assignment, "SetupNSFailed")
        self.owner.kick()

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

    async def _give_up(self, assignments: tuple[Assignment, ...], connected: int) -> None:
        """A pod that could not be connected whole has nothing."""
        for assignment in assignments[:connected]:
            with contextlib.suppress(CniError):
                await self._unwire(assignment)
        for assignment in assignments:
            await self.owner.give_back(assignment, "SetupNSFailed")

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
