"""The original's rules on the same node, to be compared with ours: its 5 s tick, its targets, its EC2 calls (spec 6.2-6.9).

A model from the specification's facts, for counting calls and held addresses; errors are handled only as far as they change those
counts (the 120 s after a full subnet, attach and delete that are tried again).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from vpccni.ipam.managed import INSTANCE
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.targets import PREFIX_SIZE
from vpccni.ipam.values import Assignment, BlockKind, EniId, Pod, SandboxKey
from vpclab.region import Query
from vpclab.region.region import Region
from vpclab.region.values import Instance, NetworkInterface
from vpclab.sim.client import CallError, NodeEc2, blocks_of
from vpclab.sim.events import Events, Work
from vpclab.sim.node import Setup
from vpclab.sim.original_store import OriginalStore, StoredEni

HALF_TICK = 2.5
SHRINK_EVERY, RECONCILE_AFTER, INSUFFICIENT_PAUSE = 30.0, 60.0, 120.0
LEAKED_EVERY, LEAKED_SPREAD = 3600.0, 299.0
TRIES = 12
NOTHING_FREE = Refusal(Reason.POOL_REFILLING, "failed to assign an IP address to container")


class Unpaced:
    """The original has no budget of calls."""

    def take(self, _action: str, _now: float) -> float:
        """At once."""
        return 0.0

    def throttled(self, _action: str, _now: float) -> None:
        """Not noted."""

    def accepted(self, _action: str, _now: float) -> None:
        """Not noted."""


class OriginalNode:
    """One node under the original's rules."""

    def __init__(
        self, events: Events, region: Region, instance: Instance, ec2: NodeEc2, setup: Setup, *, seed: int = 0
    ) -> None:
        self._events = events
        self._region = region
        self._instance = instance
        self._ec2 = ec2
        self._targets = setup.targets
        self._limits = setup.limits(region.limits(instance.type))
        chance = random.Random(f"original {seed}")  # noqa: S311 -- the same map order in each run
        self._store = OriginalStore(setup.kind, setup.cooldown, chance)
        self._kind = setup.kind
        self._up = False
        self._insufficient_at = float("-inf")
        self._decreased_at = float("-inf")
        self._acted_at = events.now
        self._running = [events.start(self._run())]
        if setup.looks_for_leaked:
            self._running.append(events.start(self._look_for_leaked(chance.uniform(0, LEAKED_SPREAD))))

    # --- the runtime's calls --------------------------------------------------------------------------------

    def add(self, key: SandboxKey, pod: Pod, answer: Callable[[Assignment | Refusal], None]) -> None:
        """An address that is there now, or none."""
        given = self._store.assign(key, pod, self._events.now) if self._up else None
        answer(given or NOTHING_FREE)

    def delete(self, key: SandboxKey) -> None:
        """The sandbox is gone."""
        self._store.release(key, self._events.now)

    def crash(self) -> None:
        """The node is gone."""
        for running in self._running:
            running.kill()
        self._up = False

    # --- its one goroutine ----------------------------------------------------------------------------------

    def _run(self) -> Work[None]:
        yield from self._start()
        while True:
            yield HALF_TICK
            yield from self._update_pool()
            yield HALF_TICK
            if self._events.now - self._acted_at > RECONCILE_AFTER:
                yield from self._reconcile()

    def _start(self) -> Work[None]:
        """Spec 6.6 and 6.9: describe, tag what lacks tags, look at the subnet, set security groups, one pool increase."""
        while not (shown := self._shown()):
            yield 0.1
        yield from self._ec2.describe_enis([EniId(eni.id) for eni in shown])
        for eni in shown:
            if INSTANCE not in eni.tags:
                yield from self._ec2.tag(eni.id, {INSTANCE: self._instance.id})
        for eni in shown:
            yield from self._describe_subnets()
            primary = eni.attachment is not None and eni.attachment.device_index == 0
            blocks = blocks_of(eni.secondary, eni.prefixes)
            self._store.add_eni(EniId(eni.id), blocks, self._events.now, primary=primary)
        for eni in shown:
            yield from self._set_groups(eni)
        self._up = True
        if self._low():
            yield from self._increase()

    def _update_pool(self) -> Work[None]:
        if self._low():
            yield from self._increase()
        elif self._high() > 0 and self._events.now - self._decreased_at > SHRINK_EVERY:
            yield from self._decrease(self._high())
        if self._should_remove_enis():
            targets = self._targets
            eni = self._store.removable(
                self._events.now,
                warm_ip=targets.warm_ip,
                minimum_ip=targets.minimum_ip,
                warm_prefix=0 if targets.by_ip else targets.warm_prefix,
            )
            if eni is not None:
                self._store.remove_eni(eni)
                yield from self._free_eni(eni)

    # --- the targets (spec 6.7) -----------------------------------------------------------------------------

    def _short(self) -> int:
        """Addresses that the IP targets lack."""
        store, targets = self._store, self._targets
        return max(targets.warm_ip - store.available, targets.minimum_ip - store.total, 0)

    def _low(self) -> bool:
        store, targets = self._store, self._targets
        if store.total >= self._limits.max_pods:
            return False
        if targets.by_ip:
            return self._short() > 0
        if self._kind is BlockKind.PREFIX:
            per_unit, warm = PREFIX_SIZE, targets.warm_prefix
        else:
            per_unit, warm = self._limits.slots_per_eni, targets.warm_eni
        return store.available < per_unit * warm or (warm == 0 and store.available == 0)

    def _high(self) -> int:
        """Blocks too many."""
        store, targets = self._store, self._targets
        if not targets.by_ip:
            return store.free_prefixes - targets.warm_prefix if self._kind is BlockKind.PREFIX else 0
        if self._kind is BlockKind.SECONDARY_IP:
            over = max(store.available - targets.warm_ip, 0)
            return max(min(over, store.total - targets.minimum_ip), 0)
        need_warm = -(-(store.assigned + targets.warm_ip) // PREFIX_SIZE)
        need_minimum = -(-targets.minimum_ip // PREFIX_SIZE)
        over = max(min(store.free_prefixes, store.prefixes - need_warm), 0)
        return max(min(over, store.prefixes - need_minimum), 0)

    def _should_remove_enis(self) -> bool:
        store, targets = self._store, self._targets
        if targets.by_ip:
            return True
        per_eni = self._limits.slots_per_eni * self._kind.addresses
        warm = targets.warm_prefix if self._kind is BlockKind.PREFIX else targets.warm_eni
        if store.available >= (warm + 1) * per_eni:
            return True
        return self._kind is BlockKind.PREFIX and any(
            not eni.assigned and not eni.primary for eni in store.enis.values()
        )

    def _wanted(self, room: int) -> int:
        """Blocks to ask for on an ENI that has room."""
        targets = self._targets
        if self._kind is BlockKind.SECONDARY_IP:
            return min(room, self._short() if targets.by_ip else self._limits.slots_per_eni)
        short = (
            -(-self._short() // PREFIX_SIZE)
            if targets.by_ip
            else max(targets.warm_prefix - self._store.free_prefixes, 0)
        )
        return min(room, max(1, short))

    # --- growing and shrinking ------------------------------------------------------------------------------

    def _increase(self) -> Work[None]:
        if self._events.now - self._insufficient_at < INSUFFICIENT_PAUSE:
            return
        self._acted_at = self._events.now
        try:
            if not (yield from self._add_to_an_eni()) and len(self._store.enis) < self._limits.max_enis:
                yield from self._new_eni()
        except CallError as error:
            if error.refusal.reason in {Reason.SUBNET_FULL, Reason.NO_FREE_PREFIX}:
                self._insufficient_at = self._events.now

    def _add_to_an_eni(self) -> Work[bool]:
        """The first ENI that takes some."""
        for eni in self._store.in_map_order():
            count = self._wanted(self._limits.slots_per_eni - len(eni.blocks))
            if self._limits.slots_per_eni <= len(eni.blocks) or count <= 0:
                continue
            try:
                blocks = yield from self._ec2.assign(eni.id, count, self._kind)
            except CallError:
                blocks = yield from self._ec2.assign(eni.id, 1, self._kind)
            for block in blocks:
                self._store.add_block(eni.id, block)
            return True
        return False

    def _new_eni(self) -> Work[None]:
        """Six calls (spec 6.9; the second DescribeSubnets is setupENI's, 11.4 number 29), then instance metadata."""
        count = self._wanted(self._limits.slots_per_eni)
        if count <= 0:
            return
        yield from self._describe_subnets()
        primary = self._region.primary_eni(self._instance.id)
        created = yield from self._ec2.create_eni(primary.subnet_id, primary.groups, count, self._kind)
        eni = EniId(created.id)
        index = yield from self._free_device_index()
        try:
            attachment = yield from self._ec2.attach(eni, index, 0)
        except CallError:
            yield from self._ec2.delete_eni(eni)
            raise
        yield from self._ec2.delete_on_termination(eni, attachment)
        blocks = blocks_of(created.secondary, created.prefixes)
        yield from self._await_metadata(eni, len(blocks))
        yield from self._describe_subnets()
        self._store.add_eni(eni, blocks, self._events.now)

    def _decrease(self, over: int) -> Work[None]:
        self._decreased_at = self._acted_at = self._events.now
        left = over
        for eni in self._store.in_map_order():
            blocks = self._store.freeable(eni)[:left]
            if not blocks:
                continue
            for block in blocks:
                self._store.remove_block(eni.id, block)
            left -= len(blocks)
            yield from self._ec2.unassign(eni.id, blocks)
            if left <= 0:
                return

    def _free_eni(self, eni: EniId) -> Work[None]:
        """Describe, detach, two seconds, delete until it works."""
        found = yield from self._ec2.describe_enis([eni])
        if found and found[0].attachment is not None:
            yield from self._ec2.detach(eni, found[0].attachment.id)
        yield 2.0
        pause = 0.5
        for _ in range(TRIES):
            try:
                yield from self._ec2.delete_eni(eni)
            except CallError:
                yield self._ec2.jittered(pause, 0.15)
                pause = min(pause * 2, 60.0)
            else:
                return

    # --- the rest of its calls ------------------------------------------------------------------------------

    def _reconcile(self) -> Work[None]:
        """Instance metadata against the store; where they differ EC2 is asked, ENI by ENI (spec 6.8)."""
        self._acted_at = self._events.now
        shown = {EniId(eni.id): eni for eni in self._shown()}
        for eni in [eni for eni in self._store.enis if eni not in shown]:
            self._store.remove_eni(eni)
        for eni, seen in shown.items():
            known = self._store.enis.get(eni)
            if known is None or self._same(known, seen):
                continue
            found = yield from self._ec2.describe_enis([eni])
            for truth in found:
                self._take_in(known, truth)

    def _take_in(self, known: StoredEni, truth: NetworkInterface) -> None:
        held = blocks_of(truth.secondary, truth.prefixes)
        for block in [block for block in known.blocks if block not in held]:
            self._store.remove_block(known.id, block)
        for block in held:
            self._store.add_block(known.id, block)

    def _same(self, known: StoredEni, seen: NetworkInterface) -> bool:
        return known.blocks.keys() == set(blocks_of(seen.secondary, seen.prefixes))

    def _await_metadata(self, eni: EniId, blocks: int) -> Work[None]:
        pause = 0.1
        for _ in range(TRIES):
            for seen in self._shown():
                if seen.id == eni and len(seen.secondary) + len(seen.prefixes) >= blocks:
                    return
            yield self._ec2.jittered(pause, 0.15)
            pause = min(pause * 2, 60.0)

    def _look_for_leaked(self, delay: float) -> Work[None]:
        """Every node scans the VPC every hour."""
        yield delay
        while True:
            yield LEAKED_EVERY
            query = Query(
                filters={
                    "status": ("available",),
                    "vpc-id": (self._instance.vpc_id,),
                    "tag-key": (INSTANCE,),
                },
                max_results=1000,
            )
            yield from self._ec2.describe_enis_by(query)

    def _describe_subnets(self) -> Work[None]:
        yield from self._ec2.describe_subnets(self._instance.vpc_id, self._instance.zone)

    def _free_device_index(self) -> Work[int]:
        yield from self._plain("DescribeInstances", lambda: None)
        used = {
            eni.attachment.device_index
            for eni in self._region.enis_of(self._instance.id)
            if eni.attachment is not None
        }
        return next(index for index in range(100) if index not in used)

    def _set_groups(self, eni: NetworkInterface) -> Work[None]:
        yield from self._plain(
            "ModifyNetworkInterfaceAttribute",
            lambda: self._region.modify_network_interface(eni.id, groups=eni.groups),
        )

    def _plain(self, action: str, effect: Callable[[], object]) -> Work[object]:
        return (yield from self._ec2.call(action, effect, self._instance.id))

    def _shown(self) -> tuple[NetworkInterface, ...]:
        return self._region.metadata_enis(self._instance.id, self._events.now)
