"""What is to be planned: subnets, nodes, pods, and the policies that are compared. Values only; reading.py makes them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from types import MappingProxyType

from vpccni.ipam.values import BlockKind
from vpclab.region.gate import Rate
from vpclab.sim.trace import PodSpan

NOTHING: Mapping[str, str] = MappingProxyType({})
LEAST_WARM_UP = 600.0
"""Seconds."""
START_PART = 0.5
"""The part of the warm-up within which the first nodes start, one after the other."""
STARTS_A_SECOND = 3.0
"""Nodes that start within a second at the most: each makes one of every call for an ENI, of which EC2 takes 5 a second
(aws-emulation 4.3), and what is over serves its first pods."""


class ScenarioError(ValueError):
    """What was given can't be planned; the message says where and why."""


class Manager(enum.Enum):
    """Whose rules keep the nodes' addresses."""

    OURS = "vpc-cni"
    ORIGINAL = "original"
    AZURE = "azure"
    CILIUM = "cilium"


class Shape(enum.Enum):
    """How pods come and go."""

    CONSTANT = "constant"
    POISSON = "poisson"
    DIURNAL = "diurnal"
    BURSTS = "bursts"
    ROLL_OUTS = "roll-outs"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class SubnetPlan:
    """A subnet, and what others have of it."""

    name: str
    cidr: IPv4Network
    zone: str
    used: int = 0
    left: int | None = None
    """Instead of `used`: addresses that are left once the first nodes' machines are up."""
    scattered: bool = False
    """What is used lies so that no /28 is whole, as far as it goes."""
    tags: Mapping[str, str] = field(default_factory=dict)
    for_prefixes: tuple[IPv4Network, ...] = ()
    """CIDR reservations of the type prefix."""


@dataclass(frozen=True, slots=True)
class CountChange:
    """From then on a group has so many nodes."""

    at: float
    count: int


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Nodes of one type, in turn in each of its subnets."""

    name: str
    type: str
    count: int
    subnets: tuple[str, ...]
    changes: tuple[CountChange, ...] = ()
    max_pods: int | None = None
    """kubelet's; None: what the type's addresses allow in the policy's mode."""


@dataclass(frozen=True, slots=True)
class PodGroup:
    """Pods that come and go in one way. Which fields count depends on `shape` (docs/plan.md)."""

    name: str
    shape: Shape
    nodes: tuple[str, ...]
    count: int = 0
    per_hour: float = 0.0
    life: float = 0.0
    """Seconds; the mean of an exponential distribution, or everyone's if `same_life`."""
    same_life: bool = False
    every: float = 0.0
    within: float = 5.0
    night: float = 0.1
    surge: float = 0.25
    step: float = 20.0
    spans: tuple[PodSpan, ...] = ()
    """Of a file."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One way to keep addresses: settings of the agent, or somebody else's rules."""

    name: str
    manager: Manager = Manager.OURS
    env: Mapping[str, str] = field(default_factory=dict)
    batch: int = 16
    """Azure's B."""
    minimum_free: float = 0.5
    """Azure's mf: the part of a batch that is kept free."""
    pre_allocate: int = 8
    """Cilium's watermark."""

    @property
    def kind(self) -> BlockKind:
        """Of what nodes that can have prefixes hold."""
        prefixes = self.env.get("ENABLE_PREFIX_DELEGATION", "false").lower() in {"true", "1", "t"}
        return BlockKind.PREFIX if prefixes else BlockKind.SECONDARY_IP


@dataclass(frozen=True, slots=True)
class Scenario:
    """All of it. Times are seconds from the first pod."""

    name: str
    subnets: tuple[SubnetPlan, ...]
    nodes: tuple[NodeGroup, ...]
    pods: tuple[PodGroup, ...]
    policies: tuple[Policy, ...]
    description: str = ""
    seed: int = 1
    seconds: float = 86400.0
    warm_up: float | None = None
    """For the nodes to start in, before the first pod; not counted. None: as long as `warm_up_seconds` says."""
    real_delays: bool = True
    throttle: bool = True
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """Of the account's buckets that differ from the usual."""

    def scaled(self, factor: float) -> Scenario:
        """So many times the nodes and the pods, at least one node a group; the subnets stay."""

        def times(count: int) -> int:
            return max(1, round(count * factor)) if count else 0

        groups = tuple(
            replace(
                g,
                count=times(g.count),
                changes=tuple(CountChange(c.at, times(c.count)) for c in g.changes),
            )
            for g in self.nodes
        )
        pods = tuple(
            replace(p, count=times(p.count), per_hour=p.per_hour * factor, spans=_times(p.spans, factor))
            for p in self.pods
        )
        return replace(self, nodes=groups, pods=pods)

    @property
    def warm_up_seconds(self) -> float:
        """What was said, else ten minutes, or as much more as so many nodes need to start without being throttled."""
        if self.warm_up is not None:
            return self.warm_up
        return max(LEAST_WARM_UP, self.node_count / STARTS_A_SECOND / START_PART)

    @property
    def node_count(self) -> int:
        """Nodes at the start."""
        return sum(g.count for g in self.nodes)

    @property
    def most_nodes(self) -> int:
        """Nodes at the most."""
        return sum(max([g.count, *(c.count for c in g.changes)]) for g in self.nodes)


def _times(spans: tuple[PodSpan, ...], factor: float) -> tuple[PodSpan, ...]:
    """Each span `factor` times, on average, spread evenly."""
    taken, kept = 0.0, list[PodSpan]()
    for span in spans:
        taken += factor
        kept.extend([span] * int(taken))
        taken -= int(taken)
    return tuple(kept)
