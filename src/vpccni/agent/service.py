"""Answers the plugin: parses the call, hands it to the agent once that has started, and writes plugin.log."""

from __future__ import annotations

import asyncio
import logging

from vpccni.agent.cni_call import INTERNAL, NOT_AVAILABLE, CniCall, CniError, error_json, parse_call
from vpccni.agent.egress import TYPE, Egress
from vpccni.agent.logs import PLUGIN_LOGGER
from vpccni.agent.loop import Agent
from vpccni.agent.wire import PluginRequest, Reply
from vpccni.ipam.reasons import Reason, Refusal

log = logging.getLogger(__name__)
plugin_log = logging.getLogger(PLUGIN_LOGGER)

START_PATIENCE = 20.0
"""Seconds that a call waits for an agent that is still starting; it needs well under one when IMDS answers."""


class Service:
    """The handler of the plugin's socket. `phase` names what start-up is doing, for those who come too early."""

    def __init__(self) -> None:
        self.phase = "reading settings"
        self._egress: Egress | None = None
        self._agent: asyncio.Future[Agent] = asyncio.get_running_loop().create_future()

    def started(self, agent: Agent, egress: Egress | None = None) -> None:
        """From now on calls are served."""
        self._egress = egress
        self.phase = "serving"
        self._agent.set_result(agent)

    async def handle(self, request: PluginRequest) -> Reply:
        """One call, answered whatever happens."""
        version = "1.0.0"
        try:
            call = parse_call(request.env, request.stdin)
            version = call.version
            _log_request(call, request)
            text = await self._serve(request, call)
        except CniError as error:
            plugin_log.error("%s failed: %s", request.env.get("CNI_COMMAND"), error)
            return Reply(1, error_json(error, version))
        except Exception as error:
            log.exception(
                "%s of %s went wrong", request.env.get("CNI_COMMAND"), request.env.get("CNI_CONTAINERID")
            )
            failure = CniError(
                INTERNAL, f"the agent failed in a way it does not know: {error!r}; see ipamd.log"
            )
            return Reply(1, error_json(failure, version))
        if call.command == "ADD":
            plugin_log.info("Received add network response from ipamd for container %s interface %s: %s",
                            call.container_id, call.interface, " ".join(text.decode().split()))  # fmt: skip
        return Reply(0, text)

    async def _serve(self, request: PluginRequest, call: CniCall) -> bytes:
        try:
            async with asyncio.timeout(START_PATIENCE):
                agent = await asyncio.shield(self._agent)
        except TimeoutError:
            if call.command == "STATUS":
                raise CniError(
                    NOT_AVAILABLE, f"the agent is starting: {self.phase}", Reason.AGENT_STARTING.advice
                ) from None
            raise CniError.refused(Refusal(Reason.AGENT_STARTING, self.phase), call.pod) from None
        if call.kind == TYPE and self._egress is not None:
            return await self._egress.serve(request, call)
        match call.command:
            case "ADD":
                return await agent.add(request, call)
            case "DEL":
                return await agent.delete(call)
            case "CHECK":
                return await agent.check(request, call)
            case "GC":
                return await agent.collect_garbage(call)
            case "STATUS":
                return agent.status()
        raise CniError(4, f"unknown CNI_COMMAND: {call.command}")


def _log_request(call: CniCall, request: PluginRequest) -> None:
    word = {"ADD": "add", "DEL": "del"}.get(call.command, call.command)
    plugin_log.info(
        "Received CNI %s request: ContainerID(%s) Netns(%s) IfName(%s) Args(%s) Path(%s) argsStdinData(%s)",
        word,
        call.container_id,
        call.netns,
        call.interface,
        request.env.get("CNI_ARGS", ""),
        request.env.get("CNI_PATH", ""),
        " ".join(request.stdin.decode(errors="replace").split()),
    )
