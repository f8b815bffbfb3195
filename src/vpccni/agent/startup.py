"""From nothing to serving, in named phases; each says what it waits for, and none needs EC2 (spec 1.4, 6.6).

The plugin's socket is there first, so that a call that comes early waits instead of failing. botocore is loaded by the
first action that needs EC2, when a restored pool already serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from vpccni import VERSION
from vpccni.agent import pending
from vpccni.agent.branch_host import KernelBranches
from vpccni.agent.branch_pods import BranchPods
from vpccni.agent.carry_out import Performer
from vpccni.agent.clock import steady_clock
from vpccni.agent.cloud import NodeCloud
from vpccni.agent.conflist import NAME, NodeIp, write_conflist
from vpccni.agent.decisions_file import load_decisions, save_decisions
from vpccni.agent.duties import Duties
from vpccni.agent.egress import Egress
from vpccni.agent.host import KernelEnis, KernelHost, host_settings
from vpccni.agent.in_cluster import InCluster, connected
from vpccni.agent.install import install_plugins
from vpccni.agent.last_run import LastRun, rewrite, tell_of_found
from vpccni.agent.loop import Agent
from vpccni.agent.node_enis import NodeEnis, by_metadata, with_metadata
from vpccni.agent.node_pools import managed_cards, node_pools
from vpccni.agent.observing import Observing
from vpccni.agent.rpc.backend import node_config
from vpccni.agent.rpc.network_policy import NetworkPolicyAgent
from vpccni.agent.rpc.serve import Rpc
from vpccni.agent.scene import Scene
from vpccni.agent.service import Service
from vpccni.agent.settings import Settings
from vpccni.agent.unwired import judge_unwired
from vpccni.agent.warm_file import WarmFile, load_warmth
from vpccni.agent.wire import PluginServer
from vpccni.aws.errors import Ec2Error
from vpccni.aws.imds import Imds, ImdsError, NodeFacts, attached_enis, node_facts, own_ipv6
from vpccni.ipam.checkpoint import Checkpoint
from vpccni.ipam.decide import Ipam
from vpccni.ipam.found import take_in_found
from vpccni.ipam.limits import known_limits
from vpccni.ipam.reasons import Reason
from vpccni.ipam.values import Assignment, AttachedEni, Eni, EniId
from vpccni.kube.port import Cluster
from vpccni.linux.egress_family import IPV4, IPV6

log = logging.getLogger(__name__)
T = TypeVar("T")

HOUSEKEEPING = 60.0
"""Seconds between looks for a deletion that was noted in the very moment in which the agent came back."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
EC2_PATIENCE = 5.0
"""Seconds that a restarted agent waits for EC2 before it serves pods on metadata's word."""
START_DEVICE_WAIT = 5.0
"""Seconds for the device of an ENI that was attached before the agent started: usually it is there."""


