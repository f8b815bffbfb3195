"""Every pair of ends, and the source address that the far end sees, by SNAT mode; docs/paths.md is this table."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


class Seen(enum.Enum):
    """Whom the far end takes for the sender."""

    POD = "the pod"
    NODE = "the node"
    PUBLIC = "the node's public address"
    GATEWAY = "the NAT gateway's public address"
    CLIENT = "the client"
    NOBODY = "nothing arrives"
    ANSWERED = "answered"
    """Who was seen cannot be told."""


@dataclass(frozen=True, slots=True)
class Way:
    """What comes of it in one mode."""

    seen: Seen
    device: str = ""
    """The node's device by which it leaves and by which its replies come back (for what comes from outside: comes in, and its
    replies leave); none if it stays on the node."""

    def __str__(self) -> str:
        return f"{self.seen.value}, {self.device}" if self.device else self.seen.value


@dataclass(frozen=True, slots=True)
class Mode:
    """How the agents are set."""

    name: str
    env: Mapping[str, str] = field(default_factory=dict)


EXCLUDED = "10.20.0.0/16,10.50.0.0/16"
"""The peered VPC and the site."""
DEFAULT = Mode("default")
HASHRANDOM = Mode("RANDOMIZESNAT=hashrandom", {"AWS_VPC_K8S_CNI_RANDOMIZESNAT": "hashrandom"})
FIXED_PORTS = Mode("RANDOMIZESNAT=none", {"AWS_VPC_K8S_CNI_RANDOMIZESNAT": "none"})
EXCLUDE = Mode("EXCLUDE_SNAT_CIDRS", {"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": EXCLUDED})
EXTERNAL = Mode("EXTERNALSNAT=true", {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"})
MODES = (DEFAULT, HASHRANDOM, FIXED_PORTS, EXCLUDE, EXTERNAL)


@dataclass(frozen=True, slots=True)
class Row:
    """One pair of ends."""

    sender: str
    target: str
    default: Way
    exclude: Way
    external: Way
    protocols: tuple[str, ...] = ("tcp", "udp", "icmp")

    @property
    def translated(self) -> bool:
        """Whether its source is translated on the node, in the default mode."""
        return self.default.seen in (Seen.NODE, Seen.PUBLIC, Seen.GATEWAY)

    def way(self, mode: Mode) -> Way:
        """In that mode."""
        return {EXCLUDE.name: self.exclude, EXTERNAL.name: self.external}.get(mode.name, self.default)


FIRST = "a pod on the primary ENI"
SECOND = "a pod on the second ENI"
HOST = "the node, a hostNetwork pod"
BEHIND = "a pod of a node in a private subnet"
SERVED = ("tcp", "udp")
NOBODY = Way(Seen.NOBODY)

POD_TARGETS = (
    "a pod on the same ENI",
    "a pod on the other ENI of its node",
    "its node",
)
HOST_TARGETS = ("a pod on its primary ENI", "a pod on its second ENI")
NEAR = (
    "a pod of another node in the zone",
    "a pod in another zone",
    "another node",
    "an instance of the VPC",
    "an instance in a private subnet",
)
NOT_VPC = ("an instance of a peered VPC", "a host on site, by VPN")
FAR = "an instance of a VPC behind the peered one"
INTERNET = "the internet"
IMDS = "instance metadata"
SERVICE = "a service, answered by a pod in another zone"
OWN_SERVICE = "a service, answered by a pod of its node"
NODE_PORT = "a node port of another node, answered in another zone"

TO_FIRST, TO_SECOND = "a pod on the primary ENI, directly", "a pod on the second ENI, directly"
CLIENTS = ("another node", "an instance of the VPC", "an instance in a private subnet", *NOT_VPC)
LOCAL_PORT = "a node port, answered by a pod on the second ENI (externalTrafficPolicy: Local)"
CLUSTER_PORT = "a node port, answered in another zone (externalTrafficPolicy: Cluster)"
PORT_CLIENTS = ("an instance of the VPC", *NOT_VPC, INTERNET)
BALANCED = "the internet, by a network load balancer"


def rows() -> Iterator[Row]:
    """The table."""
    for sender, device in ((FIRST, "eth0"), (SECOND, "eth1")):
        own = Way(Seen.POD, device)
        for target in POD_TARGETS:
            yield _same(sender, target, Way(Seen.POD))
        for target in NEAR:
            yield _same(sender, target, own)
        for target in NOT_VPC:
            yield Row(sender, target, Way(Seen.NODE, "eth0"), own, own)
        yield _same(sender, FAR, NOBODY)
        public = Way(Seen.PUBLIC, "eth0")
        yield Row(sender, INTERNET, public, public, NOBODY)
        yield _same(sender, IMDS, Way(Seen.ANSWERED), ("tcp",))
        yield _same(sender, SERVICE, own, SERVED)
        yield _same(sender, OWN_SERVICE, Way(Seen.POD), SERVED)
        yield _same(sender, NODE_PORT, Way(Seen.ANSWERED, device), SERVED)
    node = Way(Seen.NODE, "eth0")
    for target in HOST_TARGETS:
        yield _same(HOST, target, Way(Seen.NODE))
    for target in (*NEAR, *NOT_VPC):
        yield _same(HOST, target, node)
    yield _same(HOST, FAR, NOBODY)
    yield _same(HOST, INTERNET, Way(Seen.PUBLIC, "eth0"))
    yield _same(HOST, IMDS, Way(Seen.ANSWERED), ("tcp",))
    yield _same(HOST, SERVICE, node, SERVED)
    for target in ("an instance of the VPC", "an instance in a private subnet", "a pod in another zone"):
        yield _same(BEHIND, target, Way(Seen.POD, "eth0"))
    for target in NOT_VPC:
        yield Row(BEHIND, target, node, Way(Seen.POD, "eth0"), Way(Seen.POD, "eth0"))
    yield _same(BEHIND, INTERNET, Way(Seen.GATEWAY, "eth0"))
    for target, device in ((TO_FIRST, "eth0"), (TO_SECOND, "eth1")):
        for client in CLIENTS:
            yield _same(client, target, Way(Seen.CLIENT, device))
        yield _same(INTERNET, target, NOBODY)
    for client in PORT_CLIENTS:
        yield _same(client, LOCAL_PORT, Way(Seen.CLIENT, "eth0"), SERVED)
        yield _same(client, CLUSTER_PORT, Way(Seen.NODE, "eth0"), SERVED)
    yield _same(BALANCED, LOCAL_PORT, Way(Seen.CLIENT, "eth0"), SERVED)


def _same(sender: str, target: str, way: Way, protocols: tuple[str, ...] = ("tcp", "udp", "icmp")) -> Row:
    return Row(sender, target, way, way, way, protocols)


def render() -> str:
    """As Markdown."""
    head = "| From | To | default, `RANDOMIZESNAT` of any value | `EXCLUDE_SNAT_CIDRS` of the far network | `EXTERNALSNAT=true` |"
    lines = [head, "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {row.sender} | {row.target} | {row.default} | {row.exclude} | {row.external} |" for row in rows()
    ]
    return "\n".join(lines)
