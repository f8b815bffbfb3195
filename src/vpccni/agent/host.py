"""The node's kernel for the loop: `vpccni.linux` in one thread with one netlink socket, so pods are wired one by one.

More threads would not help: the kernel's lock and Python's serialise them, and each pod would take longer
(kernel-and-lab 5).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from typing import TypeVar

from vpccni.agent.cni_call import CniCall
from vpccni.agent.loop import HostError
from vpccni.agent.settings import Settings
from vpccni.agent.wire import PluginRequest
from vpccni.aws.imds import NodeFacts
from vpccni.ipam.found import is_found
from vpccni.ipam.values import MAIN_TABLE, Assignment, Eni, Pod
from vpccni.linux import pod as pod_network
from vpccni.linux.eni import forget_gone_enis, set_up_eni, tear_down_eni
from vpccni.linux.host import HostSettings, keep_pods, leftovers, pod_links, remove_leftovers, set_up_host
from vpccni.linux.leftovers import connected
from vpccni.linux.links import links
from vpccni.linux.names import HASH_DIGITS, host_veth, interface_name
from vpccni.linux.pod import PodWiring
from vpccni.linux.rtnl import Netlink

log = logging.getLogger(__name__)
T = TypeVar("T")

DEVICE_WAIT = 60.0
"""Seconds for an attached ENI's device to appear: usually under 5 (aws-emulation 4.5)."""
REAP_AFTER = 1.0
"""Seconds after a DEL in which links that the runtime's own clean-up has not removed are removed: by then most
are gone with their namespaces, and the kernel's wait for the rest delays no ADD of the same burst."""


def host_settings(settings: Settings, facts: NodeFacts) -> HostSettings:
    """What the host's rules depend on, from the environment and IMDS."""
    return HostSettings(
        primary_mac=facts.primary_mac,
        node_address=facts.primary_ip,
        vpc_cidrs=facts.vpc_cidrs,
        exclude_cidrs=settings.exclude_snat_cidrs,
        service_cidrs=settings.external_service_cidrs,
        external_snat=settings.external_snat,
        ports=settings.randomize_snat.value,
        node_port=settings.node_port_support,
        mark=settings.connmark,
        veth_prefix=settings.veth_prefix,
        mtu=settings.eni_mtu,
    )


