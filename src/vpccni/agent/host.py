"""The node's kernel for the loop: `vpccni.linux` in one thread with one netlink socket, so pods are wired one by one.

More threads would not help: the kernel's lock and Python's serialise them, and each pod would take longer
(kernel-and-lab 5).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from vpccni.agent.cni_call import CniCall
from vpccni.agent.ports import HostError
from vpccni.agent.settings import Settings
from vpccni.agent.wire import PluginRequest
from vpccni.aws.imds import NodeFacts
from vpccni.ipam.found import is_found
from vpccni.ipam.values import MAIN_TABLE, Address, Assignment, Eni, Pod
from vpccni.linux import pod as pod_network
from vpccni.linux.branch_layout import Enforcing
from vpccni.linux.conntrack import Released
from vpccni.linux.drift import DriftWatcher
from vpccni.linux.eni import forget_gone_enis, set_up_eni, tear_down_eni
from vpccni.linux.family import Family
from vpccni.linux.heal import Wanted, heal, strangers_in_front
from vpccni.linux.host import HostSettings, keep_pods, leftovers, pod_links, remove_leftovers, set_up_host
from vpccni.linux.iptables import iptables_kind
from vpccni.linux.layout import RulesLayout, mask_beside
from vpccni.linux.leftovers import as_they_are, connected
from vpccni.linux.links import links
from vpccni.linux.names import HASH_DIGITS, host_veth, interface_name
from vpccni.linux.news import Part
from vpccni.linux.pod import PodWiring
from vpccni.linux.rtnl import Netlink
from vpccni.linux.sources import Sources, why_not

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
        strict_branches=settings.pod_eni and settings.enforcing is Enforcing.STRICT,
        family=Family.IPV6 if settings.ipv6 else Family.IPV4,
    )


def open_layout(rules: RulesLayout, connmark: int) -> Sources | None:
    """What the layout of the pods' rules needs; where the kernel or the image has not got it, the compatible one is used."""
    if rules is RulesLayout.COMPATIBLE:
        return None
    problem = why_not()
    if problem is not None:
        log.error("VPC_CNI_RULES=compact cannot be: %s; using the compatible layout", problem)
        return None
    return Sources(mask_beside(connmark))


def legacy_poll() -> Callable[[], object] | None:
    """How to see that a legacy iptables' rules changed; None if iptables is none, and the kernel tells of it."""
    if not iptables_kind().legacy:
        return None
    from vpccni.linux.legacy_sizes import legacy_sizes  # noqa: PLC0415 -- loads ctypes, which hardly any node needs

    return legacy_sizes


