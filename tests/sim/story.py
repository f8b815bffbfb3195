"""What may happen to a few nodes of one region, and what must hold whatever happens."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

from vpccni.aws.budget import SHARE, rate_of
from vpccni.ipam.checkpoint import Given, encode_entry
from vpccni.ipam.reasons import Reason
from vpccni.ipam.targets import WarmTargets, shortage
from vpccni.ipam.values import IPV4_KINDS, Address, Assignment, EniId, Pod, SandboxKey
from vpclab.plan.manners import OURS
from vpclab.region.gate import Rate
from vpclab.region.values import ApiError, AttachmentStatus, EniStatus, NetworkInterface
from vpclab.sim.client import Undone, blocks_of
from vpclab.sim.kubelet import PodLife
from vpclab.sim.node import Setup, SimNode
from vpclab.sim.world import World

BLOCKERS = {
    Reason.ENI_LIMIT, Reason.IP_LIMIT, Reason.SUBNET_FULL, Reason.NO_FREE_PREFIX, Reason.MAX_PODS, Reason.ALL_COOLING,
}  # fmt: skip
FULL = {
    "InsufficientFreeAddressesInSubnet", "InsufficientCidrBlocks", "InvalidParameterValue",
}  # fmt: skip
"""EC2's codes for a subnet that is full; asked again every two minutes."""
TROUBLES = (
    ("RequestLimitExceeded", 503),
    ("InternalError", 500),
    ("Unavailable", 503),
    ("UnauthorizedOperation", 403),
    ("InvalidNetworkInterfaceID.NotFound", 400),
)
CALLS = (
    "*", "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses", "CreateNetworkInterface", "AttachNetworkInterface",
    "ModifyNetworkInterfaceAttribute", "DetachNetworkInterface", "DeleteNetworkInterface", "DescribeNetworkInterfaces",
)  # fmt: skip


HALF_DONE = ("*", "DeleteNetworkInterface", "DescribeNetworkInterfaces")
"""Refused after the ENI was detached: see test_findings.test_an_eni_that_was_detached_and_not_deleted_gives_no_addresses."""


BY_THE_CLOCK = {"DescribeNetworkInterfaces": 1, "DescribeSubnets": 61}
"""Calls an hour at a node where nothing happens: a look for what others left behind; the subnets' tags every ten minutes, and
every minute while one is full (test_findings)."""


