"""What the agent tells on the introspection port: the original's paths and shapes (spec 8.1), and ours under /v2/."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from vpccni.agent import go_json, view, viewing
from vpccni.agent.http import Answer, Handler, HttpServer, not_found
from vpccni.agent.readiness import HANGING
from vpccni.agent.scene import Scene

V1 = ("/v1/enis", "/v1/eni-configs", "/v1/networkutils-env-settings", "/v1/ipamd-env-settings")
V2 = ("/v2/status", "/v2/pods", "/v2/decisions", "/v2/reconcile")
PROBES = ("/livez", "/readyz")


def introspection_server(scene: Scene) -> HttpServer | None:
    """To be started; None with DISABLE_INTROSPECTION."""
    if scene.settings.disable_introspection:
        return None
    return HttpServer("introspection", scene.settings.introspection_address, introspection(scene))


def introspection(scene: Scene) -> Handler:
    """Answers paths about this agent."""
    plain: Mapping[str, Callable[[], Any]] = {
        "/v1/enis": lambda: go_json.enis(scene.ipams),
        "/v1/networkutils-env-settings": lambda: go_json.networkutils_settings(scene.settings),
        "/v1/ipamd-env-settings": lambda: go_json.ipamd_settings(scene.settings),
        "/v2/status": lambda: view.to_plain(scene.status()),
        "/v2/pods": lambda: view.to_plain(viewing.pods(scene.ipams)),
        "/v2/decisions": lambda: view.to_plain(viewing.decision_statuses(scene.decisions)),
        "/v2/reconcile": lambda: view.to_plain(viewing.reconcile_statuses(scene.decisions)),
    }

    async def answer(path: str) -> Answer:
        if path in PROBES:
            return await probe(scene, path)
        if path == "/v1/eni-configs":
            name = scene.eni_config()
            return not_found() if name is None else Answer(go_json.dumps(name))
        if path in plain:
            return Answer(go_json.dumps(plain[path]()))
        if path.startswith("/v2/"):
            return not_found()
        # the original answers any other path so
        return Answer(go_json.dumps({"AvailableCommands": V1, "AvailableCommandsV2": (*V2, *PROBES)}))

    return answer


async def probe(scene: Scene, path: str) -> Answer:
    """/livez: the loop is not stuck, whatever the pool is like. /readyz: the node can run pods."""
    if path == "/livez":
        asked = time.monotonic()
        await asyncio.sleep(0)
        lag = time.monotonic() - asked
        alive = lag < HANGING
        return _probed({"alive": alive, "lag": round(lag, 6)}, good=alive)
    readiness = scene.readiness()
    return _probed(view.to_plain(viewing.readiness_status(readiness)), good=readiness.ready)


def _probed(said: Any, *, good: bool) -> Answer:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(json.dumps(said).encode() + b"\n", status=status)