class Startup:
    """Everything the agent is made of, in the order in which it comes to be."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = steady_clock()
        self.service = Service()
        self.server = PluginServer(settings.run_dir / "cni.sock", self.service.handle)
        self.rpc = Rpc(settings.run_dir)
        self.threads = ThreadPoolExecutor(2, thread_name_prefix="start")
        self.last_run = LastRun(settings.checkpoint)
        self.unwired: list[Assignment] = []
        self.enis: dict[EniId, Eni] = {}
        self.stop = asyncio.Event()
        self.asked_at = self.born = self.clock()
        self.began = time.monotonic()
        self.scene = Scene(settings, self.clock, phase=lambda: self.service.phase)
        self.observing = Observing(self.scene)

    async def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT, stop."""
        log.info("Starting L-IPAMD %s", VERSION)
        self.stop = _stop_signal()
        self.server.start()
        self.rpc.start()
        self.scene.counters.initialising = 1
        self.observing.start()
        load_decisions(self.settings.run_dir, self.scene.decisions)
        pending.pending_dir(self.settings.run_dir).mkdir(mode=0o700, exist_ok=True)
        if install_plugins(self.settings.host_bin_dir):
            log.info("Installed the plugins in %s", self.settings.host_bin_dir)
        imds = Imds(self.settings.imds_endpoint)
        facts = await self._until(
            "asking the instance metadata service",
            self._threaded(lambda: node_facts(imds, ipv6=self.settings.ipv6)),
        )
        attached = await self._until(
            "listing ENIs in instance metadata",
            self._threaded(lambda: attached_enis(imds, ipv6=self.settings.ipv6)),
        )
        self.scene.heard("instance metadata")
        log.info(
            "This is %s, %s in %s; %d ENIs attached",
            facts.instance_id,
            facts.instance_type,
            facts.zone,
            len(attached),
        )
        cloud = NodeCloud(
            self.settings, facts, attached[0].eni, calls=self.scene.calls, budget=self.scene.budget
        )
        limits = known_limits(facts.instance_type)
        if limits is None:
            limits = await self._until(
                f"asking EC2 about {facts.instance_type}", self._threaded(cloud.limits)
            )
        host = KernelHost(self.settings)
        initialising = time.monotonic()
        wanted = host_settings(self.settings, facts)
        for change in await self._until("setting up the host's network", lambda: host.set_up(wanted)):
            log.info("host: %s", change)
        checkpoint = self.last_run.read()
        cloud.cards = managed_cards(self.settings, limits, None)
        seen = await self._look(host, cloud, attached, checkpoint)
        cloud.cards = managed_cards(self.settings, limits, seen)
        ours = (
            seen.sighting.attached
            if seen is not None
            else by_metadata(attached, cloud.whose).sighting.attached
        )
        ours = await self._set_up_enis(ours)
        pools = node_pools(self.settings, limits, attached[0].eni.id, cloud.cards)
        agent = await self._agent(host, cloud, pools, ours, checkpoint)
        cluster = connected(self.settings, os.environ)
        agent.branches = branches = await self._branches(host, agent, cluster)
        self._tell_of_the_start(agent, time.monotonic() - initialising)
        egress = Egress(host, IPV4 if self.settings.ipv6 else IPV6)
        node_ip = await self._egress_address(egress, imds, facts)
        self.service.started(agent, egress)
        asked = branches if self.settings.pod_eni else None
        self.rpc.started(agent, node_config(self.settings, facts), branches=asked)
        log.info("Serving the plugin on %s", self.settings.run_dir / "cni.sock")

        async def changed(new: NodeFacts) -> None:
            for change in await host.set_up(host_settings(self.settings, new)):
                log.info("host: %s", change)
            self.rpc.started(agent, node_config(self.settings, new), branches=asked)

        duties = Duties(
            self.settings, agent, cloud, imds, facts,
            scene=self.scene, wiring=KernelEnis(self.settings.eni_mtu), clock=self.clock, changed=changed,
            born=self.born,
        )  # fmt: skip
        in_cluster = InCluster(
            self.settings, agent, cloud, limits, self.clock, scene=self.scene, cluster=cluster
        )
        took = time.monotonic() - self.began
        self.scene.counters.startup_took(took, with_api_server=in_cluster.has_api_server)
        await self._serve(agent, host, duties, in_cluster, seen, node_ip)
        host.close()

    # --- phases -----------------------------------------------------------------------------------------------

    async def _look(
        self,
        host: KernelHost,
        cloud: NodeCloud,
        attached: tuple[AttachedEni, ...],
        checkpoint: Checkpoint,
    ) -> NodeEnis | None:
        """What EC2 says of the ENIs, where metadata's word is not enough; None if EC2 is not asked or does not say.

        It is enough on a node that has no pods yet and no ENI but the primary. Else metadata that lags could hide an ENI
        with live pods on it, and only EC2 tells an ENI that is not ours.
        """
        if self.settings.imds_only or (len(attached) == 1 and not checkpoint.allocations):
            return None
        self.service.phase = "asking EC2 for the ENIs"
        self.asked_at = self.clock()
        try:
            async with asyncio.timeout(EC2_PATIENCE):
                seen = await self._threaded(lambda: cloud.enis(attached))()
        except (Ec2Error, TimeoutError) as error:
            log.warning(
                "EC2 does not say which ENIs are attached (%s): instance metadata is believed until it does",
                error or f"no answer in {EC2_PATIENCE:.0f} s",
            )
            return None
        return with_metadata(seen, attached, await host.macs())

    async def _set_up_enis(self, attached: tuple[AttachedEni, ...]) -> tuple[AttachedEni, ...]:
        """Those that are usable on the host. One whose device is not there keeps nobody waiting: it is looked for again."""
        wiring = KernelEnis(self.settings.eni_mtu, device_wait=START_DEVICE_WAIT)
        there: list[AttachedEni] = []
        for entry in attached:
            self.service.phase = f"setting up {entry.eni.id}"
            try:
                if not entry.eni.is_primary:
                    await self._threaded(partial(wiring.set_up, entry.eni))()
            except OSError as error:
                log.error("%s cannot be set up: %s; it is looked at again", entry.eni.id, error)
                continue
            self.enis[entry.eni.id] = entry.eni
            there.append(entry)
        return tuple(there)

    async def _agent(
        self,
        host: KernelHost,
        cloud: NodeCloud,
        pools: dict[int, Ipam],
        attached: tuple[AttachedEni, ...],
        checkpoint: Checkpoint,
    ) -> Agent:
        self.service.phase = "restoring the assignments"
        load_warmth(self.settings.run_dir, pools.values())
        connected = await self._until("looking at the pods' links", host.look)
        now = self.clock()
        unheld, self.unwired = self.last_run.restore(pools, attached, checkpoint, host.alive, now)
        tell_of_found(take_in_found(pools.values(), connected, now))
        stores = self.last_run.stores
        for store in stores.values():
            await self._until("writing the checkpoint", self._threaded(partial(rewrite, store)))
        spared = [(a, self.enis[a.eni]) for a in (*unheld, *self.unwired)]
        live = [
            (a, self.enis[a.eni])
            for ipam in pools.values()
            for a in ipam.pool.assignments()
            if a not in unheld and a not in self.unwired
        ]
        for change in await self._until(
            "comparing pods with the host's rules",
            lambda: host.keep_only(live, spared, enis=self.enis.values()),
        ):
            log.info("host: %s", change)
        first, *others = pools.items()
        performer = Performer(lambda: cloud, KernelEnis(self.settings.eni_mtu), self.enis.get)
        run_dir = self.settings.run_dir
        mode = self.settings.network_policy_mode
        agent = Agent(
            first[1],
            self.enis,
            host,
            stores[first[0]],
            performer.perform,
            self.clock,
            added=lambda call: pending.supersede(run_dir, call),
            policies=NetworkPolicyAgent(run_dir, mode) if mode is not None else None,
            counters=self.scene.counters,
            decisions=self.scene.decisions,
            more_cards={card: (ipam, stores[card]) for card, ipam in others},
            multi_nic=self.settings.multi_nic,
        )
        self.service.phase = "doing the deletions that were noted"
        await pending.work_off(agent, run_dir)
        return agent

    async def _egress_address(self, egress: Egress, imds: Imds, facts: NodeFacts) -> NodeIp:
        """What the pods' other family leaves with, if it is to leave; the host is ready for it then."""
        if self.settings.ipv6:
            if not self.settings.v4_egress:
                return None
            await egress.start()
            return facts.primary_ip
        if not self.settings.v6_egress:
            return None
        await egress.start()
        try:
            found = await self._threaded(lambda: own_ipv6(imds))()
        except ImdsError as error:
            log.warning("ENABLE_V6_EGRESS is of no effect, the node's IPv6 address is not known: %s", error)
            return None
        if found is None:
            log.warning("ENABLE_V6_EGRESS is of no effect: the primary ENI has no IPv6 address")
        return found

    async def _branches(self, host: KernelHost, agent: Agent, cluster: Cluster | None) -> BranchPods:
        settings = self.settings
        if settings.pod_eni and cluster is None:
            log.error("ENABLE_POD_ENI is set and no API server is configured: no pod gets an address. %s",
                      Reason.API_SERVER.advice)  # fmt: skip
        mode = settings.network_policy_mode
        branches = BranchPods(
            cluster,
            KernelBranches(host, mode=settings.enforcing, veth_prefix=settings.veth_prefix),
            self.enis,
            self.scene.counters,
            NetworkPolicyAgent(settings.run_dir, mode) if mode is not None else None,
            enabled=settings.pod_eni,
            trunk_missed=lambda: agent.owner.doubted(),  # noqa: PLW0108 -- the duties set it later
        )
        await branches.sweep()
        return branches

    def _tell_of_the_start(self, agent: Agent, initialised: float) -> None:
        self.scene.ipams = agent.cards.pools
        counters = self.scene.counters
        counters.initialising = 0
        counters.initialisation_took(initialised, success=True)

    async def _serve(
        self,
        agent: Agent,
        host: KernelHost,
        duties: Duties,
        in_cluster: InCluster,
        seen: NodeEnis | None,
        node_ip: NodeIp,
    ) -> None:
        """Everything that goes on beside the pods' calls, until the signal to stop; then all of it ends."""
        stop = self.stop
        in_cluster.start()
        await duties.start(seen, self.asked_at)
        try:
            host.watch(lambda: list(agent.enis.values()))
        except OSError as error:
            log.error("what somebody changes on the host is mended at the next start only: %s", error)
        agent.owner.kick()
        readiness = asyncio.create_task(self._write_conflist(agent, node_ip))
        judging = asyncio.create_task(judge_unwired(self.unwired, agent, host, self.clock))
        warmth = WarmFile(self.settings.run_dir, agent.cards.pools)
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HOUSEKEEPING):
                    await stop.wait()
            await pending.work_off(agent, self.settings.run_dir)
            await save_decisions(self.settings.run_dir, self.scene.decisions)
            await warmth.save()
        log.info("Stopping")
        self.scene.stopping = True
        self.rpc.stopping()
        readiness.cancel()
        judging.cancel()
        await self.server.stop()
        await self.rpc.close()
        await host.stop_watching()
        await in_cluster.stop()
        await duties.stop()
        await agent.owner.stop()
        for store in self.last_run.stores.values():
            await store.close(store.snapshot())
        await self.observing.stop()
        self.threads.shutdown(wait=False)

    async def _write_conflist(self, agent: Agent, node_ip: NodeIp) -> None:
        """The node is Ready when it can run a pod."""
        await agent.owner.has_addresses.wait()
        write_conflist(self.settings, node_ip=node_ip)
        log.info("Wrote %s", self.settings.host_conf_dir / NAME)

    # --- waiting ----------------------------------------------------------------------------------------------

    def _threaded(self, work: Callable[[], T]) -> Callable[[], Awaitable[T]]:
        return lambda: asyncio.get_running_loop().run_in_executor(self.threads, work)

    async def _until(self, phase: str, work: Callable[[], Awaitable[T]]) -> T:
        """Try until it works, saying each time what stands in the way: a restart would not help."""
        self.service.phase = phase
        pause = FIRST_PAUSE
        while True:
            try:
                return await work()
            except (ImdsError, Ec2Error, OSError) as error:
                log.error("%s: %s; trying again in %.1f s", phase, error, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
