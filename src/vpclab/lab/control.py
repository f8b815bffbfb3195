"""What one may ask of a running lab: JSON lines over a unix socket, one request a connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from vpclab.lab.lab import Lab
from vpclab.lab.state import LabError, known_names
from vpclab.node import PATIENCE
from vpclab.region.faults import FaultSpecError, read_fault

log = logging.getLogger(__name__)
Handler = Callable[[Lab, dict[str, Any]], Awaitable[Any]]


async def _status(lab: Lab, _: dict[str, Any]) -> Any:
    return lab.status()


async def _pods(lab: Lab, _: dict[str, Any]) -> Any:
    return lab.status()["pods"]


async def _pod_add(lab: Lab, p: dict[str, Any]) -> Any:
    return await lab.add_pod(
        p["name"], p["namespace"], p.get("node"), p.get("ports", ()), p.get("patience", PATIENCE)
    )


async def _pod_del(lab: Lab, p: dict[str, Any]) -> Any:
    return await lab.delete_pod(p["name"], p.get("namespace"))


async def _pod_check(lab: Lab, p: dict[str, Any]) -> Any:
    await lab.pods.check(p["name"], p.get("namespace"))
    return {}


async def _sandboxes(lab: Lab, _: dict[str, Any]) -> Any:
    if lab.cluster is not None:
        return await lab.cluster.sandboxes(lab.machines.values())
    return {
        node.name: [
            {
                "name": f"{space}/{pod}",
                "containerId": record.sandbox.container_id,
                "ip": record.address,
                "hostVeth": record.host_veth,
            }
            for (space, pod), record in node.pods.items()
        ]
        for node in lab.nodes.values()
    }


async def _api_server(lab: Lab, p: dict[str, Any]) -> Any:
    await lab.api_server(up=bool(p["up"]))
    return {}


async def _way_in(lab: Lab, p: dict[str, Any]) -> Any:
    return lab.way_in(p["name"])


async def _desk(lab: Lab, _: dict[str, Any]) -> Any:
    return {"there": lab.cluster is not None}


async def _spoofed(lab: Lab, _: dict[str, Any]) -> Any:
    return (await lab.fabric.counters()).spoofed


async def _calls(lab: Lab, _: dict[str, Any]) -> Any:
    return [
        {"at": c.at, "source": c.source, "instanceId": c.instance_id, "service": c.service, "action": c.action, "code": c.code,
         "seconds": c.seconds}
        for c in lab.calls.calls()
    ]  # fmt: skip


async def _agent_kill(lab: Lab, p: dict[str, Any]) -> Any:
    return await lab.kill_agent(p["node"], int(p["signal"]), start=bool(p["start"]))


async def _agent_start(lab: Lab, p: dict[str, Any]) -> Any:
    return lab.start_agent(p["node"])


async def _agent_env(lab: Lab, p: dict[str, Any]) -> Any:
    return {"nodes": await lab.change_environment(p["node"], p["changes"])}


async def _node_add(lab: Lab, p: dict[str, Any]) -> Any:
    return await lab.add_node(p.get("type"), p.get("zone"))


async def _node_change(lab: Lab, p: dict[str, Any]) -> Any:
    return await lab.change_instance(p["node"], p["what"])


async def _pods_add(lab: Lab, p: dict[str, Any]) -> Any:
    return await lab.add_pods(
        p["names"], p["namespace"], p.get("node"), int(p["parallel"]), p.get("patience", PATIENCE)
    )


async def _pods_del(lab: Lab, p: dict[str, Any]) -> Any:
    return await lab.delete_pods(p["names"], int(p["parallel"]))


async def _ping(lab: Lab, p: dict[str, Any]) -> Any:
    return await lab.ping(every=bool(p["every"]), seconds=float(p["wait"]))


async def _calls_since(lab: Lab, p: dict[str, Any]) -> Any:
    return lab.calls_since(int(p["after"]), p.get("node"), p.get("since"), p.get("service"))


async def _balance(lab: Lab, p: dict[str, Any]) -> Any:
    return lab.balance(int(p["port"]), int(p["node_port"]), p["nodes"])


async def _fault_add(lab: Lab, p: dict[str, Any]) -> Any:
    try:
        for text in p["faults"]:
            read_fault(text)  # all or none
        return {"ids": [lab.faults.add(text) for text in p["faults"]]}
    except FaultSpecError as error:
        raise LabError(str(error)) from None


async def _fault_list(lab: Lab, _: dict[str, Any]) -> Any:
    return lab.faults.listed()


async def _fault_clear(lab: Lab, p: dict[str, Any]) -> Any:
    try:
        return {"ids": lab.faults.clear(p["ids"])}
    except KeyError as error:
        raise known_names("fault", error.args[0], [one["id"] for one in lab.faults.listed()]) from None


async def _behind(lab: Lab, p: dict[str, Any]) -> Any:
    return {"done": lab.behind(p["node"], p["what"], p["eni"], p["addresses"], int(p["count"]))}


async def _delete_available(lab: Lab, p: dict[str, Any]) -> Any:
    return {"deleted": lab.delete_available(p["eni"])}


async def _environment(lab: Lab, _: dict[str, Any]) -> Any:
    return lab.environment()


HANDLERS: dict[str, Handler] = {
    "status": _status,
    "environment": _environment,
    "pods": _pods,
    "pod-add": _pod_add,
    "pod-del": _pod_del,
    "pod-check": _pod_check,
    "sandboxes": _sandboxes,
    "api-server": _api_server,
    "way-in": _way_in,
    "desk": _desk,
    "spoofed": _spoofed,
    "calls": _calls,
    "agent-kill": _agent_kill,
    "agent-start": _agent_start,
    "agent-env": _agent_env,
    "node-add": _node_add,
    "node-change": _node_change,
    "pods-add": _pods_add,
    "pods-del": _pods_del,
    "ping": _ping,
    "calls-since": _calls_since,
    "balance": _balance,
    "fault-add": _fault_add,
    "fault-list": _fault_list,
    "fault-clear": _fault_clear,
    "behind": _behind,
    "delete-available": _delete_available,
}

KEPT = frozenset(
    {
        "agent-env",
        "node-add",
        "node-change",
        "balance",
        "fault-add",
        "fault-clear",
        "behind",
        "delete-available",
    }
)
"""What changes something that outlives the lab's process."""


async def serve_control(lab: Lab, path: Path) -> asyncio.Server:
    """Listen for requests."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            operation = request.pop("op")
            handler = HANDLERS.get(operation)
            if handler is None:
                raise LabError("this lab is of another version of vpc-lab: end it and start it anew")
            reply = {"result": await handler(lab, request)}
            if operation in KEPT:
                lab.remember()
        except LabError as error:
            reply = {"error": str(error)}
        except Exception as error:
            log.exception("a request failed")
            reply = {"error": f"the lab failed in a way it does not know: {error!r}; see its daemon.log"}
        with contextlib.suppress(ConnectionError):  # who asked may be gone; what was asked is done
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(answer, str(path), limit=1 << 20)
