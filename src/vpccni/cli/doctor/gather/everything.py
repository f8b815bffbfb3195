"""All facts of a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from vpccni.agent.settings import Settings
from vpccni.cli.agent_view import (
    GRPC_SOCKET,
    PLUGIN_SOCKET,
    AgentSilentError,
    ask,
    connects,
    known_settings,
    read_checkpoint,
)
from vpccni.cli.doctor.facts import AgentFacts, Conntrack, Facts, Routing
from vpccni.cli.doctor.gather.cloud import read_cloud
from vpccni.cli.doctor.gather.cni_files import first_there, read_cni, read_run_dir
from vpccni.cli.doctor.gather.features import probe
from vpccni.cli.doctor.gather.host_files import read_daemons
from vpccni.cli.kernel.read import read_network
from vpccni.cli.kernel.sysctls import device_settings, read_number
from vpccni.cli.kernel.values import Network
from vpccni.cli.netfilter.read import Filters, read_filters
from vpccni.cli.unknown import Unknown
from vpccni.ipam.checkpoint import CheckpointError
from vpccni.ipam.values import MAIN_TABLE, Assignment
from vpccni.linux.family import Family
from vpccni.linux.links import links
from vpccni.linux.routes import routes
from vpccni.linux.rtnl import Netlink

SYS = Path("/proc/sys/net")

SINGLE6 = 128


@dataclass(frozen=True, slots=True)
class Where:
    """Where to look; other than the usual in tests and in the agent's container."""

    root: Path = Path("/")
    """Below it the host's own files: /etc, /usr, /run, /boot."""
    run_dir: Path = Path("/var/run/aws-node")
    imds: str | None = None
    ec2: str | None = None
    use_ec2: bool = True
    probe_kernel: bool = True


def gather(where: Where, environ: Mapping[str, str]) -> Facts:
    """Everything; what cannot be read is unknown, with the reason."""
    settings = known_settings(where.run_dir, environ)
    values = settings.settings
    # in this order: what a pod that starts meanwhile adds to the kernel is seen by one of the two looks only
    first = _network()
    assignments = _assignments(where.run_dir, values)
    second = _network()
    cloud = read_cloud(values, imds=where.imds, ec2=where.ec2, use_ec2=where.use_ec2)
    return Facts(
        settings=settings,
        routing=_routing(first, second),
        filters=_filters(),
        conntrack=_conntrack(),
        features=probe(where.root, try_them=where.probe_kernel),
        daemons=read_daemons(where.root),
        cni=read_cni(
            first_there(values.host_conf_dir, where.root / "etc/cni/net.d"),
            first_there(values.host_bin_dir, where.root / "opt/cni/bin"),
        ),
        run_dir=read_run_dir(where.run_dir),
        agent=_agent(where.run_dir, values),
        assignments=assignments,
        primary_mac=cloud.primary_mac,
        enis=cloud.enis,
        enis_by_ec2=cloud.enis_by_ec2,
        imds=cloud.imds,
        hop_limit=cloud.hop_limit,
        permissions=cloud.permissions,
        forwarding6=bool(read_number(SYS / "ipv6/conf/all/forwarding")) if values.ipv6 else None,
        ways6=_ways6() if values.ipv6 else {},
    )


def _network() -> Network | Unknown:
    try:
        with Netlink() as netlink:
            return read_network(netlink)
    except OSError as error:
        return Unknown(f"the kernel's tables cannot be read: {error}")


def _ways6() -> Mapping[IPv6Address, str] | Unknown:
    try:
        with Netlink() as netlink:
            names = {link.index: link.name for link in links(netlink)}
            return {
                route.destination.network_address: names.get(route.index, "")
                for route in routes(netlink, MAIN_TABLE, Family.IPV6)
                if isinstance(route.destination, IPv6Network) and route.destination.prefixlen == SINGLE6
            }
    except OSError as error:
        return Unknown(f"the kernel's routes of IPv6 cannot be read: {error}")


def _routing(first: Network | Unknown, second: Network | Unknown) -> Routing | Unknown:
    if isinstance(first, Unknown):
        return first
    if isinstance(second, Unknown):
        return second
    names = [device.name for device in first.devices]
    return Routing(first, second, device_settings(names), bool(read_number(SYS / "ipv4/ip_forward")))


def _filters() -> Filters | Unknown:
    found = read_filters()
    return found if found.saved or found.tables else Unknown("; ".join(found.not_read) or "nothing to ask")


def _conntrack() -> Conntrack | Unknown:
    most = read_number(SYS / "netfilter/nf_conntrack_max")
    if not most:
        return Unknown("the kernel does not tell how many connections it tracks")
    return Conntrack(read_number(SYS / "netfilter/nf_conntrack_count"), most)


def _assignments(run_dir: Path, settings: Settings) -> tuple[Assignment, ...] | Unknown:
    try:
        return read_checkpoint(run_dir / settings.checkpoint.name).allocations
    except (CheckpointError, OSError) as error:
        return Unknown(str(error))


def _agent(run_dir: Path, settings: Settings) -> AgentFacts:
    sockets: dict[str, str | None] = {name: connects(run_dir / name) for name in (PLUGIN_SOCKET, GRPC_SOCKET)}
    not_ready: tuple[str, ...] | None = None
    if not settings.disable_introspection:
        try:
            not_ready = tuple(_reasons(ask(settings.introspection_address, "/readyz")))
            sockets["introspection"] = None
        except AgentSilentError as error:
            sockets["introspection"] = str(error)
    return AgentFacts(sockets, not_ready)


def _reasons(said: Any) -> list[str]:
    """Of /readyz."""
    if not isinstance(said, dict) or said.get("ready", True):
        return []
    because = said.get("because") or []
    return [f"{each.get('reason')}: {each.get('detail')}; {each.get('advice')}" for each in because] or [
        f"{said.get('condition')} ({said.get('phase')})"
    ]
