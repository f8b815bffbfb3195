"""An instance as a node of the cluster: its corner of the cgroups, its containerd, its kubelet."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from vpclab.cgroup_tree import remove_groups
from vpclab.fabric import Place
from vpclab.kubernetes import cgroups, containerd, kubelet
from vpclab.kubernetes.binaries import Binaries
from vpclab.kubernetes.certificates import Credentials
from vpclab.node import Machine, NodeNotReadyError, install_image
from vpclab.node.agent_process import AgentProcess

LOGS = Path("/var/log/node")
READY = 180.0
LOOK_EVERY = 0.25
SOCKET_EVERY = 0.02
ENDED = 10.0
"""Seconds for what was killed to be gone."""


@dataclass(frozen=True, slots=True)
class Outfit:
    """What a node is given at its boot."""

    lab: str
    binaries: Binaries
    baked: Path
    """The disk with the images; a new instance gets a copy of it at `disk`."""
    disk: Path
    pause: str
    registry: str
    facts: kubelet.NodeFacts
    kubelet_configuration: str
    kubeconfig: str
    authority: bytes
    serving: Credentials
    resolv_conf: str


class KubernetesNode(Machine):
    """A machine whose processes are kubelet, containerd and what these run."""

    __slots__ = ("_containerd", "_corner", "_kubelet", "_outfit", "_ready")

    def __init__(
        self,
        name: str,
        instance_id: str,
        place: Place,
        outfit: Outfit,
        ready: Callable[[str], Awaitable[tuple[bool, str]]],
    ) -> None:
        """`ready` tells whether the API server knows the node by that name as Ready, and why not."""
        super().__init__(name, instance_id, place)
        self._outfit = outfit
        self._ready = ready
        self._corner: cgroups.Corner | None = None
        self._containerd: AgentProcess | None = None
        self._kubelet: AgentProcess | None = None

    @property
    def node_name(self) -> str:
        """In Kubernetes."""
        return self._outfit.facts.name

    @property
    def cgroup_directories(self) -> tuple[Path, ...]:
        """What is to be removed when the node has ended."""
        return self._corner.directories if self._corner else ()

    async def start(self) -> None:
        """containerd, then kubelet. Raises OSError: what a node needs can't be had on this machine."""
        fit = self._outfit
        if not fit.disk.is_dir():
            await asyncio.to_thread(containerd.copy_disk, fit.baked, fit.disk)
        await install_image(self.place)
        await self.place.call(self._write_files)
        self._corner = await cgroups.Corner.make(self.place, f"{fit.lab}/{self.name}")
        self._containerd = self._daemon(
            "containerd", fit.binaries.path("containerd"), "-c", str(containerd.CONFIG)
        )
        self._containerd.start()
        async with asyncio.timeout(containerd.START):
            while not await self.place.call(containerd.SOCKET.exists):  # noqa: ASYNC110 -- another process makes it
                await asyncio.sleep(SOCKET_EVERY)
        self._kubelet = self._daemon("kubelet", *kubelet.command(fit.binaries.path("kubelet"), fit.facts))
        self._kubelet.start()

    async def wait_ready(self) -> None:
        """Until the API server calls the node Ready. Raises NodeNotReadyError."""
        why = "the API server does not know it"
        try:
            async with asyncio.timeout(READY):
                while True:
                    there, why = await self._ready(self.node_name)
                    if there:
                        return
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError:
            lines = "\n".join(await self.place.call(_last_words))
            raise NodeNotReadyError(
                f"{self.name} ({self.node_name}) is not Ready after {READY:.0f} s: {why}; its kubelet's last lines:\n{lines}"
            ) from None

    async def stop(self) -> None:
        """The power goes: kubelet, containerd and every container end at once."""
        for process in (self._kubelet, self._containerd):
            if process is not None:
                await process.stop(signal.SIGKILL)
        if self._corner is None:
            return
        corner, self._corner = self._corner, None
        await asyncio.to_thread(_end_all, corner)
        corner.close()

    def _daemon(self, name: str, *argv: str) -> AgentProcess:
        if self._corner is None:
            raise OSError(f"{self.name} has no cgroups")
        command = self._corner.command(argv)
        return AgentProcess(self.place, self._outfit.binaries.environment, command, LOGS / f"{name}.log")

    def _write_files(self) -> None:
        fit = self._outfit
        containerd.attach_disk(fit.disk)
        files = {
            containerd.CONFIG: containerd.configuration(fit.binaries.path("runc"), fit.pause),
            containerd.CERTS / "_default/hosts.toml": containerd.mirror(fit.registry),
            Path("/etc/resolv.conf"): fit.resolv_conf,
            kubelet.FILES / "kubelet.json": fit.kubelet_configuration,
            kubelet.FILES / "kubelet.conf": fit.kubeconfig,
            kubelet.FILES / "ca.crt": fit.authority.decode(),
            kubelet.FILES / "kubelet.crt": fit.serving.certificate.decode(),
            kubelet.FILES / "kubelet.key": fit.serving.key.decode(),
        }
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        LOGS.mkdir(parents=True, exist_ok=True)


def _end_all(corner: cgroups.Corner) -> None:
    """Kill whatever is in the corner until nothing is, and remove its groups. In a thread that sees the lab's /proc."""
    deadline = time.monotonic() + ENDED
    while (
        running := corner.processes()
    ) and time.monotonic() < deadline:  # what is killed may just have started another
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(SOCKET_EVERY)
    remove_groups(corner.directories)


def _last_words() -> list[str]:
    log = LOGS / "kubelet.log"
    return log.read_text(errors="replace").splitlines()[-10:] if log.exists() else ["(it said nothing)"]


def as_json(configuration: object) -> str:
    """As kubelet reads it."""
    return json.dumps(configuration, indent=2)