class KernelHost:
    """Implements the loop's Host."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="netlink")
        self._undertaker = ThreadPoolExecutor(1, thread_name_prefix="reap")
        self._netlink = Netlink()
        self._reaper: asyncio.TimerHandle | None = None
        self._there: dict[str, str] = {}
        """The veths of the last look: their names by the digits that name the pod."""

    async def set_up(self, wanted: HostSettings) -> list[str]:
        """The host's own rules. Raises OSError."""
        return await self._run(lambda: set_up_host(self._netlink, wanted))

    async def look(self) -> dict[str, IPv4Address]:
        """The host veths that are there are known from now on; returns the address routed to each. Raises OSError."""

        def work() -> tuple[dict[str, str], dict[str, IPv4Address]]:
            return pod_links(self._netlink), connected(self._netlink)

        self._there, routed = await self._run(work)
        return routed

    async def macs(self) -> frozenset[str]:
        """The MACs of the devices that are there. Raises OSError."""
        return await self._run(lambda: frozenset(link.mac for link in links(self._netlink)))

    def alive(self, assignment: Assignment) -> bool:
        """Whether the pod's veth was there at the last look."""
        return self._veth(assignment.pod, assignment)[-HASH_DIGITS:] in self._there

    async def keep_only(
        self,
        live: Iterable[tuple[Assignment, Eni]],
        enis: Iterable[Eni],
        spared: Iterable[tuple[Assignment, Eni]] = (),
    ) -> list[str]:
        """After a restart: live pods have all that is theirs, and nothing is left of others. Raises OSError.

        The `spared` are live too, on ENIs that nobody could tell: what they have is not touched.
        """
        wirings = [self._wiring(assignment.pod, assignment, eni) for assignment, eni in live]
        known = tuple(enis)
        untouched = [self._wiring(assignment.pod, assignment, eni) for assignment, eni in spared]

        def work() -> list[str]:
            changes = keep_pods(self._netlink, wirings)
            found = leftovers(self._netlink, self._settings.veth_prefix, wirings, untouched)
            changes += remove_leftovers(self._netlink, found)
            changes += forget_gone_enis(self._netlink, known)
            pod_network.reap(self._netlink)
            return changes

        return await self._run(work)

    async def wire(self, request: PluginRequest, call: CniCall, assignment: Assignment, eni: Eni) -> str:
        """Connect the sandbox; returns the host veth's name. Raises HostError."""
        netns, socket_fd = request.netns, request.netlink
        if netns is None or socket_fd is None:
            raise HostError("the plugin passed no network namespace")
        wiring = self._wiring(call.pod, assignment, eni, call)

        def work() -> None:
            with Netlink.from_fd(socket_fd) as inside:
                pod_network.wire(self._netlink, inside, netns, wiring, request.sysctl_dir)

        await self._run_typed(work)
        return wiring.host_veth

    async def unwire(self, pod: Pod, assignment: Assignment, eni: Eni | None, *, keep_link: bool) -> None:
        """Take the pod's rules, route and link away. Raises HostError."""
        name = None if keep_link else self._veth(pod, assignment)
        table = eni.route_table if eni is not None else None
        await self._run_typed(lambda: pod_network.unwire(self._netlink, assignment.address, name, table))
        if self._reaper is None:
            self._reaper = asyncio.get_running_loop().call_later(REAP_AFTER, self._reap)

    async def mend(self, assignment: Assignment, eni: Eni) -> None:
        """The pod's route and rules lead by this ENI. Raises HostError."""
        wiring = self._wiring(assignment.pod, assignment, eni)

        def work() -> None:
            for change in keep_pods(self._netlink, [wiring]):
                log.info("host: %s", change)

        await self._run_typed(work)

    async def check(
        self, request: PluginRequest, call: CniCall, assignment: Assignment, eni: Eni
    ) -> list[str]:
        """What differs from what `wire` would make. Raises HostError."""
        socket_fd = request.netlink
        if socket_fd is None:
            raise HostError("the plugin passed no network namespace")
        wiring = self._wiring(call.pod, assignment, eni, call)

        def work() -> list[str]:
            with Netlink.from_fd(socket_fd) as inside:
                return pod_network.check(self._netlink, inside, wiring)

        return await self._run_typed(work)

    def close(self) -> None:
        """End the thread when its work is done."""
        if self._reaper is not None:
            self._reaper.cancel()
        self._undertaker.shutdown()
        self._thread.shutdown()
        self._netlink.close()

    def _wiring(self, pod: Pod, assignment: Assignment, eni: Eni, call: CniCall | None = None) -> PodWiring:
        return PodWiring(
            pod=str(pod),
            host_veth=self._veth(pod, assignment, new=call is not None and call.command == "ADD"),
            interface=interface_name(assignment),
            address=assignment.address,
            table=eni.route_table,
            mtu=call.mtu if call else self._settings.pod_mtu,
            number=assignment.interface.index,
        )

    def _veth(self, pod: Pod, assignment: Assignment, *, new: bool = False) -> str:
        """The host's end; a pod from before a change of the prefix goes on under its old name (spec 6.4)."""
        if is_found(assignment.key):
            return assignment.key.container_id
        name = host_veth(self._settings.veth_prefix, pod, assignment.interface.index)
        return name if new else self._there.get(name[-HASH_DIGITS:], name)

    def _reap(self) -> None:
        """In a thread of its own: the kernel takes its time, and no ADD waits for it."""
        self._reaper = None

        def work() -> None:
            try:
                with Netlink() as netlink:
                    pod_network.reap(netlink)
            except OSError:
                log.exception("links of pods that are gone could not be removed; the next DEL tries again")

        self._undertaker.submit(work)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _run_typed(self, work: Callable[[], T]) -> T:
        try:
            return await self._run(work)
        except OSError as error:
            raise HostError(str(error)) from error


class KernelEnis:
    """Sets ENIs up and down in the caller's thread, over a netlink socket of its own: a device may take its time."""

    def __init__(self, mtu: int, device_wait: float = DEVICE_WAIT) -> None:
        self._mtu = mtu
        self._device_wait = device_wait

    def set_up(self, eni: Eni) -> None:
        """Wait for the device and configure it. Raises OSError."""
        if eni.route_table == MAIN_TABLE:
            raise OSError(f"{eni.id} is the primary ENI; its address is the operating system's")
        with Netlink() as netlink:
            for change in set_up_eni(netlink, eni, self._mtu, self._device_wait):
                log.info("%s: %s", eni.id, change)

    def tear_down(self, eni: Eni) -> None:
        """Remove its rule and table. Raises OSError."""
        with Netlink() as netlink:
            tear_down_eni(netlink, eni)
