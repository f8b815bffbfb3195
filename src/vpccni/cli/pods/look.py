"""The node's pods as the agent and the kernel have them now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vpccni.cli.agent_view import AgentSilentError, ask, known_settings
from vpccni.cli.errors import CliError
from vpccni.cli.kernel.read import read_network
from vpccni.cli.pods.table import OnHost, Row, on_host, on_host6, rows
from vpccni.ipam.values import MAIN_TABLE
from vpccni.linux.family import Family
from vpccni.linux.links import links
from vpccni.linux.routes import routes
from vpccni.linux.rtnl import Netlink
from vpccni.linux.rules import listing
from vpccni.linux.sources import kernel_sources


def look(run_dir: Path) -> list[Row]:
    """The agent's word, then the kernel's; again if they differ, for a pod may have come or gone in between. Raises CliError."""
    settings = known_settings(run_dir, os.environ).settings
    if settings.disable_introspection:
        raise CliError("DISABLE_INTROSPECTION is set: the agent tells nobody which pods there are")
    found = _look(settings.introspection_address)
    return _look(settings.introspection_address) if any(row.drift for row in found) else found


def _look(address: str) -> list[Row]:
    try:
        listed: list[dict[str, Any]] = ask(address, "/v2/pods")
        status = ask(address, "/v2/status")
    except AgentSilentError as error:
        raise CliError(
            f"{error}: see whether the aws-node pod of this node runs, and its ipamd.log"
        ) from None
    tables = {eni["id"]: int(eni["route_table"]) for pool in status["pools"] for eni in pool["enis"]}
    ipv6 = any(":" in pod["address"] for pod in listed)
    return rows(listed, tables, _on_host6() if ipv6 else _on_host())


def _on_host() -> OnHost:
    with Netlink() as netlink:
        network = read_network(netlink)
    return on_host(network, kernel_sources())


def _on_host6() -> OnHost:
    with Netlink() as netlink:
        found = routes(netlink, MAIN_TABLE, Family.IPV6)
        rules = [entry.rule for entry in listing(netlink, Family.IPV6)]
        return on_host6(found, rules, {link.index: link.name for link in links(netlink)})
