"""A machine of the lab that is up; a node, which has an agent and pods as well."""

from __future__ import annotations

import asyncio
import http.client
import os
import sys
import uuid
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from vpccni.agent.setting_texts import TRUE_WORDS
from vpclab.fabric import Place
from vpclab.node.agent_process import AgentProcess
from vpclab.node.boot import install_image
from vpclab.node.conflist import CONF_DIR, NoNetworkError, first_conflist
from vpclab.node.plugin_call import INTERNAL, CniError
from vpclab.node.runtime import Runtime
from vpclab.node.sandbox import Sandbox, make_netns, remove_netns

T = TypeVar("T")
TRY_AGAIN = 11
"""CNI's code for "try again later"."""
PATIENCE = 60.0
"""Seconds for which a pod is tried again, as kubelet does."""
PAUSE_FIRST, PAUSE_MOST = 0.1, 2.0
"""Seconds between two tries: doubled each time, from the first to the most."""
READY_SECONDS = 60.0
PREPARED_FOR = ("ENABLE_IPv6", "ENABLE_V6_EGRESS")
"""Switches for which a node needs the init container's step; the image has the rest of it."""
INIT = "from vpccni.agent.init import main; main()"
READYZ = "127.0.0.1", 61679
"""Where the agent answers whether it can serve."""
LOOK_EVERY = 0.02
"""Seconds between looks at whether the agent has written the conflist."""
HOPELESS = 3
"""Ends of an agent in a row after which nobody waits for it any more."""


class NodeNotReadyError(Exception):
    """The agent did not make the node ready; the text says why."""


class NodeDownError(Exception):
    """The machine went down while something was done on it."""


@dataclass(frozen=True, slots=True)
class PodRecord:
    """A pod that runs."""

    sandbox: Sandbox
    netns_fd: int
    address: str
    host_veth: str
    result: Mapping[str, Any]


@dataclass(slots=True)
class Machine:
    """An instance that is up, in the lab's words: `node1`, `bastion`."""

    name: str
    instance_id: str
    place: Place

    async def start(self) -> None:
        """What its image starts once the network is there. A plain machine starts nothing."""

    async def wait_ready(self) -> None:
        """Until it can do what it is for. Raises NodeNotReadyError."""

    async def stop(self) -> None:
        """What ends before its power goes: processes that are left are killed after this."""


