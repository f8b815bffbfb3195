"""When pods come and when they go: made by a shape and a seed, or read from a file. The same for whoever serves them."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

DAY = 86400.0
Life = Callable[[random.Random], float]
"""Draws how long a pod lives, in seconds."""


@dataclass(frozen=True, slots=True, order=True)
class PodSpan:
    """One pod: when it is bound to a node, and when it is deleted (seconds from the trace's start)."""

    arrive: float
    leave: float


@dataclass(frozen=True, slots=True)
class Trace:
    """Pods in the order of their arrival."""

    name: str
    pods: tuple[PodSpan, ...]
    seconds: float = DAY

    @property
    def most_at_once(self) -> int:
        """Pods at the busiest moment."""
        there, most = 0, 0
        for _, change in sorted([(p.arrive, 1) for p in self.pods] + [(p.leave, -1) for p in self.pods]):
            there += change
            most = max(most, there)
        return most


# --- lives --------------------------------------------------------------------------------------------------


def always(seconds: float) -> Life:
    """Every pod lives as long."""
    return lambda _: seconds


def about(mean: float) -> Life:
    """Exponential: most are short, a few long."""
    return lambda chance: chance.expovariate(1 / mean)


# --- shapes -------------------------------------------------------------------------------------------------


def constant(pods: int, seconds: float = DAY) -> Trace:
    """The pods of services that nobody touches: there from the start to the end."""
    return Trace("constant", tuple(PodSpan(0.0, seconds) for _ in range(pods)), seconds)


def poisson(per_hour: float, life: Life, *, seed: int, seconds: float = DAY) -> Trace:
    """Jobs, independent of each other."""
    chance = _chance("poisson", seed)
    return _trace(
        "poisson",
        _arrivals(lambda _: per_hour / 3600, per_hour / 3600, seconds, chance),
        life,
        chance,
        seconds,
    )


def diurnal(
    most_per_hour: float, life: Life, *, seed: int, seconds: float = DAY, night: float = 0.1
) -> Trace:
    """A day: `night` of the busiest hour's arrivals at midnight, all of them at noon."""
    chance = _chance("diurnal", seed)
    most = most_per_hour / 3600

    def rate(at: float) -> float:
        return most * (night + (1 - night) * (1 - math.cos(2 * math.pi * at / DAY)) / 2)

    return _trace("diurnal", _arrivals(rate, most, seconds, chance), life, chance, seconds)


def bursts(
    pods: int, every: float, life: Life, *, seed: int, seconds: float = DAY, within: float = 5.0
) -> Trace:
    """A CronJob with many completions: so many pods at once, again and again."""
    chance = _chance("bursts", seed)
    starts = [at * every for at in range(int(seconds / every))]
    arrivals = sorted(start + chance.uniform(0, within) for start in starts for _ in range(pods))
    return _trace("bursts", arrivals, life, chance, seconds)


def roll_outs(
    pods: int, every: float, *, seed: int, seconds: float = DAY, surge: float = 0.25, step: float = 20.0
) -> Trace:
    """A Deployment that is rolled out again and again: a part more pods first, then as many of the old ones go."""
    chance = _chance("roll-outs", seed)
    born: list[list[float]] = [[chance.uniform(0, 5.0) for _ in range(pods)]]
    spans: list[PodSpan] = []
    at_once = max(1, int(pods * surge))
    for number in range(1, math.ceil(seconds / every)):
        fresh: list[float] = []
        for index, arrived in enumerate(born[-1]):
            at = number * every + index // at_once * step + chance.uniform(0, 2.0)
            fresh.append(at)
            spans.append(PodSpan(arrived, min(at + step / 2, seconds)))
        born.append(fresh)
    spans += [PodSpan(arrived, seconds) for arrived in born[-1] if arrived < seconds]
    return Trace("roll-outs", tuple(sorted(spans)), seconds)


def from_file(path: Path) -> Trace:
    """Lines of "arrive leave" or "arrive,leave", in seconds; `#` begins a comment; these two words may head a CSV.

    Raises ValueError, with the line, for anything else.
    """
    spans: list[PodSpan] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words or (number == 1 and words == ["arrive", "leave"]):
            continue
        try:
            arrive, leave = map(float, words)
        except ValueError:
            raise ValueError(f"{path}:{number}: two numbers were expected, not {line!r:.60}") from None
        if not 0 <= arrive <= leave < math.inf:
            raise ValueError(f"{path}:{number}: a pod cannot come at {arrive} and go at {leave}")
        spans.append(PodSpan(arrive, leave))
    return Trace(path.stem, tuple(sorted(spans)), max((span.leave for span in spans), default=0.0))


def together(name: str, traces: Iterable[Trace]) -> Trace:
    """All of them on the same nodes."""
    parts = list(traces)
    spans = sorted(span for trace in parts for span in trace.pods)
    return Trace(name, tuple(spans), max(trace.seconds for trace in parts))


# --- where they run -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Placed:
    """Which node each pod of a trace runs on, by its index; -1: no node has room for it."""

    trace: Trace
    nodes: tuple[int, ...]

    @property
    def without_room(self) -> int:
        """Pods that are not run."""
        return self.nodes.count(-1)


def placed(trace: Trace, nodes: int, max_pods: int) -> Placed:
    """The node with the fewest pods, the first among equals, as kube-scheduler spreads equal pods. O(log nodes) a pod."""
    counts = [0] * nodes
    emptiest = [(0, node) for node in range(nodes)]
    leaving: list[tuple[float, int]] = []
    where: list[int] = []
    for span in trace.pods:
        while leaving and leaving[0][0] <= span.arrive:
            _, node = heapq.heappop(leaving)
            counts[node] -= 1
            heapq.heappush(emptiest, (counts[node], node))
        while emptiest[0][0] != counts[emptiest[0][1]]:
            heapq.heappop(emptiest)
        count, node = emptiest[0]
        if count >= max_pods:
            where.append(-1)
            continue
        counts[node] = count + 1
        heapq.heapreplace(emptiest, (count + 1, node))
        heapq.heappush(leaving, (span.leave, node))
        where.append(node)
    return Placed(trace, tuple(where))


# --- inside -------------------------------------------------------------------------------------------------


def _chance(shape: str, seed: int) -> random.Random:
    return random.Random(f"{shape} {seed}")  # noqa: S311 -- the same trace for the same seed


def _arrivals(
    rate: Callable[[float], float], most: float, seconds: float, chance: random.Random
) -> Iterator[float]:
    """A Poisson process whose rate changes, by thinning one of the highest rate."""
    at = chance.expovariate(most)
    while at < seconds:
        if chance.random() * most <= rate(at):
            yield at
        at += chance.expovariate(most)


def _trace(name: str, arrivals: Iterable[float], life: Life, chance: random.Random, seconds: float) -> Trace:
    spans = (PodSpan(at, min(at + life(chance), seconds)) for at in arrivals)
    return Trace(name, tuple(sorted(spans)), seconds)
