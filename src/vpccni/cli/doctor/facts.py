"""Everything that the checks judge by, as it was gathered; each part by itself may be unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TypeVar

from vpccni.cli.agent_view import KnownSettings
from vpccni.cli.cloud.values import NodeEni
from vpccni.cli.kernel.source_check import DeviceSettings
from vpccni.cli.kernel.values import Network
from vpccni.cli.netfilter.read import Filters
from vpccni.cli.unknown import Unknown
from vpccni.ipam.values import Assignment

T = TypeVar("T")


class NotKnownError(Exception):
    """A check cannot be made; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Routing:
    """The node's network namespace."""

    network: Network
    later: Network
    """The same after the checkpoint was read: what a pod that comes or goes changed differs between the two."""
    settings: Mapping[str, DeviceSettings] = field(default_factory=dict, hash=False)
    """By device."""
    forwarding: bool = True
    """net.ipv4.ip_forward."""


@dataclass(frozen=True, slots=True)
class Conntrack:
    """The table of connections."""

    count: int
    most: int


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that the kernel must be able to do."""

    name: str
    present: bool | None
    """None: neither tried nor found in the kernel's configuration."""
    how: str
    """How it is known, or why not."""


@dataclass(frozen=True, slots=True)
class LinkFile:
    """A systemd .link file: which devices it is for, and what it does to their MAC."""

    path: str
    names: tuple[str, ...] = ()
    """Patterns of OriginalName; empty: any."""
    kinds: tuple[str, ...] = ()
    """Kind or Driver; empty: any."""
    narrower: bool = False
    """It asks for more than a veth can be said to have."""
    mac_policy: str = ""


@dataclass(frozen=True, slots=True)
class NetworkDaemons:
    """What else on the host thinks that devices, routes and rules are its own."""

    network_manager: bool = False
    """It runs."""
    unmanaged: tuple[str, ...] = ()
    """Patterns of devices that it was told to leave alone."""
    networkd: bool = False
    """systemd-networkd runs."""
    keeps_foreign_rules: bool = False
    keeps_foreign_routes: bool = False
    udev: bool = False
    """systemd-udevd runs."""
    link_files: tuple[LinkFile, ...] = ()
    """In the order in which udev looks."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A network configuration where the runtime looks for one."""

    name: str
    plugins: tuple[Mapping[str, object], ...] = field(default=(), hash=False)
    problem: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True)
class PluginFile:
    """A plugin's binary."""

    path: Path
    executable: bool
    interpreter: str = ""
    """What its first line names."""
    interpreter_there: bool = True


@dataclass(frozen=True, slots=True)
class RunDir:
    """Where the agent's sockets and its checkpoint are."""

    path: Path
    mode: int
    owner: int
    free_bytes: int
    free_files: int | None
    """None: the file system does not count them."""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class CniFiles:
    """The runtime's side."""

    directory: Path
    configs: tuple[ConfigFile, ...]
    """By name, as the runtime sorts them."""
    plugins: Mapping[str, PluginFile] = field(default_factory=dict, hash=False)
    """Those that are there, of the types that the first configuration names."""


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What the agent's sockets said."""

    sockets: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    """Socket → why nobody answers there; None if somebody does."""
    not_ready: tuple[str, ...] | None = ()
    """Why /readyz says no; None: it was not asked, for it does not answer."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether the node's role may do one of the agent's calls."""

    action: str
    allowed: bool | None
    """None: EC2 said something else."""
    said: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it."""

    settings: KnownSettings
    routing: Routing | Unknown
    filters: Filters | Unknown
    conntrack: Conntrack | Unknown
    features: tuple[Feature, ...] | Unknown
    daemons: NetworkDaemons | Unknown
    cni: CniFiles | Unknown
    run_dir: RunDir | Unknown
    agent: AgentFacts | Unknown
    assignments: tuple[Assignment, ...] | Unknown
    primary_mac: str | Unknown
    """By IMDS."""
    enis: tuple[NodeEni, ...] | Unknown
    enis_by_ec2: bool
    """Whether EC2 told of them: IMDS may lag by tens of seconds."""
    imds: str | None
    """Why the metadata service does not serve; None: it does."""
    hop_limit: int | Unknown
    permissions: tuple[Permission, ...] | Unknown
    forwarding6: bool | None = None
    """Of IPv6, where pods are of it."""
    ways6: Mapping[IPv6Address, str] | Unknown = field(default_factory=dict)
    """By which device packets to single IPv6 addresses go; of nodes whose pods are of IPv6."""

    @property
    def primary(self) -> str | None:
        """The primary ENI's device, by its MAC or else by the default route; None if there is none."""
        network = known(self.routing).network
        if not isinstance(self.primary_mac, Unknown):
            return next((device.name for device in network.devices if device.mac == self.primary_mac), None)
        defaults = [
            route
            for route in network.routes
            if route.table == 254 and route.destination.prefixlen == 0 and route.hops
        ]
        first = min(defaults, key=lambda route: route.metric, default=None)
        return network.name_of(first.hops[0].index) if first is not None else None

    @property
    def addresses(self) -> dict[IPv4Address, str]:
        """Pods' IPv4 addresses → namespace and name."""
        return {
            each.address: str(each.pod)
            for each in known(self.assignments)
            if isinstance(each.address, IPv4Address)
        }


def known(fact: T | Unknown) -> T:
    """The fact. Raises NotKnownError."""
    if isinstance(fact, Unknown):
        raise NotKnownError(fact.why)
    return fact
