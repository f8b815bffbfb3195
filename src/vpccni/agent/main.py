"""The daemon's entry: settings, logs, then the loop."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from vpccni.agent.iptables_backend import choose_backend
from vpccni.agent.logs import open_logs
from vpccni.agent.settings import Settings, impossible, parse_settings
from vpccni.agent.startup import Startup

log = logging.getLogger(__name__)


def main() -> None:
    """Run L-IPAM until it is told to stop."""
    settings, bad = parse_settings(os.environ)
    open_logs(settings.log_level, settings.log_file, plugin_log(settings), settings.plugin_log_level)
    for setting in bad:
        log.error("bad setting: %s", setting)
    if problem := impossible(os.environ):
        log.critical("%s", problem)
        raise SystemExit(1)
    if kind := choose_backend():
        log.info("This node uses iptables-%s", kind)
    asyncio.run(_run(settings))


def plugin_log(settings: Settings) -> str:
    """Where the agent writes the plugin's lines: the settings name the host's path, our container sees it elsewhere."""
    ours, theirs = Path(settings.log_file), Path(settings.plugin_log_file)
    if not ours.is_absolute() or not theirs.is_absolute():
        return settings.plugin_log_file
    return (
        str(ours.parent / theirs.name) if ours.parent.name == theirs.parent.name else settings.plugin_log_file
    )


async def _run(settings: Settings) -> None:
    await Startup(settings).run()
