"""A scenario under one policy, in virtual time; or under each of its policies, a process for each."""

from __future__ import annotations

import gc
import multiprocessing
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial

from vpccni.ipam.limits import HOST_NETWORK_PODS, known_limits
from vpccni.ipam.reasons import Refusal
from vpccni.ipam.values import Assignment, Pod
from vpclab.lab.layout import fill
from vpclab.lab.state import LabError
from vpclab.plan.constraint import binding
from vpclab.plan.manners import OURS, UNPACED
from vpclab.plan.outcome import CallsOutcome, Outcome, ReasonOutcome, Series, SubnetOutcome
from vpclab.plan.policies import setup_of
from vpclab.plan.reading import nodes_in
from vpclab.plan.scenario import START_PART, Manager, NodeGroup, Policy, Scenario, ScenarioError
from vpclab.plan.timeline import Kind, Moment, Timeline, timeline
from vpclab.region.reservations import ReservationType
from vpclab.region.values import ApiError, Delays
from vpclab.sim.kubelet import Kubelet, PodLife
from vpclab.sim.node import Setup, SimNode
from vpclab.sim.original import OriginalNode
from vpclab.sim.world import USUAL_DELAYS, World

ASKED_AGAIN = re.compile(r"; EC2 is asked again in \d+ s")
NO_ADDRESS = frozenset({"InsufficientFreeAddressesInSubnet", "InsufficientCidrBlocks"})
SAMPLES = 288
"""Of a run: every five minutes of a day."""
THERE_FROM, THERE_UNTIL = 0.6, 0.8
"""The part of the warm-up within which the pods begin that are there from the start."""
GARBAGE_EVERY = 200_000
"""New objects between two looks for garbage in cycles (Python's own: 700)."""
NO_DELAYS = Delays(attach=(0.0, 0.0), detach=(0.0, 0.0))


class StoppedError(Exception):
    """The run was ended early: what was asked is known."""


