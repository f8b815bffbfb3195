"""Who carries EKS's wishes out in a lab: what becomes of changes by hand, of a drain that fails, of an agent that stays away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from vpclab.eks import Addon, Eks, Scaling
from vpclab.lab.cluster import Attendant, split_environment
from vpclab.lab.hypervisor import Hypervisor
from vpclab.lab.state import LabError
from vpclab.node import Machine
from vpclab.region import Delays, Region, study_region

ROLE = "arn:aws:iam::111122223333:role/r"
WARM = '{"env":{"WARM_IP_TARGET":"2"}}'


@dataclass
class FakeKind:
    """Writes down what it is told."""

    told: list[Any] = field(default_factory=list)
    fails: Exception | None = None

    async def drain(self, machine: Machine) -> None:
        self.told.append(("drain", machine.name))
        if self.fails is not None:
            raise self.fails

    async def configure(self, environment: Mapping[str, str], machines: Sequence[Machine]) -> None:
        self.told.append(("configure", dict(environment)))
        if self.fails is not None:
            raise self.fails

    async def override(self, changes: Mapping[str, str | None], machines: Sequence[Machine]) -> None:
        self.told.append(("override", dict(changes), [machine.name for machine in machines]))


class FakeHypervisor:
    """Has a machine for every node."""

    def __init__(self, region: Region, kind: FakeKind) -> None:
        self._region = region
        self.kind = kind

    @property
    def names(self) -> dict[str, str]:
        return {one: f"node{n}" for n, one in enumerate(self._region.instances, start=1)}

    @property
    def machines(self) -> dict[str, Machine]:
        return {name: Machine(name, one, cast("Any", None)) for one, name in self.names.items()}

    def of(self, instance_id: str) -> Machine | None:
        return self.machines.get(self.names[instance_id])

    def is_ready(self, instance_id: str) -> bool:
        return instance_id in self._region.instances


@dataclass
class Scene:
    eks: Eks
    kind: FakeKind
    attendant: Attendant
    machines: Callable[[], dict[str, Machine]]

    @property
    def addon(self) -> Addon:
        return self.eks.addon("c", "vpc-cni")

    async def until_quiet(self) -> None:
        for _ in range(50):
            self.attendant.look()
            await asyncio.sleep(0)


def scene() -> Scene:
    region, study = study_region(Region(delays=Delays(attach=(0, 0), detach=(0, 0))))
    eks = Eks(region)
    subnets = [one.id for one in study.public]
    eks.create_cluster("c", ROLE, subnets, creator=ROLE, version="1.29")
    eks.create_nodegroup("c", "g", ROLE, subnets, scaling=Scaling(1, 5, 2))
    eks.create_addon("c", "vpc-cni")
    kind = FakeKind()
    hypervisor = FakeHypervisor(region, kind)
    attendant = Attendant(eks, cast("Hypervisor", hypervisor), lambda: None)
    return Scene(eks, kind, attendant, lambda: hypervisor.machines)


@pytest.mark.parametrize(
    ("resolve", "status", "told"),
    [
        ("NONE", "UPDATE_FAILED", []),
        ("PRESERVE", "ACTIVE", [("configure", {"WARM_IP_TARGET": "2"})]),
        (
            "OVERWRITE",
            "ACTIVE",
            [("override", {"WARM_IP_TARGET": "2"}, ["node1"]), ("configure", {"WARM_IP_TARGET": "2"})],
        ),
    ],
)
def test_what_becomes_of_a_change_by_hand(resolve: str, status: str, told: list[Any]) -> None:
    async def story() -> None:
        it = scene()
        it.attendant.changed_by_hand({"WARM_IP_TARGET": "9", "MAX_ENI": "1"}, [it.machines()["node1"]])
        it.eks.update_addon("c", "vpc-cni", configuration=WARM, resolve=resolve)
        await it.until_quiet()
        assert (it.addon.status.value, it.kind.told) == (status, told)
        if status != "ACTIVE":
            assert "node1: WARM_IP_TARGET" in it.addon.issues[0].message

    asyncio.run(story())


def test_the_same_value_by_hand_is_no_conflict() -> None:
    async def story() -> None:
        it = scene()
        it.attendant.changed_by_hand({"WARM_IP_TARGET": "2"}, [it.machines()["node1"]])
        it.eks.update_addon("c", "vpc-cni", configuration=WARM)
        await it.until_quiet()
        assert it.addon.status.value == "ACTIVE"

    asyncio.run(story())


def test_an_agent_that_does_not_come_back_degrades_the_addon() -> None:
    async def story() -> None:
        it = scene()
        it.kind.fails = LabError("node2 is not ready: its agent keeps ending")
        it.eks.update_addon("c", "vpc-cni", configuration=WARM)
        await it.until_quiet()
        (issue,) = it.addon.issues
        assert (it.addon.status.value, issue.code) == ("DEGRADED", "InsufficientNumberOfReplicas")
        assert "node2 is not ready" in issue.message
        it.kind.fails = None
        it.eks.update_addon("c", "vpc-cni")
        await it.until_quiet()
        assert it.addon.status.value == "ACTIVE"

    asyncio.run(story())


@pytest.mark.parametrize("error", [LabError("pod a/b stays"), RuntimeError("pod a/b stays")])
def test_a_drain_that_fails_is_tried_once_and_told_of(error: Exception) -> None:
    async def story() -> None:
        it = scene()
        it.kind.fails = error
        it.eks.update_nodegroup_config("c", "g", scaling={"desiredSize": 1})
        await it.until_quiet()
        assert it.kind.told == [("drain", "node2")]
        (issue,) = it.eks.nodegroup("c", "g").issues
        assert (issue.code, "pod a/b stays" in issue.message) == ("PodEvictionFailure", True)
        assert [one.state.value for one in it.eks.region.instances.values()] == ["running", "terminated"]

    asyncio.run(story())


def test_variables_that_the_addon_does_not_know_stay_the_labs() -> None:
    assert split_environment({"WARM_IP_TARGET": "2", "MINE": "1"}) == ({"WARM_IP_TARGET": "2"}, {"MINE": "1"})