@dataclass(slots=True)
class Node(Machine):
    """A machine with an agent and pods."""

    agent: AgentProcess
    runtime: Runtime
    pods: dict[tuple[str, str], PodRecord] = field(default_factory=dict)
    cordoned: bool = False
    """Whether no pod comes here unless it asks for this very node."""
    _off: bool = False
    _working: set[asyncio.Task[Any]] = field(default_factory=set)

    async def start(self) -> None:
        """The image's files, and the agent."""
        await install_image(self.place)
        if TRUE_WORDS & {self.agent.env.get(name, "") for name in PREPARED_FOR}:
            env = {**self.agent.env}
            await self.place.run((sys.executable, "-c", INIT), env=env)
        self.agent.start()

    async def stop(self) -> None:
        """The agent ends; pods end with the machine, and no plugin is told."""
        self._off = True
        for task in tuple(self._working):
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        await self.agent.stop()
        for record in self.pods.values():
            os.close(record.netns_fd)
        self.pods.clear()

    async def wait_ready(self) -> None:
        """Until the agent has written the conflist.

        Raises:
            NodeNotReadyError: it keeps ending, or has not in a minute; with its last lines.
        """
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await self.place.call(_has_conflist):  # another process writes it
                    if self.agent.failures >= HOPELESS:
                        why = f"keeps ending ({self.agent.last_end})"
                        raise NodeNotReadyError(await self._told(why))
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError:
            raise NodeNotReadyError(await self._told(f"wrote no conflist in {READY_SECONDS:.0f} s")) from None

    async def wait_serving(self) -> None:
        """Until the agent says that pods can be run: it has been started just now, and the conflist was there before.

        Raises:
            NodeNotReadyError: as `wait_ready`.
        """
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await self.place.call(_says_ready):
                    if self.agent.failures >= HOPELESS:
                        why = f"keeps ending ({self.agent.last_end})"
                        raise NodeNotReadyError(await self._told(why))
                    await asyncio.sleep(LOOK_EVERY * 5)
        except TimeoutError:
            raise NodeNotReadyError(await self._told(f"did not serve in {READY_SECONDS:.0f} s")) from None

    async def add_pod(
        self, namespace: str, name: str, capabilities: Mapping[str, Any], patience: float = PATIENCE
    ) -> PodRecord:
        """Run a pod: a sandbox connected by the chain; a new sandbox for each try, as kubelet does.

        Args:
            namespace: the pod's.
            name: the pod's.
            capabilities: what is offered to plugins that want it.
            patience: seconds for which "try again later" is heeded.

        Raises:
            CniError: the chain's last word; nothing of the pod is left.
            NoNetworkError: the node has no configuration.
            NodeDownError: the node went down meanwhile, or is.
        """
        return await self._while_up(self._add_pod(namespace, name, capabilities, patience))

    async def _add_pod(
        self, namespace: str, name: str, capabilities: Mapping[str, Any], patience: float
    ) -> PodRecord:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        pause = PAUSE_FIRST
        uid = str(uuid.uuid4())
        while True:
            try:
                record = await self._try_pod(Sandbox.fresh(namespace, name, uid, capabilities))
            except CniError as error:
                if error.code != TRY_AGAIN or loop.time() + pause > deadline:
                    raise
            else:
                self.pods[namespace, name] = record
                return record
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_MOST)

    async def delete_pod(self, namespace: str, name: str) -> PodRecord:
        """End a pod.

        Raises:
            CniError: a plugin could not; the pod is still there, try again.
            NoNetworkError: the node has no configuration; as above.
            NodeDownError: the node went down meanwhile, and the pod with it.
            KeyError: there is no such pod.
        """
        return await self._while_up(self._delete_pod(namespace, name))

    async def _delete_pod(self, namespace: str, name: str) -> PodRecord:
        record = self.pods[namespace, name]
        await self.runtime.delete(record.sandbox)
        del self.pods[namespace, name]
        os.close(record.netns_fd)
        await self.place.call(remove_netns, record.sandbox.netns)
        return record

    async def _while_up(self, work: Coroutine[Any, Any, T]) -> T:
        """Its outcome. When the machine goes down it is ended first, and this raises NodeDownError."""
        if self._off:
            work.close()
            raise NodeDownError(f"{self.name} is down")
        task = asyncio.ensure_future(work)
        self._working.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._off and not (caller is not None and caller.cancelling()):
                raise NodeDownError(f"{self.name} went down meanwhile") from None
            raise
        finally:
            self._working.discard(task)

    async def _try_pod(self, sandbox: Sandbox) -> PodRecord:
        fd = await self.place.call(make_netns, sandbox.netns)
        try:
            result = await self.runtime.add(sandbox)
            try:
                address = str(result["ips"][0]["address"]).partition("/")[0]
                host_veth = str(result["interfaces"][0]["name"])
            except (KeyError, IndexError, TypeError):
                await self.runtime.delete(sandbox)
                text = f"the chain's result names no address or no interface: {result}"
                raise CniError("chain", "ADD", INTERNAL, text) from None
            return PodRecord(sandbox, fd, address, host_veth, result)
        except BaseException:
            os.close(fd)
            await self.place.call(remove_netns, sandbox.netns)
            raise

    async def _told(self, why: str) -> str:
        lines = "\n".join(await self.place.call(_last_words))
        return f"{self.name} is not ready: its agent {why}; its last lines:\n{lines}"


def _says_ready() -> bool:
    asked = http.client.HTTPConnection(*READYZ, timeout=2)
    try:
        asked.request("GET", "/readyz")
        return asked.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        asked.close()


def _has_conflist() -> bool:
    try:
        first_conflist(CONF_DIR)
    except NoNetworkError:
        return False
    return True


def _last_words() -> list[str]:
    lines: list[str] = []
    for name in ("ipamd.log", "agent.stderr"):
        path = Path("/var/log/aws-routed-eni") / name
        if path.exists():
            lines += path.read_text(errors="replace").splitlines()[-8:]
    return lines