class KernelHost:
    """Implements the loop's Host."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._family = Family.IPV6 if settings.ipv6 else Family.IPV4
        self._wanted: HostSettings | None = None
        self._wired: dict[Address, PodWiring] = {}
        """What is connected by now; of the netlink thread, so that a repair and a pod's wiring never mix."""
        self._pods_known = False
        self._sources: Sources | None = None
        self._released = Released()
        self._watcher: DriftWatcher | None = None
        self._told: set[str] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="netlink")
        self._undertaker = ThreadPoolExecutor(1, thread_name_prefix="reap")
        self._netlink = Netlink()
        self._reaper: asyncio.TimerHandle | None = None
        self._there: dict[str, str] = {}
        """The veths of the last look: their names by the digits that name the pod."""

    async def set_up(self, wanted: HostSettings) -> list[str]:
        """The host's own rules. Raises OSError."""

        def work() -> list[str]:
            if self._wanted is None and self._sources is None:
                self._sources = open_layout(self._settings.rules, self._settings.connmark)
            changes = set_up_host(self._netlink, wanted)
            self._wanted = wanted
            return changes

        return await self._run(work)

    def watch(self, enis: Callable[[], Iterable[Eni]]) -> None:
        """From now on what somebody takes away or changes is mended; `enis` are those attached.

        After `set_up` and `keep_only`: before, every pod would be a stranger. Raises OSError.
        """
        if self._wanted is None or not self._pods_known:
            raise OSError("it is not known yet what the host's network is to be")
        host = self._wanted

        def wanted() -> Wanted:
            return Wanted(self._wanted or host, tuple(enis()), (), self._sources)

        async def mend(part: Part) -> list[str]:
            now = wanted()

            def work() -> list[str]:
                whole = replace(now, pods=tuple(self._wired.values()), sources=self._sources)
                with self._netlink.one_look():
                    changes = heal(self._netlink, whole, part)
                    self._tell(strangers_in_front(self._netlink, self._family))
                return changes

            return await self._run(work)

        self._watcher = DriftWatcher(
            wanted,
            mend,
            veth_prefix=self._settings.veth_prefix,
            own_ports=lambda: {self._netlink.port, *([self._sources.port] if self._sources else [])},
            poll=legacy_poll(),
            family=self._family,
        )
        self._watcher.start()

    async def lay_out(self, rules: RulesLayout) -> list[str]:
        """Exchange the layout of the pods' rules for another while the pods run; no packet is lost. Raises OSError."""

        def work() -> list[str]:
            before, self._sources = self._sources, open_layout(rules, self._settings.connmark)
            changes = self._settle_pods()
            if before is not None:
                before.close()
            return changes

        return await self._run(work)

    def _tell(self, sentences: Iterable[str]) -> None:
        now = set(sentences)
        for sentence in sorted(now - self._told):
            log.warning("host: %s", sentence)
        self._told = now

    async def look(self) -> dict[str, Address]:
        """The host veths that are there are known from now on; returns the address routed to each. Raises OSError."""

        def work() -> tuple[dict[str, str], dict[str, Address]]:
            return pod_links(self._netlink), connected(self._netlink, self._family)

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
        spared: Iterable[tuple[Assignment, Eni]] = (),
        *,
        enis: Iterable[Eni] | None = None,
    ) -> list[str]:
        """After a restart: live pods have all that is theirs, and nothing is left of others. Raises OSError.

        The `spared` are live too, on ENIs that nobody could tell: what they have is not touched. `enis` are those attached,
        where that is known: rules of others go.
        """
        wirings = [self._wiring(assignment.pod, assignment, eni) for assignment, eni in live]
        known = None if enis is None else tuple(enis)
        untouched = [self._wiring(assignment.pod, assignment, eni) for assignment, eni in spared]

        def work() -> list[str]:
            held = as_they_are(self._netlink, untouched, self._family)
            self._wired = {wiring.address: wiring for wiring in (*wirings, *held)}
            self._pods_known = True
            changes = self._settle_pods(held)
            if known is not None:
                changes += forget_gone_enis(self._netlink, known)
            pod_network.reap(self._netlink)
            return changes

        return await self._run(work)

    def _settle_pods(self, spared: Iterable[PodWiring] = ()) -> list[str]:
        """What is missing first, then what is too much: a layout is exchanged for the other that way, too."""
        spared = list(spared)
        pods = list(self._wired.values())
        changes = keep_pods(self._netlink, pods, self._sources, self._family)
        prefix = self._settings.veth_prefix
        found = leftovers(self._netlink, prefix, pods, spared, self._sources, self._family)
        return changes + remove_leftovers(self._netlink, found, self._family)

    async def wire(self, request: PluginRequest, call: CniCall, assignment: Assignment, eni: Eni) -> str:
        """Connect the sandbox; returns the host veth's name. Raises HostError."""
        netns, socket_fd = request.netns, request.netlink
        if netns is None or socket_fd is None:
            raise HostError("the plugin passed no network namespace")
        wiring = self._wiring(call.pod, assignment, eni, call)

        def work() -> None:
            self._settle_connections(wiring.address)
            with Netlink.from_fd(socket_fd) as inside:
                pod_network.wire(
                    self._netlink, inside, netns, wiring, request.sysctl_dir,
                    sources=self._sources, pod_sysctls=request.pod_sysctl_dir,
                )  # fmt: skip
            self._wired[wiring.address] = wiring

        await self._run_typed(work)
        return wiring.host_veth

    async def unwire(self, pod: Pod, assignment: Assignment, eni: Eni | None, *, keep_link: bool) -> None:
        """Take the pod's rules, route and link away. Raises HostError."""
        name = None if keep_link else self._veth(pod, assignment)
        table = eni.route_table if eni is not None else None

        def work() -> None:
            self._wired.pop(assignment.address, None)
            pod_network.unwire(self._netlink, assignment.address, name, table, self._sources)
            self._released.note(assignment.address)

        await self._run_typed(work)
        if self._reaper is None:
            self._reaper = asyncio.get_running_loop().call_later(REAP_AFTER, self._reap)

    async def mend(self, assignment: Assignment, eni: Eni) -> None:
        """The pod's route and rules lead by this ENI. Raises HostError."""
        wiring = self._wiring(assignment.pod, assignment, eni)

        def work() -> None:
            self._wired[wiring.address] = wiring
            for change in keep_pods(self._netlink, [wiring], self._sources, self._family):
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
                return pod_network.check(self._netlink, inside, wiring, self._sources)

        return await self._run_typed(work)

    async def on_netlink(self, work: Callable[[Netlink], T]) -> T:
        """Do something with the socket, between two other things that are done with it. Raises HostError."""
        return await self._run_typed(lambda: work(self._netlink))

    async def stop_watching(self) -> None:
        """Mend nothing any more; before `close`."""
        if self._watcher is not None:
            await self._watcher.stop()

    def close(self) -> None:
        """End the thread when its work is done."""
        if self._reaper is not None:
            self._reaper.cancel()
        self._undertaker.shutdown()
        self._thread.shutdown()
        self._netlink.close()
        if self._sources is not None:
            self._sources.close()

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

    def _settle_connections(self, address: Address) -> None:
        """The last pod's connections must not meet the next one: usually done long ago, in the background."""
        try:
            self._released.settle(address)
        except OSError as error:
            log.warning("%s may meet connections of its last pod: %s", address, error)

    def _reap(self) -> None:
        """In a thread of its own: the kernel takes its time, and no ADD waits for it."""
        self._reaper = None

        def work() -> None:
            try:
                with Netlink() as netlink:
                    pod_network.reap(netlink)
            except OSError:
                log.exception("links of pods that are gone could not be removed; the next DEL tries again")
            try:
                self._released.forget_all()
            except OSError as error:
                log.warning("connections of addresses that were given back are not forgotten: %s", error)

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
