"""The kernel's side of pods with branch ENIs, on the thread that owns the host's netlink socket."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from vpccni.agent.cni_call import CniCall, Placed
from vpccni.agent.ports import HostError
from vpccni.agent.wire import PluginRequest
from vpccni.ipam.values import Eni, Pod
from vpccni.kube.branch import Branch
from vpccni.linux.branch import (
    BranchWiring,
    check_branch,
    find_branch,
    remove_dead_branches,
    unwire_branch,
    wire_branch,
)
from vpccni.linux.branch_layout import STRICT_PREFIX, Enforcing, table_of
from vpccni.linux.eni import link_with
from vpccni.linux.errors import KernelError
from vpccni.linux.names import host_veth
from vpccni.linux.rtnl import Netlink
from vpccni.linux.wiring import PodWiring

T = TypeVar("T")
log = logging.getLogger(__name__)


class OnNetlink(Protocol):
    """Who owns the socket."""

    async def on_netlink(self, work: Callable[[Netlink], T]) -> T:
        """Do something with it. Raises HostError."""


class KernelBranches:
    """Implements `BranchHost`."""

    def __init__(self, host: OnNetlink, *, mode: Enforcing, veth_prefix: str) -> None:
        self._host = host
        self._strict = mode is Enforcing.STRICT
        self._prefix = veth_prefix

    async def wire_branch(self, request: PluginRequest, call: CniCall, branch: Branch, trunk: Eni) -> str:
        """Connect the sandbox; returns the host veth's name. Raises HostError."""
        netns, socket_fd = request.netns, request.netlink
        if netns is None or socket_fd is None:
            raise HostError("the plugin passed no network namespace")
        veth = self._veth(call, branch)

        def work(netlink: Netlink) -> None:
            want = self._wiring(veth, branch, _index(netlink, trunk))
            with Netlink.from_fd(socket_fd) as inside:
                wire_branch(netlink, inside, netns, want, request.sysctl_dir)

        await self._host.on_netlink(work)
        return veth.host_veth

    async def unwire_branch(self, placed: Placed) -> None:
        """Take all of it away; what is not there is fine. Raises HostError."""
        await self._host.on_netlink(
            lambda netlink: unwire_branch(netlink, placed.address, placed.vlan, placed.host_veth)
        )

    async def check_branch(
        self, request: PluginRequest, call: CniCall, branch: Branch, trunk: Eni
    ) -> list[str]:
        """What differs from what `wire_branch` makes. Raises HostError."""
        socket_fd = request.netlink
        if socket_fd is None:
            raise HostError("the plugin passed no network namespace")

        def work(netlink: Netlink) -> list[str]:
            want = self._wiring(self._veth(call, branch), branch, _index(netlink, trunk))
            with Netlink.from_fd(socket_fd) as inside:
                return check_branch(netlink, inside, want)

        return await self._host.on_netlink(work)

    async def find_branch(self, pod: Pod) -> Placed | None:
        """What the host has of the pod, whichever mode made it. Raises HostError."""
        for name in (host_veth(STRICT_PREFIX, pod), host_veth(self._prefix, pod)):
            found = await self._host.on_netlink(lambda netlink, name=name: find_branch(netlink, name))  # type: ignore[misc]
            if found is not None:
                vlan, address = found
                return Placed(vlan, address, name)
        return None

    async def remove_dead(self) -> None:
        """What is left of pods that went while nobody looked. Raises HostError."""
        for change in await self._host.on_netlink(remove_dead_branches):
            log.info("host: %s", change)

    async def trunk_index(self, trunk: Eni) -> int:
        """The index of the trunk ENI's device. Raises HostError."""
        return await self._host.on_netlink(lambda netlink: _index(netlink, trunk))

    def _veth(self, call: CniCall, branch: Branch) -> PodWiring:
        return PodWiring(
            pod=str(call.pod),
            host_veth=host_veth(STRICT_PREFIX if self._strict else call.veth_prefix, call.pod),
            interface=call.interface,
            address=branch.address,
            table=table_of(branch.vlan),
            mtu=call.mtu,
        )

    def _wiring(self, veth: PodWiring, branch: Branch, trunk: int) -> BranchWiring:
        return BranchWiring(veth, branch.vlan, branch.mac, trunk, branch.gateway, strict=self._strict)


def _index(netlink: Netlink, trunk: Eni) -> int:
    link = link_with(netlink, trunk.mac)
    if link is None:
        raise KernelError(
            errno.ENODEV, f"the device of the trunk ENI {trunk.id} ({trunk.mac}) is not on this node"
        )
    return link.index
