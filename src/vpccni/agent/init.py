"""The init container's step: the stock plugins, and kernel parameters that the agent may not set (spec 1.2).

The agent is not privileged, this is. May be run again at any time; what is right is not written.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from vpccni.agent.files import write_whole
from vpccni.agent.setting_texts import TRUE_WORDS
from vpccni.aws.imds import Imds, ImdsError, ImdsPort
from vpccni.linux.eni import wait_for_link
from vpccni.linux.sysctl import settle_sysctls

DEVICE_WAIT = 15.0
"""Seconds for the primary ENI's device to appear (spec 5.2)."""
METADATA_WAIT, METADATA_PAUSE = 30.0, 1.0
PLUGINS = Path("/init/plugins")
"""Where the init image has loopback, portmap, bandwidth, host-local, tuning and the other stock plugins."""
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
PRIVILEGED = (
    "this step needs a privileged container (securityContext.privileged: true), which may write /proc/sys"
)


def wanted_sysctls(primary: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The parameters below /proc/sys, by the environment; `primary` is the name of the primary ENI's device."""

    def asked(name: str) -> bool:
        return environ.get(name) in TRUE_WORDS

    wanted = {
        # a NodePort's reply path may differ from its way in
        f"net/ipv4/conf/{primary}/rp_filter": "2",
        # early demux gives a probe's packets to kubelet's socket before the pod's own rules are asked
        "net/ipv4/tcp_early_demux": "0" if asked("DISABLE_TCP_EARLY_DEMUX") else "1",
    }
    if asked("ENABLE_IPv6"):
        wanted["net/ipv6/conf/all/disable_ipv6"] = "0"
    if asked("ENABLE_IPv6") or asked("ENABLE_V6_EGRESS"):
        wanted["net/ipv6/conf/all/forwarding"] = "1"
        # a router takes no advertisements otherwise, and the ENI's own route is one
        wanted[f"net/ipv6/conf/{primary}/accept_ra"] = "2"
    return wanted


def install_stock_plugins(plugins: Path, bin_dir: Path) -> list[str]:
    """Copy the image's plugins to the host; returns the changes in words. Raises OSError.

    Another version of a plugin is replaced, as the original does it. Outside of the image there are none: the host has its
    own.
    """
    if not plugins.is_dir():
        return []
    copied = [
        path.name
        for path in sorted(plugins.iterdir())
        if write_whole(bin_dir / path.name, path.read_bytes(), 0o755)
    ]
    return [f"installed {', '.join(copied)} in {bin_dir}"] if copied else []


def prepare(imds: ImdsPort, environ: Mapping[str, str]) -> list[str]:
    """Set them; returns the changes in words. Raises OSError with all that could not be set, or ImdsError."""
    primary = wait_for_link(_primary_mac(imds), DEVICE_WAIT).name
    changes: list[str] = []
    failed: list[OSError] = []
    for path, value in wanted_sysctls(primary, environ).items():
        try:
            changes += settle_sysctls({path: value})
        except OSError as error:
            failed.append(error)
    if failed:
        advice = f": {PRIVILEGED}" if any(error.errno in READ_ONLY for error in failed) else ""
        raise OSError("; ".join(map(str, failed)) + advice)
    return changes


def main() -> None:
    """Prepare the node; exits with 1 if that could not be done, after saying why."""
    try:
        bin_dir = Path(os.environ.get("HOST_CNI_BIN_PATH") or "/host/opt/cni/bin")
        changes = install_stock_plugins(PLUGINS, bin_dir)
        changes += prepare(Imds(os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")), os.environ)
    except (OSError, ImdsError) as error:
        sys.exit(f"the node is not prepared: {error}")
    for line in changes or ["everything was prepared already"]:
        sys.stdout.write(f"{line}\n")


def _primary_mac(imds: ImdsPort) -> str:
    deadline = time.monotonic() + METADATA_WAIT
    while True:
        try:
            mac = imds.get("/latest/meta-data/mac")
        except ImdsError:
            if time.monotonic() > deadline:
                raise
            time.sleep(METADATA_PAUSE)
            continue
        if mac:
            return mac.strip()
        raise OSError("instance metadata does not tell the primary ENI's MAC")
