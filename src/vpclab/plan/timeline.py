"""When which node comes and goes, and which pod runs on which: fixed before any policy runs, so that all serve the same.

Pods are spread as kube-scheduler spreads equal ones: the node with the fewest of them takes the next. A pod for which no
node has room waits for one, first come, first served; the pods of a node that goes are begun anew elsewhere.
"""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from vpclab.plan.scenario import NodeGroup, PodGroup, Scenario, Shape
from vpclab.sim.trace import (
    PodSpan,
    about,
    always,
    bursts,
    constant,
    diurnal,
    poisson,
    roll_outs,
)

FIRST = 10.0
"""Seconds within which a roll-out's trace begins its first pods."""


class Kind(enum.IntEnum):
    """What happens; at equal times in this order."""

    NODE_UP = 0
    POD_END = 1
    NODE_DOWN = 2
    POD_BEGIN = 3


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """One thing that happens."""

    at: float
    kind: Kind
    pod: int = -1
    node: int = -1


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node to come: its group, and which of the group's subnets it is in."""

    group: NodeGroup
    subnet: str


@dataclass(frozen=True, slots=True)
class NoRoom:
    """A pod that no node had room for."""

    pod: int
    since: float
    until: float
    """When it was placed, was gone, or the plan was over."""
    placed: bool


@dataclass(slots=True)
class Timeline:
    """Everything that happens, in the order of time."""

    nodes: list[PlannedNode] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    no_room: list[NoRoom] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """Of the pods: the group's name and a number."""


def spans_of(group: PodGroup, *, seed: int, seconds: float) -> tuple[PodSpan, ...]:
    """When the pods of a group come and go. Those that come at 0 are there when counting begins."""
    life = always(group.life) if group.same_life else about(group.life or 1.0)
    own = seed * 1009 + sum(map(ord, group.name))
    match group.shape:
        case Shape.CONSTANT:
            return constant(group.count, seconds).pods
        case Shape.POISSON:
            return poisson(group.per_hour, life, seed=own, seconds=seconds).pods
        case Shape.DIURNAL:
            return diurnal(group.per_hour, life, seed=own, seconds=seconds, night=group.night).pods
        case Shape.BURSTS:
            return bursts(group.count, group.every, life, seed=own, seconds=seconds, within=group.within).pods
        case Shape.ROLL_OUTS:
            made = roll_outs(
                group.count, group.every, seed=own, seconds=seconds, surge=group.surge, step=group.step
            ).pods
            # the first ones were there before
            return tuple(PodSpan(0.0, s.leave) if s.arrive < min(FIRST, group.every) else s for s in made)
        case Shape.FILE:
            return tuple(PodSpan(s.arrive, min(s.leave, seconds)) for s in group.spans if s.arrive < seconds)