class Story:
    """A world with its pods by number, and everything that is remembered to judge it by."""

    def __init__(
        self,
        *,
        setups: list[Setup],
        subnets: tuple[str, ...] = ("10.0.0.0/24",),
        instance_type: str = "t3.medium",
        seed: int = 0,
    ) -> None:
        self.world = World(subnets=subnets, seed=seed, keep_calls=True)
        self.calm = True
        """Nothing but pods has happened so far."""
        self.taken_from_us: set[Address] = set()
        """Addresses that somebody else unassigned: EC2 may have given them to others, and nobody could know at once."""
        self.began: dict[str, list[float]] = {}
        self.nodes: list[SimNode] = []
        for number, setup in enumerate(setups):
            instance = self.world.launch(instance_type, subnet=number)
            node = self.world.add_node(instance, setup, OURS, seed=number)
            node.ec2.watch = self.about_to_undo
            self.began[instance.id] = [0.0]
            self.nodes.append(node)
        self.kubelets = [self.world.kubelet(node, seed=n) for n, node in enumerate(self.nodes)]
        self.pods: dict[int, tuple[int, PodLife]] = {}
        self.started = 0
        self.strangers: list[str] = []
        self.undone: list[str] = []

    # --- what may happen --------------------------------------------------------------------------------------

    def node_of(self, number: int) -> SimNode:
        return self.nodes[number % len(self.nodes)]

    def add(self, number: int) -> None:
        if number in self.pods:
            return
        self.started += 1
        where = number % len(self.nodes)
        self.pods[number] = (where, self.kubelets[where].run(Pod("default", f"p{number}-{self.started}")))

    def delete(self, number: int) -> None:
        if number in self.pods:
            self.pods.pop(number)[1].end()

    def time_passes(self, seconds: float) -> None:
        self.world.run_until(self.world.events.now + seconds)

    def to_the_next_event(self) -> None:
        at = self.world.events.next_at()
        if at is not None:
            self.world.run_until(at)

    def crash(self, number: int) -> None:
        self.calm = False
        self.node_of(number).crash()

    def start(self, number: int, *, torn: int = 0, setup: Setup | None = None) -> None:
        node = self.node_of(number)
        if node.up or node.starting:
            return
        node.setup = setup or node.setup
        ghost = Assignment(
            SandboxKey("aws-cni", "torn", "eth0"), Pod("default", "torn"), IPv4Address("10.9.9.9"), EniId("eni-9"), 0.0
        )  # fmt: skip
        node.start(torn=encode_entry(Given(ghost))[:-1][:torn])
        self.began[node.instance.id].append(self.world.events.now)

    def ec2_fails(self, call: str, trouble: tuple[str, int], count: int) -> None:
        self.calm = False
        if call in HALF_DONE and trouble[0] in {"RequestLimitExceeded", "UnauthorizedOperation"}:
            return
        self.world.region.fault(call, trouble[0], status=trouble[1], count=count)

    def ec2_loses_answers(self, part: float) -> None:
        self.calm = False
        self.world.endpoint.lost_answers = part

    def ec2_throttles(self, *, hard: bool) -> None:
        self.calm = False
        rates = self.world.region.gate.rates
        for call in CALLS[1:]:
            if call in HALF_DONE:
                continue
            rates[call] = Rate(3, 0.2) if hard else rate_as_usual(call)
        self.world.region.gate._buckets.clear()

    def metadata_lags(self, most: float) -> None:
        self.calm = False
        region = self.world.region
        region.delays = replace(region.delays, imds=(0.0, most))

    def devices_come_late(self, most: float) -> None:
        self.calm = False
        region = self.world.region
        region.delays = replace(region.delays, attach=(0.0, most), detach=(0.0, most))

    def somebody_takes_addresses(self, number: int, count: int) -> None:
        """Not from us: from the subnet."""
        subnet = self.world.subnets[number % len(self.world.subnets)].id
        for _ in range(count):
            try:
                self.strangers.append(self.world.region.create_network_interface(subnet).id)
            except ApiError:
                return

    def somebody_gives_addresses_back(self) -> None:
        for eni in self.strangers:
            self.world.region.delete_network_interface(eni)
        self.strangers = []

    def somebody_unassigns(self, number: int, which: int) -> None:
        """Behind our back, maybe a pod's."""
        node = self.node_of(number)
        held = [(eni, network) for eni in self.enis_of(node) for network in eni.networks[1:]]
        if not held:
            return
        self.calm = False
        eni, network = held[which % len(held)]
        self.taken_from_us.update(network)
        if network.prefixlen == network.max_prefixlen:
            self.world.region.unassign_private_ip_addresses(eni.id, addresses=(network[0],))
        else:
            self.world.region.unassign_private_ip_addresses(eni.id, prefixes=(network,))
        node.touched()

    def somebody_detaches(self, number: int, which: int) -> None:
        """Behind our back, with its pods, and deletes it."""
        node = self.node_of(number)
        enis = [eni for eni in self.enis_of(node)[1:] if eni.status is EniStatus.IN_USE]
        if not enis:
            return
        self.calm = False
        eni = enis[which % len(enis)]
        assert eni.attachment is not None
        for network in eni.networks[1:]:
            self.taken_from_us.update(network)
        self.world.region.detach_network_interface(eni.attachment.id, force=True)
        self.world.region.delete_network_interface(eni.id)
        node.touched()

    # --- what must hold ---------------------------------------------------------------------------------------

    def about_to_undo(self, undone: Undone) -> None:
        node = next(node for node in self.nodes if node.instance.id == undone.node)
        self.undone.append(undone.action)
        for assignment in node.live.values():
            if assignment.address not in self.taken_from_us:
                assert not any(assignment.address in network for network in undone.networks), (
                    f"{undone.action} of {undone.eni} takes {assignment.address} from {assignment.pod}"
                )

    def check(self) -> None:
        self.no_address_twice()
        self.limits_are_kept()
        if not self.taken_from_us:
            # EC2 may give us again what the pool does not know to be gone
            for node in self.nodes:
                assert not node.surprises, node.surprises

    def no_address_twice(self) -> None:
        owners: dict[Address, str] = {}
        for node in self.nodes:
            for assignment in node.live.values():
                if assignment.address in self.taken_from_us:
                    continue
                who = f"{assignment.pod} on {node.instance.id}"
                assert assignment.address not in owners, (
                    f"{assignment.address}: {who}, {owners[assignment.address]}"
                )
                owners[assignment.address] = who
            if node.up:
                remembered = {a.key: a.address for a in node.ipam.pool.assignments()}
                for key, assignment in node.live.items():
                    # of an ENI that was taken away the agent forgets the pods, too
                    if assignment.address not in self.taken_from_us:
                        assert remembered[key] == assignment.address

    def limits_are_kept(self) -> None:
        for node in self.nodes:
            limits = self.world.region.limits(node.instance.type)
            enis = self.enis_of(node)
            assert len(enis) <= limits.max_enis
            assert all(len(eni.secondary) + len(eni.prefixes) <= limits.slots_per_eni for eni in enis)

    def budget_is_kept(self) -> None:
        """No node ever calls faster than its buckets allow; each agent begins with full ones."""
        tokens: dict[tuple[str, str], tuple[float, float]] = {}
        for call in sorted(self.world.endpoint.calls.history, key=lambda call: call.at):
            rate = rate_of(call.action).shared(SHARE)
            left, at = tokens.get((call.node, call.action), (rate.size, 0.0))
            if any(at < start <= call.at for start in self.began[call.node]):
                left = rate.size
            left = min(rate.size, left + (call.at - at) * rate.refill) - 1
            assert left > -1e-6, f"{call.node} makes too many {call.action} at {call.at}"
            tokens[call.node, call.action] = (left, call.at)

    def heal(self) -> None:
        """EC2 is willing, everybody is up."""
        region = self.world.region
        region.clear_faults()
        self.world.endpoint.lost_answers = 0.0
        self.ec2_throttles(hard=False)
        region.delays = replace(region.delays, imds=(0.0, 1.0), attach=(1.0, 3.0), detach=(1.0, 2.0))
        for number in range(len(self.nodes)):
            self.start(number)

    def settle(self) -> None:
        """With time and a willing EC2 it comes to rest: EC2 ⊇ pool ⊇ pods, the targets met, or a reason why not."""
        calm = self.calm
        self.heal()
        self.time_passes(600.0)
        self.few_wait()
        self.time_passes(7500.0)  # enough for two looks at what was left behind
        self.check()
        self.pods_whose_address_was_taken_end()
        self.comes_to_rest()
        self.budget_is_kept()
        assert not self.leaked()
        for node in self.nodes:
            self.agrees_with_ec2(node)
            self.is_warm_or_says_why(node)
        if calm:
            for code in ("RequestLimitExceeded", "AttachmentLimitExceeded", "PrivateIpAddressLimitExceeded"):
                assert not self.world.endpoint.calls.failed(code)
        self.new_pods_get_what_ec2_holds()

    def few_wait(self) -> None:
        """Who cannot be served is tried every few seconds: three of them tell as much as forty."""
        waiting = [number for number, (_, life) in self.pods.items() if not life.connected]
        for number in waiting[3:]:
            self.delete(number)

    def pods_whose_address_was_taken_end(self) -> None:
        """Then nothing of it is left: what pods depended on was all that kept it.

        All pods of such a node, those that wait too: test_findings tells of the moment in which they would get it, and of
        what else is done again and again while such a pod runs.
        """
        mourning = [self.has_pods_whose_address_was_taken(node) for node in self.nodes]
        for number, (where, _) in list(self.pods.items()):
            if mourning[where]:
                self.delete(number)
        if any(mourning):
            self.time_passes(1800.0)
            self.check()

    def comes_to_rest(self) -> None:
        """For an hour EC2 is asked for nothing but what is asked by the clock, or refused by a full subnet."""
        history = self.world.endpoint.calls.history
        before, undone = len(history), len(self.undone)
        self.time_passes(3600.0)
        self.check()
        late = history[before:]
        assert len(late) <= len(self.nodes) * 5 * (3600 // 60 + 1), f"no rest: {late[:10]}"
        if any(node.ipam.state.falling_back for node in self.nodes):
            return
        restless = [call for call in late if call.code not in FULL]
        by_the_clock = Counter((call.node, call.action) for call in restless)
        for (node, action), count in by_the_clock.items():
            first = next(call for call in restless if (call.node, call.action) == (node, action))
            assert count <= BY_THE_CLOCK.get(action, 0), (
                f"no rest: {count} {action} by {node} from {first.at}"
            )
        assert self.undone[undone:] == []

    def has_pods_whose_address_was_taken(self, node: SimNode) -> bool:
        return any(a.address in self.taken_from_us for a in node.ipam.pool.assignments())

    def agrees_with_ec2(self, node: SimNode) -> None:
        """EC2 ⊇ pool ⊇ assigned; and nothing that EC2 holds for us is forgotten."""
        pool = node.ipam.pool
        held = {EniId(eni.id): set(blocks_of(eni.secondary, eni.prefixes)) for eni in self.enis_of(node)}
        ours = {view.eni.id: set(pool.blocks_of(view.eni.id)) for view in pool.enis()}
        assert ours.keys() == held.keys()
        for eni, blocks in held.items():
            assert ours[eni] - blocks == set(), f"{eni}: EC2 does not hold what the pool has"
            assert blocks - ours[eni] == set(), f"{eni}: the pool does not know what EC2 holds"
        for assignment in pool.assignments():
            assert any(assignment.address in b.network for b in pool.blocks_of(assignment.eni))

    def is_warm_or_says_why(self, node: SimNode) -> None:
        state, now = node.ipam.state, self.world.events.now
        shortfall = node.ipam.shortfall(now)
        if shortage(state.targets, state.limits, node.ipam.holdings, state.kind):
            assert shortfall is not None
        if shortfall is not None:
            assert shortfall.reason in BLOCKERS, shortfall
        for _, life in self.pods.values():
            if life.pod.name and not life.connected and life._kubelet.network is node:
                refusal = node.ipam.refusal(now)
                assert refusal.reason in BLOCKERS | {Reason.POOL_REFILLING}, refusal

    def new_pods_get_what_ec2_holds(self) -> None:
        fresh = range(10_000, 10_000 + 3 * len(self.nodes))
        for number in fresh:
            self.add(number)
        self.time_passes(1.0)
        for number in fresh:
            where, life = self.pods[number]
            node = self.nodes[where]
            if life.connected and life.key is not None:
                address = node.live[life.key].address
                held = [n for eni in self.enis_of(node) for n in eni.networks[1:]]
                assert any(address in network for network in held), (
                    f"{life.pod} was given {address}, which EC2 does not hold for its node"
                )

    def leaked(self) -> list[NetworkInterface]:
        """ENIs of ours that are attached to nothing."""
        return [
            eni
            for eni in self.world.region.enis.values()
            if eni.attachment is None and eni.id not in self.strangers
        ]

    def enis_of(self, node: SimNode) -> list[NetworkInterface]:
        return [
            eni
            for eni in self.world.region.enis_of(node.instance.id)
            if eni.attachment is not None and eni.attachment.status is not AttachmentStatus.DETACHING
        ]


def rate_as_usual(call: str) -> Rate:
    """The account's bucket; the region's and the agent's tables say the same."""
    rate = rate_of(call)
    return Rate(rate.size, rate.refill)


Steps = list[tuple[int, Callable[[], None]]]


def random_setup(draw: random.Random) -> Setup:
    return Setup(
        targets=WarmTargets(
            draw.randrange(3), draw.choice([0, 0, 1, 2, 9]), draw.choice([0, 0, 5, 10]), draw.randrange(3)
        ),
        kind=draw.choice(IPV4_KINDS),
        cooldown=draw.choice([30.0, 30.0, 5.0, 0.0]),
        max_enis=draw.choice([None, None, 2]),
        max_pods=draw.choice([None, None, 12]),
    )
