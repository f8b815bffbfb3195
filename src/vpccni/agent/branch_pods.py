"""Pods with security groups of their own: each has a branch ENI behind the node's trunk ENI (spec 3.3, 4.7, 7.3).

Which pods these are, and which ENI is whose, the API server says at each ADD. Nothing about them is written down here: a
DEL knows the VLAN from the ADD's result, or else finds it on the host.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from vpccni.agent.cni_call import INTERNAL, CniCall, CniError, Placed, branch_result_json
from vpccni.agent.counters import Counters
from vpccni.agent.ports import HostError, Policies
from vpccni.agent.turns import Turns
from vpccni.agent.wire import PluginRequest
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import Eni, EniId, EniRole, Pod
from vpccni.kube.branch import Branch, BranchError, asks_for_branch, branch_of
from vpccni.kube.port import Cluster, KubeError

log = logging.getLogger(__name__)


class BranchHost(Protocol):
    """The kernel, for these pods. What fails is a HostError."""

    async def wire_branch(self, request: PluginRequest, call: CniCall, branch: Branch, trunk: Eni) -> str:
        """Connect the sandbox; returns the host veth's name."""

    async def unwire_branch(self, placed: Placed) -> None:
        """Take all of it away; what is not there is fine."""

    async def check_branch(
        self, request: PluginRequest, call: CniCall, branch: Branch, trunk: Eni
    ) -> list[str]:
        """What differs from what `wire_branch` makes."""

    async def find_branch(self, pod: Pod) -> Placed | None:
        """What the host has of the pod, if it has a branch ENI."""

    async def remove_dead(self) -> None:
        """What is left of pods that went while nobody looked."""

    async def trunk_index(self, trunk: Eni) -> int:
        """The index of the trunk ENI's device."""


@dataclass(frozen=True, slots=True)
class Trunked:
    """A pod's branch ENI, and the trunk ENI that carries it."""

    branch: Branch
    trunk: Eni


class BranchPods:
    """One node's. `enis` are those attached, the trunk among them once it is."""

    def __init__(
        self,
        cluster: Cluster | None,
        host: BranchHost,
        enis: Mapping[EniId, Eni],
        counters: Counters,
        policies: Policies | None = None,
        *,
        enabled: bool = True,
        trunk_missed: Callable[[], None] = lambda: None,
    ) -> None:
        """Not `enabled`: pods from before that was changed are still let go. `trunk_missed`: a pod needs a trunk ENI."""
        self._cluster = cluster
        self._host = host
        self._enis = enis
        self._counters = counters
        self._policies = policies
        self._enabled = enabled
        self._trunk_missed = trunk_missed
        self._turns = Turns()

    async def add(self, request: PluginRequest, call: CniCall) -> bytes | None:
        """ADD's result; None: the pod is one of all others. Raises CniError."""
        found = await self.of_pod(call.pod) if self._enabled else None
        if found is None:
            return None
        async with self._turns.of(call.pod):
            if call.every_card:
                log.warning(
                    "pod %s has a branch ENI: that it asks for every network card is ignored", call.pod
                )
            try:
                host_veth = await self._host.wire_branch(request, call, found.branch, found.trunk)
            except HostError as error:
                self._counters.pod_eni_errors["wire"] += 1
                raise CniError.refused(Refusal(Reason.HOST_SETUP_FAILED, str(error)), call.pod) from error
            if self._policies is not None:
                await self._policies.enforce(call.pod, 1)
        branch = found.branch
        log.info(
            "pod %s has %s of branch ENI %s, VLAN %d", call.pod, branch.address, branch.eni_id, branch.vlan
        )
        return branch_result_json(call, host_veth, branch)

    async def delete(self, call: CniCall) -> bool:
        """Whether it was such a pod, and is not connected any more. Raises CniError."""
        async with self._turns.of(call.pod):
            try:
                placed = call.branch or await self._host.find_branch(call.pod)
                if placed is None:
                    return False
                await self._host.unwire_branch(placed)
            except HostError as error:
                self._counters.pod_eni_errors["unwire"] += 1
                raise CniError(INTERNAL, f"pod {call.pod} could not be disconnected: {error}") from error
            if self._policies is not None:
                await self._policies.forget(call.pod)
        return True

    async def check(self, request: PluginRequest, call: CniCall) -> bool:
        """Whether it is such a pod, and all right. Raises CniError if it is not all right."""
        if call.branch is None:
            return False
        found = await self.of_pod(call.pod)
        if found is None:
            raise CniError(INTERNAL, f"pod {call.pod} has no branch ENI (any more), and was connected to one")
        try:
            differences = await self._host.check_branch(request, call, found.branch, found.trunk)
        except HostError as error:
            raise CniError(INTERNAL, f"pod {call.pod} could not be looked at: {error}") from error
        if differences:
            raise CniError(INTERNAL, f"the network of pod {call.pod} differs: {'; '.join(differences)}")
        return True

    async def sweep(self) -> None:
        """Take away what is left of pods that went while nobody looked: the runtime's DEL does not come for all of them."""
        try:
            await self._host.remove_dead()
        except HostError as error:
            log.warning(
                "VLANs of pods that are gone could not be removed; tried again at the next start: %s", error
            )

    async def of_pod(self, pod: Pod, uid: str = "") -> Trunked | None:
        """The pod's branch ENI; None if it asks for none. Raises CniError if it asks, and there is none to be had.

        With a `uid` also if the pod of that name is another one by now.
        """
        if self._cluster is None:
            raise _refused(Reason.API_SERVER, "no API server is configured", pod)
        try:
            view = await self._cluster.pod(pod.namespace, pod.name)
        except KubeError as error:
            self._counters.pod_eni_errors["GetPod"] += 1
            raise _refused(Reason.API_SERVER, str(error), pod) from error
        if view is None:
            raise _refused(Reason.API_SERVER, "the API server does not know the pod", pod)
        if uid and view.uid != uid:
            raise CniError(INTERNAL, f"pod UID mismatch: got {view.uid}, expected {uid} (pod {pod})")
        if not asks_for_branch(view):
            return None
        trunk = next((eni for eni in self._enis.values() if eni.role is EniRole.TRUNK), None)
        if trunk is None:
            self._trunk_missed()
            raise _refused(Reason.BRANCH_ENI_AWAITED, "the node has no trunk ENI", pod)
        try:
            branch = branch_of(view)
        except BranchError as error:
            self._counters.pod_eni_errors["annotation"] += 1
            raise _refused(Reason.BRANCH_ENI_AWAITED, str(error), pod) from error
        if branch is None:
            raise _refused(Reason.BRANCH_ENI_AWAITED, "the pod is not annotated with one yet", pod)
        return Trunked(branch, trunk)

    async def trunk_index(self, trunk: Eni) -> int:
        """The index of the trunk's device, for those who wire pods themselves. Raises HostError."""
        return await self._host.trunk_index(trunk)


def _refused(reason: Reason, detail: str, pod: Pod) -> CniError:
    log.warning("pod %s waits: %s", pod, detail)
    return CniError.refused(Refusal(reason, detail), pod)
