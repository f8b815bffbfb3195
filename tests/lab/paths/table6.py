"""The pairs of ends of clusters with IPv6, and whom the far end sees; a part of docs/paths.md."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.paths.table import NOBODY, Seen, Way

ALL = ("tcp", "udp", "icmp")
SERVED = ("tcp", "udp")
POD6 = "a pod of an IPv6 cluster"
HOST6 = "the node of an IPv6 cluster"
POD4 = "a pod of an IPv4 cluster with ENABLE_V6_EGRESS"


@dataclass(frozen=True, slots=True)
class Row6:
    """One pair of ends; `sender` and `target` are what the test calls them."""

    sender: str
    target: str
    words: str
    way: Way
    protocols: tuple[str, ...] = ALL


POD, POD_OUT = Way(Seen.POD), Way(Seen.POD, "eth0")
ROWS = (
    Row6(POD6, "beside", "a pod of its node", POD),
    Row6(POD6, "node1", "its node", POD),
    Row6(POD6, "zone", "a pod in another zone", POD_OUT),
    Row6(POD6, "node2", "another node", POD_OUT),
    Row6(POD6, "bastion", "an instance of the VPC", POD_OUT),
    Row6(POD6, "internet", "the internet, by IPv6", POD_OUT),
    Row6(POD6, "internet by IPv4", "the internet, by IPv4 (`egress-cni`)", Way(Seen.PUBLIC, "eth0")),
    Row6(POD6, "metadata", "instance metadata, `fd00:ec2::254`", Way(Seen.ANSWERED), ("tcp",)),
    Row6(HOST6, "first", "a pod of it", Way(Seen.NODE)),
    Row6(HOST6, "zone", "a pod in another zone", Way(Seen.NODE, "eth0")),
    Row6(HOST6, "internet", "the internet, by IPv6", Way(Seen.NODE, "eth0")),
    Row6("an instance of the VPC", "first", "a pod, directly", Way(Seen.CLIENT, "eth0")),
    Row6("the internet", "first", "a pod, directly, let in by its security group", Way(Seen.CLIENT, "eth0")),
    Row6("the internet", "zone", "a pod, directly, not let in", NOBODY),
)
EGRESS_ROWS = (
    Row6(POD4, "internet", "the internet, by IPv6 (`egress-cni`)", Way(Seen.NODE, "eth0")),
    Row6(POD4, "bastion", "an instance of the VPC, by IPv6", Way(Seen.NODE, "eth0")),
    Row6(POD4, "internet by IPv4", "the internet, by IPv4", Way(Seen.PUBLIC, "eth0")),
)


def render() -> str:
    """As Markdown."""
    lines = ["| From | To | Whom the far end sees, and the node's device |", "| --- | --- | --- |"]
    lines += [f"| {row.sender} | {row.words} | {row.way} |" for row in (*ROWS, *EGRESS_ROWS)]
    return "\n".join(lines)
