"""The nodes of managed node groups: launched, replaced, drained, ended, until each group is as it says.

`look` compares and begins what is missing; it is called after every change, and changes nothing when all is well. A node that goes
is first `leaving`: somebody drains it and says so by `drained`, and only then its instance is terminated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from vpclab.eks.scaling import Member, to_end, to_launch
from vpclab.eks.tables import Named, Tables
from vpclab.eks.values import Issue, Nodegroup, Status
from vpclab.region.values import ApiError, Instance, InstanceState

CLUSTER_TAG, GROUP_TAG = "eks:cluster-name", "eks:nodegroup-name"
MAKE_GOOD, LOOK = "eks-nodegroup-make-good", "eks-nodegroups-look"
RETRY = (10.0, 10.0)
"""Seconds until a launch that failed is tried again."""
_LIVES = (InstanceState.PENDING, InstanceState.RUNNING, InstanceState.STOPPING, InstanceState.STOPPED)
"""A stopped node counts as one: it is somebody's who studies it (an Auto Scaling group would replace it)."""
_OUT_OF_ADDRESSES = frozenset({"InsufficientFreeAddressesInSubnet", "InsufficientCidrBlocks"})


class Members:
    """Keeps the groups' nodes."""

    def __init__(self, tables: Tables, ready: Callable[[str], bool] | None, *, attended: bool) -> None:
        """`ready` says of an instance that runs whether its node is; `attended`: whether somebody drains."""
        self._tables = tables
        self._ready = ready or (lambda _: True)
        self._attended = attended
        self._leaving: dict[str, Named] = {}
        self._releases: dict[str, str] = {}
        self._waiting: set[Named] = set()
        """Groups for which a later look is planned: a loss to be made good, a launch to be tried again."""
        self.node_names: Mapping[Named, str] = {}
        """Name tags of groups' nodes that have another one than EKS gives."""
        tables.region.means(MAKE_GOOD, self._make_good)
        tables.region.means(LOOK, self.look)

    def attend(self, ready: Callable[[str], bool]) -> None:
        """From now on somebody drains, and knows which nodes are ready."""
        self._ready, self._attended = ready, True

    def contents(self) -> dict[str, Any]:
        """What is known of nodes beyond the region, to be kept."""
        return {
            "leaving": self._leaving,
            "releases": self._releases,
            "waiting": self._waiting,
            "names": dict(self.node_names),
        }

    def fill(self, contents: Mapping[str, Any]) -> None:
        """Know again what was kept."""
        self._leaving, self._releases = contents["leaving"], contents["releases"]
        self._waiting, self.node_names = contents["waiting"], contents["names"]

    @property
    def leaving(self) -> Mapping[str, Named]:
        """Instances that are to be drained -> their group."""
        return MappingProxyType(self._leaving)

    def of(self, key: Named) -> list[Instance]:
        """A group's instances that live and stay, in launch order."""
        return [one for one in self._all(key) if one.id not in self._leaving]

    def drained(self, instance_id: str, problem: str = "") -> None:
        """Its pods have gone (or not: `problem`); the instance is terminated either way."""
        key = self._leaving.get(instance_id)
        if key is None:
            return
        if problem and key in self._tables.nodegroups:
            group = self._tables.nodegroups[key]
            issue = Issue("PodEvictionFailure", problem, (instance_id,))
            self._tables.put_nodegroup(replace(group, issues=(*group.issues, issue)))
        if self._alive(self._tables.region.instances.get(instance_id)):
            self._tables.region.terminate_instance(instance_id)
        self.look()

    def look(self) -> None:
        """Begin what makes every group as it says."""
        for instance_id in [
            one for one in self._leaving if not self._alive(self._tables.region.instances.get(one))
        ]:
            del self._leaving[instance_id]
        for key in tuple(self._tables.nodegroups):
            self._look_at(key)

    def _look_at(self, key: Named) -> None:
        group = self._tables.nodegroups[key]
        if group.status is Status.DELETING:
            self._leave(key, [one.id for one in self.of(key)])
            if not self._all(key):
                del self._tables.nodegroups[key]
                for update in self._tables.updates.values():
                    if (update.cluster, update.nodegroup) == key:
                        self._tables.end(update.id)
                self._tables.note("/".join(key))
            return
        members = self.of(key)
        outdated = [one.id for one in members if self._releases.get(one.id) != group.release]
        surge = 0 if self._going(key) else min(group.max_unavailable, len(outdated))
        missing = group.scaling.desired + surge - len(members)
        if missing > 0:
            self._want(group, missing)
        elif outdated and all(self._is_ready(one) for one in members) and surge:
            self._leave(key, outdated[:surge])
        elif missing < 0 and not outdated:
            self._leave(key, to_end(self._as_members(members), -missing))
        else:
            self._settle(key)

    def _want(self, group: Nodegroup, missing: int) -> None:
        key = (group.cluster, group.name)
        if key in self._waiting:
            return
        if group.status in (Status.CREATING, Status.UPDATING):
            self._launch(key, missing)
            return
        # a node was lost: its replacement takes the Auto Scaling group a while
        self._plan(key, self._tables.delays.replace)

    def _plan(self, key: Named, delay: tuple[float, float]) -> None:
        self._waiting.add(key)
        self._tables.later(delay, MAKE_GOOD, key)

    def _make_good(self, key: Named) -> None:
        self._waiting.discard(key)
        group = self._tables.nodegroups.get(key)
        if group is None or group.status is Status.DELETING:
            return
        missing = group.scaling.desired - len(self.of(key))
        if missing > 0:
            self._launch(key, missing)

    def _launch(self, key: Named, count: int) -> None:
        group = self._tables.nodegroups[key]
        # those of another release will go: they are not counted
        stay = [one for one in self.of(key) if self._releases.get(one.id) == group.release]
        for subnet_id in to_launch(self._as_members(stay), group.subnet_ids, count):
            try:
                self._launch_one(group, subnet_id)
            except ApiError as error:
                self._failed(key, subnet_id, error)
                return
        if group.issues:
            group = self._tables.nodegroups[key]
            status = Status.ACTIVE if group.status is Status.DEGRADED else group.status
            self._tables.put_nodegroup(replace(group, issues=(), status=status))
        self._look_at(key)

    def _launch_one(self, group: Nodegroup, subnet_id: str) -> None:
        region = self._tables.region
        cluster = group.cluster
        own = {CLUSTER_TAG: cluster, GROUP_TAG: group.name}
        tags = {
            **own,
            f"kubernetes.io/cluster/{cluster}": "owned",
            f"k8s.io/cluster-autoscaler/{cluster}": "owned",
            "k8s.io/cluster-autoscaler/enabled": "true",
            "aws:autoscaling:groupName": group.asg_name,
            "aws:eks:cluster-name": cluster,
            **(
                {"Name": self.node_names[group.cluster, group.name]}
                if (cluster, group.name) in self.node_names
                else {}
            ),
        }
        instance = region.run_instance(
            group.instance_types[0],
            subnet_id,
            groups=group.group_ids,
            tags=tags,
            user_data=f"#!/bin/bash\n/etc/eks/bootstrap.sh {cluster}\n",
            metadata=group.metadata,
        )
        region.create_tags((region.primary_eni(instance.id).id,), own)
        self._releases[instance.id] = group.release

    def _failed(self, key: Named, subnet_id: str, error: ApiError) -> None:
        group = self._tables.nodegroups[key]
        code = "InsufficientFreeAddresses" if error.code in _OUT_OF_ADDRESSES else "AsgInstanceLaunchFailures"
        issue = Issue(
            code,
            f"Could not launch On-Demand Instances. {error.code} - {error.message} Launching EC2 instance failed.",
            (subnet_id if code == "InsufficientFreeAddresses" else group.asg_name,),
        )
        creating = group.status is Status.CREATING
        status = Status.CREATE_FAILED if creating else Status.DEGRADED
        self._tables.put_nodegroup(replace(group, status=status, issues=(issue,)))
        for update in self._open_updates(key):
            self._tables.end(update, (Issue("Unknown", issue.message, issue.resource_ids),))
        if not creating:
            self._plan(key, RETRY)

    def _settle(self, key: Named) -> None:
        group = self._tables.nodegroups[key]
        if group.status not in (Status.CREATING, Status.UPDATING) or self._going(key):
            return
        if all(self._is_ready(one) for one in self.of(key)):
            status = Status.DEGRADED if group.issues else Status.ACTIVE
            self._tables.put_nodegroup(replace(group, status=status, modified_at=self._tables.now))
            for update in self._open_updates(key):
                self._tables.end(update)

    def _open_updates(self, key: Named) -> list[str]:
        return [
            one.id
            for one in self._tables.updates.values()
            if (one.cluster, one.nodegroup) == key and one.status == "InProgress"
        ]

    def _leave(self, key: Named, instance_ids: list[str]) -> None:
        for instance_id in instance_ids:
            self._leaving[instance_id] = key
            self._tables.note("/".join(key))
        if not self._attended:
            for instance_id in instance_ids:
                self.drained(instance_id)

    def _going(self, key: Named) -> bool:
        return any(of == key for of in self._leaving.values())

    def _all(self, key: Named) -> list[Instance]:
        instances = self._tables.region.instances.values()
        return [
            one
            for one in instances
            if self._alive(one) and (one.tags.get(CLUSTER_TAG), one.tags.get(GROUP_TAG)) == key
        ]

    def _alive(self, instance: Instance | None) -> bool:
        return instance is not None and instance.state in _LIVES

    def _is_ready(self, instance: Instance) -> bool:
        stopped = instance.state in (InstanceState.STOPPING, InstanceState.STOPPED)
        return stopped or (instance.state is InstanceState.RUNNING and self._ready(instance.id))

    def _as_members(self, instances: list[Instance]) -> list[Member]:
        return [Member(one.id, one.subnet_id, one.launched_at, n) for n, one in enumerate(instances)]
