"""A container runtime's networking, as libcni and containerd do it: the chain, the cached result, DEL twice.

Everything runs inside the node's place: its own /etc/cni/net.d, /opt/cni/bin, /var/lib/cni and /run/netns.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpclab.fabric import syscalls
from vpclab.fabric.namespaces import Place
from vpclab.node.conflist import ConfList, first_conflist, plugin_stdin

BIN_DIR = Path("/opt/cni/bin")
CACHE_DIR = Path("/var/lib/cni/results")
NETNS_DIR = Path("/run/netns")
INTERFACE = "eth0"
TRY_AGAIN = 11
PLUGIN_TIMEOUT = 130.0


class CniError(Exception):
    """A plugin's error object."""

    def __init__(self, plugin: str, code: int, message: str, details: str = "") -> None:
        super().__init__(f"{plugin}: {message}" + (f" ({details})" if details else ""))
        self.plugin = plugin
        self.code = code
        self.message = message
        self.details = details


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A pod's place in the network."""

    namespace: str
    name: str
    uid: str
    container_id: str
    netns: str

    @property
    def cni_args(self) -> str:
        """CNI_ARGS as kubelet's runtime gives them."""
        return (
            f"IgnoreUnknown=1;K8S_POD_NAMESPACE={self.namespace};K8S_POD_NAME={self.name};"
            f"K8S_POD_INFRA_CONTAINER_ID={self.container_id};K8S_POD_UID={self.uid}"
        )


class Runtime:
    """Calls the node's CNI plugins."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def make_sandbox(self, namespace: str, name: str) -> tuple[Sandbox, int]:
        """A fresh network namespace under /run/netns of the node, and a descriptor of it."""
        sandbox = Sandbox(
            namespace,
            name,
            str(uuid.uuid4()),
            uuid.uuid4().hex + uuid.uuid4().hex,
            f"{NETNS_DIR}/cni-{uuid.uuid4()}",
        )
        return sandbox, await self._place.call(_make_netns, sandbox.netns)

    async def remove_sandbox(self, sandbox: Sandbox) -> None:
        """Let the namespace go."""
        await self._place.call(_remove_netns, sandbox.netns)

    async def add(self, sandbox: Sandbox) -> dict[str, Any]:
        """ADD through the chain; the last result, cached for DEL. After a failure the chain is told DEL. Raises CniError."""
        conflist = await self._place.call(first_conflist)
        result: Any = None
        try:
            for plugin in conflist.plugins:
                result = await self._call("ADD", conflist, plugin, sandbox, result)
        except CniError:
            with contextlib.suppress(
                CniError
            ):  # the first error is the one to tell; kubelet's own DEL follows
                await self._delete(conflist, sandbox, None)
            raise
        await self._place.call(_cache, conflist, sandbox, result)
        found: dict[str, Any] = result
        return found

    async def delete(self, sandbox: Sandbox, *, twice: bool = True) -> None:
        """DEL through the chain backwards with the cached result; then again without namespace, as containerd does."""
        conflist = await self._place.call(first_conflist)
        await self._delete(conflist, sandbox, await self._place.call(_cached, conflist, sandbox))
        await self._place.call(_uncache, conflist, sandbox)
        if twice:
            gone = Sandbox(sandbox.namespace, sandbox.name, sandbox.uid, sandbox.container_id, "")
            await self._delete(conflist, gone, None)

    async def check(self, sandbox: Sandbox) -> None:
        """CHECK through the chain, unless the configuration says not to. Raises CniError."""
        conflist = await self._place.call(first_conflist)
        if conflist.disable_check:
            return
        result = await self._place.call(_cached, conflist, sandbox)
        for plugin in conflist.plugins:
            await self._call("CHECK", conflist, plugin, sandbox, result)

    async def _delete(self, conflist: ConfList, sandbox: Sandbox, result: object) -> None:
        for plugin in reversed(conflist.plugins):
            await self._call("DEL", conflist, plugin, sandbox, result)

    async def _call(
        self, command: str, conflist: ConfList, plugin: Mapping[str, Any], sandbox: Sandbox, previous: object
    ) -> Any:
        kind = str(plugin["type"])
        env = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": sandbox.container_id,
            "CNI_NETNS": sandbox.netns,
            "CNI_IFNAME": INTERFACE,
            "CNI_ARGS": sandbox.cni_args,
            "CNI_PATH": str(BIN_DIR),
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        }
        done = await self._place.run(
            [str(BIN_DIR / kind)],
            input=plugin_stdin(conflist, plugin, previous, {}, {}),
            env=env,
            check=False,
            timeout=PLUGIN_TIMEOUT,
        )
        if done.returncode == 0:
            return json.loads(done.stdout) if done.stdout.strip() else None
        try:
            error = json.loads(done.stdout)
            failed = CniError(kind, int(error["code"]), str(error["msg"]), str(error.get("details", "")))
        except (ValueError, KeyError, TypeError):
            failed = CniError(
                kind, 999, f"exit status {done.returncode}: {(done.stderr or done.stdout).strip()}"
            )
        raise failed


async def add_with_patience(runtime: Runtime, sandbox: Sandbox, seconds: float) -> dict[str, Any]:
    """ADD, again while the plugin says "try again later", as kubelet does, for that long."""
    deadline = asyncio.get_running_loop().time() + seconds
    pause = 0.1
    while True:
        try:
            return await runtime.add(sandbox)
        except CniError as error:
            if error.code != TRY_AGAIN or asyncio.get_running_loop().time() + pause > deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)


def _make_netns(path: str) -> int:
    """In a thread of the node: it goes into the new namespace and comes back."""
    Path(path).touch()
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            syscalls.mount("/proc/thread-self/ns/net", path, flags=syscalls.MS_BIND)
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            syscalls.setns(here, syscalls.CLONE_NEWNET)
    finally:
        os.close(here)


def _remove_netns(path: str) -> None:
    if Path(path).exists():
        syscalls.unmount(path)
        Path(path).unlink()


def _cache_file(conflist: ConfList, sandbox: Sandbox) -> Path:
    return CACHE_DIR / f"{conflist.name}-{sandbox.container_id}-{INTERFACE}"


def _cache(conflist: ConfList, sandbox: Sandbox, result: object) -> None:
    CACHE_DIR.mkdir(parents=True, exist_ok=True)
    cached = {
        "kind": "cniCacheV1",
        "containerId": sandbox.container_id,
        "config": base64.b64encode(conflist.raw).decode(),
        "ifName": INTERFACE,
        "networkName": conflist.name,
        "cniArgs": [part.split("=", 1) for part in sandbox.cni_args.split(";")],
        "result": result,
    }
    _cache_file(conflist, sandbox).write_text(json.dumps(cached))


def _cached(conflist: ConfList, sandbox: Sandbox) -> object:
    try:
        return json.loads(_cache_file(conflist, sandbox).read_text())["result"]
    except FileNotFoundError:
        return None


def _uncache(conflist: ConfList, sandbox: Sandbox) -> None:
    _cache_file(conflist, sandbox).unlink(missing_ok=True)
