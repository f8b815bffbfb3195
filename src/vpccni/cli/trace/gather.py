"""Reads the scene of a trace: the node's kernel, the pod's namespace, the agent, IMDS and EC2."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from vpccni.agent.settings import Settings
from vpccni.aws.imds import Imds, ImdsError, node_facts
from vpccni.cli.agent_view import AgentSilentError, PodOf, pods_on_node
from vpccni.cli.cloud.ec2 import Questions
from vpccni.cli.cloud.read import enis_by_ec2, enis_by_imds, read_vpc
from vpccni.cli.cloud.values import NodeEni, Vpc
from vpccni.cli.errors import CliError
from vpccni.cli.kernel.fib import UNSPECIFIED
from vpccni.cli.kernel.namespaces import inside, namespace_of
from vpccni.cli.kernel.read import read_network
from vpccni.cli.kernel.sysctls import device_settings
from vpccni.cli.kernel.values import Network
from vpccni.cli.netfilter.read import read_filters
from vpccni.cli.trace.scene import Scene
from vpccni.cli.trace.steps import Question
from vpccni.cli.trace.tell import veth_to
from vpccni.cli.unknown import Unknown
from vpccni.linux.rtnl import Netlink


@dataclass(frozen=True, slots=True)
class Asked:
    """The command's arguments."""

    source: str
    destination: str
    protocol: str
    port: int
    use_ec2: bool = True
    imds: str | None = None
    ec2: str | None = None


def read_scene(asked: Asked, settings: Settings) -> tuple[Scene, Question, tuple[str, ...]]:
    """What to judge, and what could not be read of it. Raises CliError, OSError."""
    if settings.ipv6:
        raise CliError(
            "vpc-cni trace follows packets of IPv4, and this node's pods are of IPv6: nothing translates theirs; "
            "see ip -6 route get, ip -6 rule, and vpc-cni pods"
        )
    missed: list[str] = []
    try:
        pods = pods_on_node(settings.introspection_address, settings.checkpoint)
    except AgentSilentError as error:
        pods, said = (), str(error)
        missed.append(said)
    with Netlink() as netlink:
        host = read_network(netlink)
        question = _question(asked, host, pods, missed)
        pod, unread = _pod_network(netlink, host, question.source) if question.pod is not None else (None, "")
    filters = read_filters()
    missed += filters.not_read
    enis, vpc = _cloud(asked, settings, question.destination)
    names = [device.name for device in host.devices]
    scene = Scene(
        host=host,
        ruleset=filters.ruleset,
        vpc=vpc,
        pod=pod,
        pod_unread=unread,
        settings=device_settings(names),
        enis=enis,
        pods={each.address: each.name for each in pods},
    )
    return scene, question, tuple(missed)


def _question(asked: Asked, host: Network, pods: tuple[PodOf, ...], missed: Iterable[str]) -> Question:
    source, pod = _sender(asked.source, host, pods, missed)
    return Question(source, _destination(asked.destination, pods), asked.protocol, asked.port, pod)


def _sender(
    name: str, host: Network, pods: tuple[PodOf, ...], missed: Iterable[str]
) -> tuple[IPv4Address, str | None]:
    if name in ("node", "host"):
        return UNSPECIFIED, None
    try:
        address = IPv4Address(name)
    except ValueError:
        wanted = name if "/" in name else f"default/{name}"
        found = [pod for pod in pods if pod.name == wanted]
        if not found:
            there = ", ".join(pod.name for pod in pods[:20]) or "none"
            more = "".join(f"; {text}" for text in missed)
            raise CliError(
                f"no pod {wanted} has an address on this node (those that have: {there}){more}"
            ) from None
        return found[0].address, wanted
    if host.holder(address) is not None:
        return address, None
    known = next((pod.name for pod in pods if pod.address == address), None)
    if known is None and veth_to(host, address) is None:
        raise CliError(f"{address} is neither this node's own address nor routed to a pod here")
    return address, known or f"of unknown name at {address}"


def _destination(text: str, pods: tuple[PodOf, ...]) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        found = next((pod for pod in pods if pod.name == (text if "/" in text else f"default/{text}")), None)
    if found is not None:
        return found.address
    try:
        return IPv4Address(socket.getaddrinfo(text, None, socket.AF_INET)[0][4][0])
    except OSError as error:
        raise CliError(f"{text} is no address, no pod of this node and no name: {error}") from None


def _pod_network(netlink: Netlink, host: Network, address: IPv4Address) -> tuple[Network | None, str]:
    device = veth_to(host, address)
    if device is None or device.peer_namespace is None:
        return None, "its veth pair leads to no namespace that the kernel would name"
    try:
        fd = namespace_of(netlink, device.peer_namespace)
        if fd is None:
            return None, "no file in /run/netns and no process shows it"
        try:
            return inside(fd, _read_here), ""
        finally:
            os.close(fd)
    except OSError as error:
        return None, str(error)


def _read_here() -> Network:
    with Netlink() as netlink:
        return read_network(netlink)


def _cloud(asked: Asked, settings: Settings, destination: IPv4Address) -> tuple[tuple[NodeEni, ...], Vpc]:
    imds = Imds(asked.imds or settings.imds_endpoint, timeout=2.0)
    try:
        node = node_facts(imds)
        enis = enis_by_imds(imds)
    except ImdsError as error:
        silent = Unknown(str(error))
        return (), Vpc(silent, silent, silent, silent, silent)
    finally:
        imds.close()
    known = enis if not isinstance(enis, Unknown) else ()
    if not asked.use_ec2:
        return known, read_vpc(None, node, known, destination, "EC2 was not asked (--no-ec2)")
    questions = Questions(node.region, asked.ec2 or settings.ec2_endpoint)
    try:
        by_ec2 = enis_by_ec2(questions, node.instance_id, known)
        if isinstance(by_ec2, Unknown):
            return known, read_vpc(None, node, known, destination, by_ec2.why)
        return by_ec2, read_vpc(questions, node, by_ec2, destination)
    finally:
        questions.close()