class Run:
    """One policy's run."""

    def __init__(self, scenario: Scenario, policy: Policy, *, stop_at_failure: bool = False) -> None:
        """`stop_at_failure`: raise StoppedError at the first ADD that fails."""
        self._scenario = scenario
        self._policy = policy
        self._stop = stop_at_failure
        self._setups: dict[str, Setup] = {}
        self._rooms: dict[str, int] = {}
        for group in scenario.nodes:
            limits = known_limits(group.type)
            if limits is None:
                raise ScenarioError(f"{group.type} is not in the list of instance types")
            setup = setup_of(policy, limits, group.max_pods)
            self._setups[group.name] = setup
            self._rooms[group.name] = setup.limits(limits).max_pods - HOST_NETWORK_PODS
        self._world = self._made()
        self._by_name = {s.name: at for at, s in enumerate(scenario.subnets)}
        self._id_name = {
            made.id: s.name for made, s in zip(self._world.subnets, scenario.subnets, strict=True)
        }
        self._kubelets: dict[int, Kubelet] = {}
        self._nodes: dict[int, tuple[str, SimNode | OriginalNode]] = {}
        self._lives: dict[int, PodLife] = {}
        self._connected = 0
        self._subnet_used: Counter[str] = Counter()
        self._pod_subnets: dict[int, str] = {}
        self._reasons: dict[str, ReasonOutcome] = {}
        names = [s.name for s in scenario.subnets]
        self._series = Series(
            subnet_held={name: [] for name in names},
            subnet_used={name: [] for name in names},
            subnet_free={name: [] for name in names},
            subnet_free_prefixes={name: [] for name in names},
        )
        self._peak_held: Counter[str] = Counter()
        self._peak_used: Counter[str] = Counter()
        self._lowest: dict[str, tuple[int, int]] = {}
        self._others: dict[str, int] = {}
        self._sampled_calls = 0

    def go(self) -> Outcome:
        """To the end. Raises ScenarioError, StoppedError."""
        with _garbage_seldom():
            return self._go()

    def _go(self) -> Outcome:
        began = time.process_time()
        scenario, world = self._scenario, self._world
        self._others = {s.name: self._taken(s.name) for s in scenario.subnets}
        plan = timeline(scenario, self._room)
        start = scenario.warm_up_seconds
        first = sum(1 for m in plan.moments if m.kind is Kind.NODE_UP and m.at == 0)
        for place, moment in enumerate(m for m in plan.moments if m.kind is Kind.NODE_UP and m.at == 0):
            world.run_until(start * START_PART * place / max(first, 1))
            self._node_up(plan, moment)
        there = [m for m in plan.moments if m.kind is Kind.POD_BEGIN and m.at == 0]
        for place, moment in enumerate(there):
            world.run_until(start * (THERE_FROM + (THERE_UNTIL - THERE_FROM) * place / len(there)))
            self._happen(plan, moment)
        world.run_until(start)
        self._begin_counting()
        rest = [m for m in plan.moments if m.at > 0 or m.kind not in {Kind.NODE_UP, Kind.POD_BEGIN}]
        self._sample_from(start, scenario.seconds / SAMPLES)
        self._follow(plan, rest, start)
        world.run_until(start + scenario.seconds)
        world.meter.end()
        return self._outcome(plan, time.process_time() - began)

    # --- the world ------------------------------------------------------------------------------------------

    def _made(self) -> World:
        scenario = self._scenario
        zones = list(dict.fromkeys(s.zone for s in scenario.subnets))
        try:
            world = World(
                subnets=tuple(str(s.cidr) for s in scenario.subnets),
                zones=tuple(zones.index(s.zone) for s in scenario.subnets),
                tags=tuple(s.tags for s in scenario.subnets),
                delays=USUAL_DELAYS if scenario.real_delays else NO_DELAYS,
                seed=scenario.seed,
                throttle=scenario.throttle,
            )
            if not scenario.real_delays:
                world.region.gate.latency.every = (0.0, 0.0)
                world.region.gate.latency.by_action.clear()
            world.region.gate.set_rates({**world.region.gate.rates, **scenario.rates})
            for made, subnet in zip(world.subnets, scenario.subnets, strict=True):
                for network in subnet.for_prefixes:
                    world.region.create_subnet_cidr_reservation(made.id, network, ReservationType.PREFIX)
                room = world.region.free_addresses(made.id)
                left = (
                    room - subnet.used
                    if subnet.left is None
                    else subnet.left + nodes_in(subnet, scenario.nodes)
                )
                fill(world.region, [made.id], left, scattered=subnet.scattered)
        except (ApiError, LabError) as error:
            raise ScenarioError(f"the subnets can't be made as they are given: {error}") from None
        world.meter.forget_taken()
        return world

    def _room(self, group: NodeGroup) -> int:
        return self._rooms[group.name]

    def _node_up(self, plan: Timeline, moment: Moment) -> None:
        planned, world = plan.nodes[moment.node], self._world
        setup = self._setups[planned.group.name]
        try:
            instance = world.launch(planned.group.type, subnet=self._by_name[planned.subnet])
        except ApiError as error:
            raise ScenarioError(
                f"node {moment.node} of {planned.group.name} can't be launched in {planned.subnet} "
                f"at {clock(moment.at)} under {self._policy.name!r}: {error}"
            ) from None
        seed = self._scenario.seed * 100003 + moment.node
        name = f"{planned.group.name}-{moment.node}"
        node: SimNode | OriginalNode
        if self._policy.manager is Manager.ORIGINAL:
            client = world.client(instance, UNPACED)
            node = OriginalNode(world.events, world.region, instance, client, setup, seed=seed)
        else:
            node = world.add_node(instance, setup, OURS, seed=seed)
            node.told_to_wait = partial(self._waits, name)
        self._nodes[moment.node] = (instance.id, node)
        self._kubelets[moment.node] = Kubelet(
            world.events,
            node,
            world.waits,
            seed=seed,
            changed=self._changed,
            failed=partial(self._failed, name),
        )
        world.changed()

    def _node_down(self, moment: Moment) -> None:
        instance, node = self._nodes.pop(moment.node)
        self._kubelets.pop(moment.node)
        node.crash()
        self._world.region.terminate_instance(instance)
        self._world.changed()

    # --- what happens ---------------------------------------------------------------------------------------

    def _follow(self, plan: Timeline, moments: list[Moment], start: float) -> None:
        """One moment is planned at a time: a heap of all would slow every other event down."""
        events, coming = self._world.events, iter(moments)

        def go_on() -> None:
            for moment in coming:
                if start + moment.at > events.now:
                    events.at(start + moment.at, partial(then_go_on, moment))
                    return
                self._happen(plan, moment)

        def then_go_on(moment: Moment) -> None:
            self._happen(plan, moment)
            go_on()

        go_on()

    def _happen(self, plan: Timeline, moment: Moment) -> None:
        match moment.kind:
            case Kind.POD_BEGIN:
                pod = Pod("plan", plan.names[moment.pod])
                self._lives[moment.pod] = self._kubelets[moment.node].run(pod)
            case Kind.POD_END:
                life = self._lives.pop(moment.pod, None)
                if life is not None:
                    life.end()
            case Kind.NODE_UP:
                self._node_up(plan, moment)
            case Kind.NODE_DOWN:
                self._node_down(moment)

    def _changed(self, change: int, life: PodLife) -> None:
        self._world.meter.pods(change)
        self._connected += change
        if change > 0 and isinstance(life.said, Assignment):
            eni = self._world.region.enis.get(life.said.eni)
            name = self._id_name[eni.subnet_id] if eni is not None else ""
            self._pod_subnets[id(life)] = name
        else:
            name = self._pod_subnets.pop(id(life), "")
        self._subnet_used[name] += change
        self._peak_used[name] = max(self._peak_used[name], self._subnet_used[name])

    def _waits(self, node: str, pod: Pod, why: Refusal) -> None:
        self._note(why, str(pod.name), node).waited += 1

    def _failed(self, node: str, life: PodLife, why: Refusal) -> None:
        self._note(why, life.pod.name, node).failed += 1
        if self._stop:
            raise StoppedError(str(why))

    def _note(self, why: Refusal, pod: str, node: str) -> ReasonOutcome:
        at = self._world.events.now - self._scenario.warm_up_seconds
        found = self._reasons.get(why.reason.value)
        if found is None:
            found = ReasonOutcome(
                why.reason.value, first_at=at, pod=pod, node=node, detail=self._in_words(why.detail)
            )
            self._reasons[why.reason.value] = found
        found.last_at = at
        return found

    def _in_words(self, detail: str) -> str:
        for identifier, name in self._id_name.items():
            detail = detail.replace(identifier, name)
        return ASKED_AGAIN.sub("", detail)

    # --- counting -------------------------------------------------------------------------------------------

    def _taken(self, name: str) -> int:
        made = self._world.subnets[self._by_name[name]]
        return made.cidr.num_addresses - 5 - self._world.region.free_addresses(made.id)

    def _begin_counting(self) -> None:
        world = self._world
        world.meter.end()
        world.meter.restart()
        world.endpoint.calls.counts.clear()
        world.waits.forget()
        self._reasons.clear()
        world.region.gate.forget_use()
        world.on_change = self._note_subnets
        for subnet in self._scenario.subnets:
            made = world.subnets[self._by_name[subnet.name]]
            self._lowest[subnet.name] = (
                world.region.free_addresses(made.id),
                world.region.free_prefixes(made.id),
            )
            self._peak_held[subnet.name] = self._taken(subnet.name) - self._others[subnet.name]

    def _note_subnets(self) -> None:
        region = self._world.region
        for name, at in self._by_name.items():
            made = self._world.subnets[at]
            free, prefixes = region.free_addresses(made.id), region.free_prefixes(made.id)
            before = self._lowest[name]
            if free < before[0] or prefixes < before[1]:
                self._lowest[name] = (min(free, before[0]), min(prefixes, before[1]))
                held = made.cidr.num_addresses - 5 - free - self._others[name]
                self._peak_held[name] = max(self._peak_held[name], held)

    def _sample_from(self, start: float, every: float) -> None:
        events = self._world.events

        def sample() -> None:
            self._sample(events.now - start)
            if events.now + every <= start + self._scenario.seconds + 1e-6:
                events.after(every, sample)

        sample()

    def _sample(self, at: float) -> None:
        series, world = self._series, self._world
        total = world.endpoint.calls.total
        series.times.append(round(at, 3))
        series.nodes.append(len(self._nodes))
        series.running.append(self._connected)
        series.waiting.append(len(self._lives) - self._connected)
        series.held.append(world.meter.taken)
        series.calls.append(total - self._sampled_calls)
        self._sampled_calls = total
        for name, place in self._by_name.items():
            made = world.subnets[place]
            series.subnet_held[name].append(self._taken(name) - self._others[name])
            series.subnet_used[name].append(self._subnet_used[name])
            series.subnet_free[name].append(world.region.free_addresses(made.id))
            series.subnet_free_prefixes[name].append(world.region.free_prefixes(made.id))

    def _outcome(self, plan: Timeline, cpu: float) -> Outcome:
        scenario, world, policy = self._scenario, self._world, self._policy
        waits, meter = world.waits, world.meter
        still = sum(1 for life in self._lives.values() if not life.connected)
        passed = scenario.seconds
        outcome = Outcome(
            policy.name,
            policy.manager.value,
            dict(policy.env),
            nodes=scenario.most_nodes,
            pods=sum(1 for m in plan.moments if m.kind is Kind.POD_BEGIN and m.at > 0),
            connected=len(waits.seconds),
            waited=waits.waited,
            failed_adds=waits.failed_adds,
            never=waits.never + still,
            no_room=len(plan.no_room),
            wait_p50=waits.quantile(0.5),
            wait_p99=waits.quantile(0.99),
            wait_max=max(waits.seconds, default=0.0),
            mean_held=(meter.unused_seconds + meter.used_seconds) / passed,
            mean_used=meter.used_seconds / passed,
            peak_held=meter.peak_taken,
            unused_hours=meter.unused_hours,
            calls=world.endpoint.calls.total,
            by_action=self._calls(),
            subnets=[self._subnet(s.name) for s in scenario.subnets],
            reasons=sorted(self._reasons.values(), key=lambda r: (-r.failed, -r.waited, r.reason)),
            series=self._series,
            cpu_seconds=cpu,
        )
        outcome.constraint = binding(scenario, outcome, plan, self._rooms)
        return outcome

    def _calls(self) -> list[CallsOutcome]:
        use = self._world.region.gate.use()
        full = Counter[str]()
        for (_, action, code), count in self._world.endpoint.calls.counts.items():
            full[action] += count if code in NO_ADDRESS else 0
        return [
            CallsOutcome(
                action,
                count,
                use[action].refused if action in use else 0,
                use[action].rate.size if action in use else 0.0,
                use[action].rate.refill if action in use else 0.0,
                full[action],
                round(use[action].lowest, 2) if action in use else 0.0,
            )
            for action, count in sorted(self._world.endpoint.calls.by_action().items())
        ]

    def _subnet(self, name: str) -> SubnetOutcome:
        subnet = self._scenario.subnets[self._by_name[name]]
        held, used = self._series.subnet_held[name], self._series.subnet_used[name]
        return SubnetOutcome(
            name,
            str(subnet.cidr),
            subnet.zone,
            capacity=subnet.cidr.num_addresses - 5,
            of_others=self._others[name],
            peak_held=self._peak_held[name],
            mean_held=sum(held) / len(held),
            peak_used=self._peak_used[name],
            mean_used=sum(used) / len(used),
            lowest_free=self._lowest[name][0],
            lowest_free_prefixes=self._lowest[name][1],
        )


@contextmanager
def _garbage_seldom() -> Iterator[None]:
    """Almost nothing here is garbage in cycles: to look for it as often as usual took 7 to 25 % longer at 1,000 nodes."""
    usual = gc.get_threshold()
    gc.set_threshold(GARBAGE_EVERY, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def clock(seconds: float) -> str:
    """A time of the plan: 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def run_policy(scenario: Scenario, policy: Policy) -> Outcome:
    """One policy. Raises ScenarioError."""
    return Run(scenario, policy).go()


def simulate(
    scenario: Scenario, *, jobs: int = 1, done: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Every policy, in the scenario's order; `done` is told of each. Raises ScenarioError."""
    outcomes: list[Outcome] = []
    if jobs <= 1 or len(scenario.policies) == 1:
        for policy in scenario.policies:
            outcomes.append(run_policy(scenario, policy))
            done(outcomes[-1])
        return outcomes
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(scenario.policies)), mp_context=context) as pool:
        for outcome in pool.map(run_policy, [scenario] * len(scenario.policies), scenario.policies):
            outcomes.append(outcome)
            done(outcome)
    return outcomes
