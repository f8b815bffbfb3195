"""A container runtime's networking, as libcni and containerd do it: the chain, the cached result, DEL twice.

Everything happens inside the node's place: its own /etc/cni/net.d, /opt/cni/bin, /var/lib/cni and /run/netns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vpclab.fabric import Place
from vpclab.node import result_cache
from vpclab.node.conflist import CONF_DIR, ConfList, first_conflist, granted
from vpclab.node.plugin_call import BIN_DIR, INTERNAL, CniError, call_plugin
from vpclab.node.result_cache import CACHE_DIR
from vpclab.node.sandbox import INTERFACE, Sandbox

PREVIOUS_RESULT_SINCE = "0.4.0"
"""CHECK, and the cached result for DEL, came with this version of the specification."""
STATUS_AND_GC_SINCE = "1.1.0"


class Runtime:
    """Calls one node's CNI plugins."""

    def __init__(
        self, place: Place, conf_dir: Path = CONF_DIR, bin_dir: Path = BIN_DIR, cache_dir: Path = CACHE_DIR
    ) -> None:
        self._place = place
        self._conf_dir = conf_dir
        self._bin_dir = bin_dir
        self._cache_dir = cache_dir

    async def add(self, sandbox: Sandbox) -> dict[str, Any]:
        """ADD through the chain; the last plugin's result, remembered for DEL.

        After a failure the chain is told DEL, as containerd does.

        Raises:
            CniError: the first error; a plugin that failed to delete after it is not told of.
            NoNetworkError: the node has no configuration.
        """
        conflist = await self._conflist()
        result: Any = None
        try:
            for plugin in conflist.plugins:
                result = await self._call("ADD", conflist, plugin, sandbox, result)
            if not isinstance(result, dict):
                kind = str(conflist.plugins[-1]["type"])
                raise CniError(kind, "ADD", INTERNAL, "succeeded without a result")
        except CniError:
            with contextlib.suppress(CniError):
                await self._delete(conflist, sandbox)
            raise
        await self._place.call(result_cache.remember, conflist, sandbox, result, self._cache_dir)
        return result

    async def delete(self, sandbox: Sandbox, *, twice: bool = True) -> None:
        """DEL through the chain backwards, with the remembered result.

        Args:
            sandbox: what was added.
            twice: again without namespace and result, as containerd does when it stops and then removes a sandbox.

        Raises:
            CniError: of the plugin that failed; those before it in the chain were not called. Try again.
            NoNetworkError: the node has no configuration.
        """
        conflist = await self._conflist()
        await self._delete(conflist, sandbox)
        if twice:
            await self._delete(conflist, sandbox.without_netns())

    async def check(self, sandbox: Sandbox) -> None:
        """CHECK through the chain, unless the configuration says not to.

        Raises:
            CniError: something is not as ADD left it, or the configuration is too old for CHECK.
            NoNetworkError: the node has no configuration.
        """
        conflist = await self._conflist()
        if not conflist.at_least(PREVIOUS_RESULT_SINCE):
            text = f"configuration version {conflist.version} does not support the CHECK command"
            raise CniError(conflist.name, "CHECK", INTERNAL, text)
        if conflist.disable_check:
            return
        result = await self._recall(conflist, sandbox)
        for plugin in conflist.plugins:
            await self._call("CHECK", conflist, plugin, sandbox, result)

    async def status(self) -> None:
        """STATUS of each plugin; before CNI 1.1.0 there is none, and all is well.

        Raises:
            CniError: the first plugin that can't serve an ADD now.
            NoNetworkError: the node has no configuration.
        """
        conflist = await self._conflist()
        if not conflist.at_least(STATUS_AND_GC_SINCE):
            return
        for plugin in conflist.plugins:
            await call_plugin(
                self._place, str(plugin["type"]), "STATUS", {}, conflist.stdin(plugin), self._bin_dir
            )

    async def collect_garbage(self, valid: Iterable[Sandbox]) -> None:
        """DEL what is remembered and not valid; from CNI 1.1.0 on, tell each plugin with GC what is.

        Raises:
            ExceptionGroup: of every CniError; all was tried.
            NoNetworkError: the node has no configuration.
        """
        conflist = await self._conflist()
        keep = {sandbox.container_id for sandbox in valid}
        remembered = await self._place.call(result_cache.attachments, conflist, self._cache_dir)
        errors: list[CniError] = []
        for sandbox in remembered:
            if sandbox.container_id not in keep:
                try:
                    await self._delete(conflist, sandbox)
                except CniError as error:
                    errors.append(error)
        if conflist.at_least(STATUS_AND_GC_SINCE):
            still = [{"containerID": container, "ifname": INTERFACE} for container in sorted(keep)]
            for plugin in conflist.plugins:
                stdin = conflist.stdin(plugin, **{"cni.dev/valid-attachments": still})
                try:
                    await call_plugin(self._place, str(plugin["type"]), "GC", {}, stdin, self._bin_dir)
                except CniError as error:
                    errors.append(error)
        if errors:
            raise ExceptionGroup("some attachments could not be collected", errors)

    async def _conflist(self) -> ConfList:
        return await self._place.call(first_conflist, self._conf_dir)

    async def _recall(self, conflist: ConfList, sandbox: Sandbox) -> Any:
        return await self._place.call(result_cache.recall, conflist, sandbox, self._cache_dir)

    async def _delete(self, conflist: ConfList, sandbox: Sandbox) -> None:
        known = conflist.at_least(PREVIOUS_RESULT_SINCE)
        result = await self._recall(conflist, sandbox) if known else None
        for plugin in reversed(conflist.plugins):
            await self._call("DEL", conflist, plugin, sandbox, result)
        await self._place.call(result_cache.forget, conflist, sandbox, self._cache_dir)

    async def _call(
        self, command: str, conflist: ConfList, plugin: Mapping[str, Any], sandbox: Sandbox, previous: Any
    ) -> Any:
        injected: dict[str, Any] = {} if previous is None else {"prevResult": previous}
        if runtime_config := granted(plugin, sandbox.capabilities):
            injected["runtimeConfig"] = runtime_config
        variables = {
            "CNI_CONTAINERID": sandbox.container_id,
            "CNI_NETNS": sandbox.netns,
            "CNI_IFNAME": INTERFACE,
            "CNI_ARGS": sandbox.cni_args,
        }
        stdin = conflist.stdin(plugin, **injected)
        return await call_plugin(self._place, str(plugin["type"]), command, variables, stdin, self._bin_dir)
