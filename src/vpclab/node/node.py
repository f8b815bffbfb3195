"""One instance of the lab: its boot, the real agent, its pods."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vpclab.fabric import AWS_API, Place, configure_primary, node_place
from vpclab.node.conflist import CONF_DIR
from vpclab.node.runtime import BIN_DIR, Runtime, Sandbox, add_with_patience
from vpclab.region import Region
from vpclab.region.study import CLUSTER

STOCK_PLUGINS = Path("/usr/lib/cni")
READY_SECONDS = 60.0
POD_SECONDS = 60.0
LOOK_EVERY = 0.02
"""Seconds between looks at whether the agent has written the conflist."""
AS_AWS_NODE = ("setpriv", "--bounding-set=-all,+net_admin,+net_raw", "--inh-caps=-all")
"""The capabilities of the aws-node container (spec 10.2), and no others: so every lab proves that they are enough."""
RESTART_FIRST, RESTART_MOST = 0.5, 10.0


@dataclass(slots=True)
class PodRecord:
    """A pod that runs."""

    sandbox: Sandbox
    netns_fd: int
    address: str
    host_veth: str
    result: dict[str, Any]


@dataclass(slots=True)
class Machine:
    """An instance that is up, in the lab's words: `node1`, `bastion`."""

    name: str
    instance_id: str
    place: Place


@dataclass(slots=True)
class Node(Machine):
    """A machine with an agent and pods."""

    agent_env: dict[str, str] = field(default_factory=dict)
    agent: subprocess.Popen[bytes] | None = None
    starts: int = 0
    wanted: bool = True
    pods: dict[tuple[str, str], PodRecord] = field(default_factory=dict)
    _watch: asyncio.Task[None] | None = None

    @property
    def runtime(self) -> Runtime:
        """What calls the plugins."""
        return Runtime(self.place)

    @property
    def agent_pid(self) -> int | None:
        """The agent's pid inside the lab, if it runs."""
        return self.agent.pid if self.agent is not None and self.agent.poll() is None else None

    def start_agent(self) -> None:
        """Start it, and again whenever it ends while it is wanted, as kubelet would."""
        self.wanted = True
        self._watch = asyncio.get_running_loop().create_task(self._keep_agent())

    async def stop_agent(self, number: int = signal.SIGTERM) -> None:
        """End it and leave it so."""
        self.wanted = False
        if self.agent is not None and self.agent.poll() is None:
            self.agent.send_signal(number)
        if self._watch is not None:
            await self._watch

    async def wait_ready(self) -> None:
        """Until the agent has written the conflist. Raises TimeoutError."""
        async with asyncio.timeout(READY_SECONDS):
            while not await self.place.call(_has_conflist):  # noqa: ASYNC110 -- another process writes it
                await asyncio.sleep(LOOK_EVERY)

    async def add_pod(self, namespace: str, name: str) -> PodRecord:
        """Run a pod: a namespace, connected by the chain. Raises CniError."""
        sandbox, fd = await self.runtime.make_sandbox(namespace, name)
        try:
            result = await add_with_patience(self.runtime, sandbox, POD_SECONDS)
        except BaseException:
            os.close(fd)
            await self.runtime.remove_sandbox(sandbox)
            raise
        address = str(result["ips"][0]["address"]).split("/")[0]
        record = PodRecord(sandbox, fd, address, str(result["interfaces"][0]["name"]), result)
        self.pods[namespace, name] = record
        return record

    async def delete_pod(self, namespace: str, name: str) -> PodRecord:
        """End a pod. Raises CniError, KeyError."""
        record = self.pods[namespace, name]
        await self.runtime.delete(record.sandbox)
        del self.pods[namespace, name]
        os.close(record.netns_fd)
        await self.runtime.remove_sandbox(record.sandbox)
        return record

    async def _keep_agent(self) -> None:
        pause = RESTART_FIRST
        while self.wanted:
            self.agent = await self.place.call(self._spawn)
            self.starts += 1
            began = asyncio.get_running_loop().time()
            await _ended(self.agent)
            if asyncio.get_running_loop().time() - began > RESTART_MOST:
                pause = RESTART_FIRST
            if self.wanted:
                await asyncio.sleep(pause)
                pause = min(pause * 2, RESTART_MOST)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with Path("/var/log/aws-routed-eni/agent.stderr").open("ab") as stderr:
            return subprocess.Popen(
                [*AS_AWS_NODE, sys.executable, "-m", "vpccni.agent"], env=self.agent_env, stdin=subprocess.DEVNULL, stdout=stderr,
                stderr=stderr, start_new_session=True,
            )  # fmt: skip


async def boot_machine(name: str, instance_id: str, region: Region, root: Path) -> Machine:
    """An instance's corner, before its ENI is plugged in."""
    place = await asyncio.to_thread(node_place, name, root, workers=10)
    await place.call(_write_hosts, region.name)
    return Machine(name, instance_id, place)


async def configure_network(machine: Machine, region: Region) -> None:
    """What the instance's first boot does to its primary ENI."""
    primary = region.enis_of(machine.instance_id)[0]
    await configure_primary(machine.place, primary, region.subnets[primary.subnet_id])


async def make_node(machine: Machine, region: Region, extra_env: Mapping[str, str]) -> Node:
    """Give a machine what a node's image has, and the agent's environment."""
    await machine.place.call(_install_image)
    env = {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": "/root",
        "AWS_EC2_ENDPOINT": f"http://ec2.{region.name}.amazonaws.com",
        "HOST_CNI_BIN_PATH": str(BIN_DIR),
        "HOST_CNI_CONFDIR_PATH": str(CONF_DIR),
        "AWS_VPC_K8S_CNI_LOG_FILE": "/var/log/aws-routed-eni/ipamd.log",
        "CLUSTER_NAME": CLUSTER,
        "MY_NODE_NAME": machine.name,
        **extra_env,
    }
    return Node(machine.name, machine.instance_id, machine.place, agent_env=env)


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Until it ends; reaped here."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    pidfd = os.pidfd_open(process.pid)
    try:
        loop.add_reader(pidfd, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    process.wait()


def _has_conflist() -> bool:
    return any(CONF_DIR.glob("*.conflist"))


def _write_hosts(region: str) -> None:
    with Path("/etc/hosts").open("a") as hosts:
        hosts.write(f"{AWS_API} ec2.{region}.amazonaws.com\n")


def _install_image() -> None:
    Path("/var/log/aws-routed-eni").mkdir(parents=True, exist_ok=True)
    BIN_DIR.mkdir(parents=True, exist_ok=True)
    for plugin in STOCK_PLUGINS.glob("*"):
        with contextlib.suppress(FileExistsError):
            (BIN_DIR / plugin.name).symlink_to(plugin)
