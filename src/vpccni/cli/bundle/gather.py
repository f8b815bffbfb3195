"""Everything for a bundle, as it is now; what cannot be had is left out and named."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from vpccni.cli.agent_view import ask, known_settings
from vpccni.cli.bundle.archive import AGENT, DOCTOR, HOST, LOGS, PODS, SUBNETS
from vpccni.cli.bundle.found import Found
from vpccni.cli.doctor.diagnose import diagnose
from vpccni.cli.doctor.diagnose import to_plain as diagnosis
from vpccni.cli.doctor.gather.cni_files import first_there
from vpccni.cli.doctor.gather.everything import Where, gather
from vpccni.cli.explain.ask import subnet_by_ec2
from vpccni.cli.explain.subnet import to_plain as subnet_plain
from vpccni.cli.pods.look import look

ASKED = ("/v1/enis", "/v1/ipamd-env-settings", "/v1/networkutils-env-settings", "/v2/status", "/v2/pods", "/v2/decisions",
         "/v2/reconcile")  # fmt: skip
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "ip-rule.txt": ("ip", "rule"),
    "ip-route.txt": ("ip", "route", "show", "table", "all"),
    "ip-6-route.txt": ("ip", "-6", "route", "show", "table", "all"),
    "ip-link.txt": ("ip", "-d", "link"),
    "ip-addr.txt": ("ip", "-br", "addr"),
    "iptables-save.txt": ("iptables-save",),
    "nft.txt": ("nft", "list", "ruleset"),
    "sysctl.txt": (
        "sysctl",
        "-a",
        "--pattern",
        r"^net\.ipv4\.(ip_forward|conf\..*\.rp_filter)|^net\.netfilter",
    ),
}
LOG_FOLDER = "var/log/aws-routed-eni"
"""Below the host's root; the setting names it as the agent's container sees it."""
TIMEOUT = 20.0
TAIL_BYTES = 256 * 1024
"""The end of each log that is taken: about two thousand lines."""
MOST_TEXT = 1024 * 1024
"""Bytes of a command's output that are taken."""


def everything(where: Where) -> Found:
    """Ask the agent, the kernel, EC2 and the files. Takes seconds; changes nothing."""
    found = Found()
    settings = known_settings(where.run_dir, os.environ).settings
    for path in ASKED:
        found.take(f"{AGENT}{path}.json", lambda path=path: ask(settings.introspection_address, path))  # type: ignore[misc]
    found.take(PODS, lambda: [row.as_json() for row in look(where.run_dir)])
    found.take(DOCTOR, lambda: diagnosis(diagnose(gather(where, os.environ)), ()))
    status = found.plains.get(f"{AGENT}/v2/status.json")
    if status is not None and where.use_ec2 and not settings.imds_only:
        for subnet in sorted({eni["subnet"] for pool in status["pools"] for eni in pool["enis"]}):
            found.take(
                f"{SUBNETS}/{subnet}.json",
                lambda subnet=subnet: subnet_plain(subnet_by_ec2(subnet, settings, where.ec2, where.imds)),  # type: ignore[misc]
            )
    for name, command in COMMANDS.items():
        _run(found, f"{HOST}/{name}", command)
    for log in (settings.log_file, settings.plugin_log_file):
        if log.startswith("/"):
            _tail(found, first_there(Path(log).parent, where.root / LOG_FOLDER) / Path(log).name)
    _conflists(found, where.root / "etc/cni/net.d")
    return found


def _run(found: Found, name: str, command: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        found.missing[name] = str(error)
        return
    if done.returncode != 0 and not done.stdout:
        found.missing[name] = done.stderr.strip() or f"{command[0]}: exit status {done.returncode}"
        return
    found.texts[name] = done.stdout[:MOST_TEXT]


def _tail(found: Found, path: Path) -> None:
    """Whole lines of a log's end."""
    name = f"{LOGS}/{path.name}"
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except OSError as error:
        found.missing[name] = str(error)
        return
    found.texts[name] = text.partition("\n")[2] if size > TAIL_BYTES else text


def _conflists(found: Found, directory: Path) -> None:
    for file in sorted(directory.glob("*.conf*")):
        try:
            found.texts[f"{HOST}/net.d/{file.name}"] = file.read_text(errors="replace")
        except OSError as error:
            found.missing[f"{HOST}/net.d/{file.name}"] = str(error)