class _Scheduler:
    """Makes the timeline."""

    def __init__(self, scenario: Scenario, room: Callable[[NodeGroup], int]) -> None:
        self.made = Timeline()
        self._scenario = scenario
        self._room = room
        self._counts: list[int] = []
        self._pods_on: list[dict[int, float]] = []
        self._alive: list[bool] = []
        self._of_group: dict[str, list[int]] = {g.name: [] for g in scenario.nodes}
        self._launched = dict.fromkeys(self._of_group, 0)
        pools = {p.nodes for p in scenario.pods}
        self._emptiest: dict[tuple[str, ...], list[tuple[int, int]]] = {names: [] for names in pools}
        self._pools_of = {g: [p for p in pools if g in p] for g in self._of_group}
        self._pending: dict[tuple[str, ...], deque[tuple[int, float, float]]] = {p: deque() for p in pools}
        self._wants: list[tuple[str, ...]] = []
        self._leaving: list[tuple[float, int, int]] = []

    def run(self) -> Timeline:
        scenario = self._scenario
        for group in scenario.nodes:
            self._resize(group, group.count, 0.0)
        changes = [
            (c.at, 0, g, c.count) for g in scenario.nodes for c in g.changes if c.at < scenario.seconds
        ]
        arrivals = [
            (span.arrive, 1, at, span)
            for at, group in enumerate(scenario.pods)
            for span in spans_of(group, seed=scenario.seed, seconds=scenario.seconds)
            if span.leave > span.arrive
        ]
        for at, _, what, how in sorted([*changes, *arrivals], key=lambda one: one[:2]):
            self._leave_until(at)
            if isinstance(what, NodeGroup) and isinstance(how, int):
                self._resize(what, how, at)
            elif isinstance(what, int) and isinstance(how, PodSpan):
                self._arrive(scenario.pods[what], how)
        self._leave_until(scenario.seconds)
        self._end_pending()
        self.made.moments.sort()
        return self.made

    def _resize(self, group: NodeGroup, count: int, at: float) -> None:
        alive = [node for node in self._of_group[group.name] if self._alive[node]]
        for _ in range(count - len(alive)):
            node = len(self.made.nodes)
            subnet = group.subnets[self._launched[group.name] % len(group.subnets)]
            self._launched[group.name] += 1
            self.made.nodes.append(PlannedNode(group, subnet))
            self._counts.append(0)
            self._pods_on.append({})
            self._alive.append(True)
            self._of_group[group.name].append(node)
            self.made.moments.append(Moment(at, Kind.NODE_UP, node=node))
            self._offer(node)
        going = sorted(alive, key=lambda node: (self._counts[node], -node))[: max(0, len(alive) - count)]
        for node in going:
            self._alive[node] = False
        moved = [(pod, leave) for node in going for pod, leave in self._pods_on[node].items()]
        for node in going:
            for pod in list(self._pods_on[node]):
                self.made.moments.append(Moment(at, Kind.POD_END, pod, node))
            self._pods_on[node].clear()
            self.made.moments.append(Moment(at, Kind.NODE_DOWN, node=node))
        for pod, leave in moved:
            self._place(self._named(self._wants[pod], f"{self.made.names[pod]}'"), at, leave)
        self._serve_pending(group.name, at)

    def _arrive(self, group: PodGroup, span: PodSpan) -> None:
        self._place(self._named(group.nodes, f"{group.name}-{len(self._wants)}"), span.arrive, span.leave)

    def _named(self, wants: tuple[str, ...], name: str) -> int:
        self._wants.append(wants)
        self.made.names.append(name)
        return len(self._wants) - 1

    def _place(self, pod: int, at: float, leave: float) -> None:
        wants = self._wants[pod]
        node = None if self._pending[wants] else self._emptiest_of(wants)
        if node is None:
            self._pending[wants].append((pod, at, leave))
        else:
            self._begin(pod, node, at, leave)

    def _begin(self, pod: int, node: int, at: float, leave: float) -> None:
        self._counts[node] += 1
        self._pods_on[node][pod] = leave
        self._offer(node)
        self.made.moments.append(Moment(at, Kind.POD_BEGIN, pod, node))
        heapq.heappush(self._leaving, (leave, pod, node))

    def _leave_until(self, now: float) -> None:
        while self._leaving and self._leaving[0][0] <= now:
            at, pod, node = heapq.heappop(self._leaving)
            if self._pods_on[node].pop(pod, None) is None:
                continue
            if at < self._scenario.seconds:  # who is there to the end is not taken down
                self.made.moments.append(Moment(at, Kind.POD_END, pod, node))
            self._counts[node] -= 1
            self._offer(node)
            self._serve_pending(self.made.nodes[node].group.name, at)

    def _serve_pending(self, group: str, at: float) -> None:
        for wants in self._pools_of[group]:
            queue = self._pending[wants]
            while queue:
                pod, since, leave = queue[0]
                if leave <= at:
                    queue.popleft()
                    self.made.no_room.append(NoRoom(pod, since, leave, placed=False))
                    continue
                node = self._emptiest_of(wants)
                if node is None:
                    break
                queue.popleft()
                self.made.no_room.append(NoRoom(pod, since, at, placed=True))
                self._begin(pod, node, at, leave)

    def _end_pending(self) -> None:
        for queue in self._pending.values():
            for pod, since, leave in queue:
                self.made.no_room.append(NoRoom(pod, since, leave, placed=False))

    def _offer(self, node: int) -> None:
        for wants in self._pools_of[self.made.nodes[node].group.name]:
            heapq.heappush(self._emptiest[wants], (self._counts[node], node))

    def _emptiest_of(self, wants: tuple[str, ...]) -> int | None:
        heap = self._emptiest[wants]
        while heap:
            count, node = heap[0]
            if not self._alive[node] or count != self._counts[node]:
                heapq.heappop(heap)
                continue
            if count < self._room(self.made.nodes[node].group):
                return node
            if self._all_of_one_room(wants):
                return None
            return self._with_room(wants)
        return None

    def _all_of_one_room(self, wants: Iterable[str]) -> bool:
        return len({self._room(g) for g in self._scenario.nodes if g.name in set(wants)}) == 1

    def _with_room(self, wants: Iterable[str]) -> int | None:
        """Groups of different sizes: the emptiest is full, a larger one may not be."""
        groups = {g.name: self._room(g) for g in self._scenario.nodes}
        with_room = [
            (self._counts[node], node)
            for name in wants
            for node in self._of_group[name]
            if self._alive[node] and self._counts[node] < groups[name]
        ]
        return min(with_room)[1] if with_room else None


def timeline(scenario: Scenario, room: Callable[[NodeGroup], int]) -> Timeline:
    """Everything that happens; `room` is how many pods with addresses of their own a node of a group takes."""
    return _Scheduler(scenario, room).run()
