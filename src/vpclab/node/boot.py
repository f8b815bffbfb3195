"""An instance's boot: what its image holds, its names, its primary interface."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from pathlib import Path

from vpclab.aws.services import host_names
from vpclab.fabric import AWS_API, Place, configure_primary, node_place
from vpclab.node.conflist import CONF_DIR
from vpclab.node.plugin_call import BIN_DIR
from vpclab.region import Region
from vpclab.region.study import CLUSTER

STOCK_PLUGINS = Path("/usr/lib/cni")
"""Where Debian's containernetworking-plugins are."""
OF_THE_LAB = "# the lab's names\n"
"""What follows this line in /etc/hosts is the lab's."""
WORKERS = 10
"""Calls that a machine runs at once: eight pods may be added at the same time."""


async def boot_place(name: str, root: Path) -> Place:
    """A machine's corner, before its ENI is plugged in."""
    return await asyncio.to_thread(node_place, name, root, workers=WORKERS)


async def configure_network(place: Place, instance_id: str, region: Region) -> None:
    """What the instance's first boot does to its primary ENI."""
    primary = region.enis_of(instance_id)[0]
    await configure_primary(place, primary, region.subnets[primary.subnet_id])


async def write_hosts(place: Place, region: str, machines: Iterable[tuple[IPv4Address, str]]) -> None:
    """Names in /etc/hosts: AWS's API, and every machine by the lab's name and by the one that EC2 gives it.

    What an earlier call wrote is written anew; other lines stay.
    """
    lines = [f"{AWS_API} {' '.join(host_names(region))}"]
    lines += [f"{address} {name} {ec2_name(address, region)}" for address, name in machines]
    await place.call(_rewrite, Path("/etc/hosts"), "".join(f"{line}\n" for line in lines))


async def install_image(place: Place) -> None:
    """What a node's image holds: the stock CNI plugins, a directory for logs."""
    await place.call(_install)


def agent_environment(name: str, region: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the agent of the node `name`; `extra` is the user's and wins."""
    return {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": "/root",
        "AWS_EC2_ENDPOINT": f"http://ec2.{region}.amazonaws.com",
        "HOST_CNI_BIN_PATH": str(BIN_DIR),
        "HOST_CNI_CONFDIR_PATH": str(CONF_DIR),
        "AWS_VPC_K8S_CNI_LOG_FILE": "/var/log/aws-routed-eni/ipamd.log",
        "ENABLE_IPv4": "true",
        "CLUSTER_NAME": CLUSTER,
        "MY_NODE_NAME": name,
        **extra,
    }


def ec2_name(address: IPv4Address, region: str) -> str:
    """The private DNS name that EC2 gives an instance."""
    return f"ip-{str(address).replace('.', '-')}.{region}.compute.internal"


def _rewrite(path: Path, text: str) -> None:
    before, _, _ = path.read_text().partition(OF_THE_LAB)
    fresh = path.with_name(f"{path.name}.lab")
    fresh.write_text(f"{before}{OF_THE_LAB}{text}")
    fresh.rename(path)


def _install() -> None:
    Path("/var/log/aws-routed-eni").mkdir(parents=True, exist_ok=True)
    BIN_DIR.mkdir(parents=True, exist_ok=True)
    for plugin in STOCK_PLUGINS.glob("*"):
        with contextlib.suppress(FileExistsError):
            (BIN_DIR / plugin.name).symlink_to(plugin)
