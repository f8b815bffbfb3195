"""Whether a lab's books agree: EC2, each node's kernel, each agent's checkpoint and the pods that run.

Pure: it compares what `evidence.py` has gathered from outside, and knows both layouts. The original's (spec 4.3, 5.2): rule 512 to each
pod, rule 1536 from each pod of a secondary ENI, a route to each pod by its veth. The compact one: one rule 512 to the pods' own table, which
has the routes; an nft map from a pod's address to its ENI's chain, whose mark leads by a rule 1536 to the ENI's table. In both: rule 32765
from each secondary ENI.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from vpccni.ipam.values import Address, Network

OURS = "aws-K8S-"
"""How the description of an agent's ENI begins (spec 6.10)."""
MAIN, PODS = "254", "20512"
"""The tables with the routes to pods, in the original's layout and in the compact one."""
ANYWHERE = "None"
"""The destination of a rule that does not look at it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    where: str
    what: str

    def as_json(self) -> dict[str, str]:
        """For people and programs."""
        return {"where": self.where, "what": self.what}


@dataclass(frozen=True, slots=True)
class Eni:
    """As DescribeNetworkInterfaces has it."""

    id: str
    mac: str
    status: str
    description: str
    instance_id: str | None
    device_index: int | None
    primary: IPv4Address
    secondary: tuple[IPv4Address, ...] = ()
    prefixes: tuple[Network, ...] = ()
    """Of either family."""

    def holds(self, address: Address) -> bool:
        """Whether pods may have the address from it."""
        return address in self.secondary or any(address in prefix for prefix in self.prefixes)

    @property
    def addresses(self) -> int:
        """How many pods' addresses it has."""
        return len(self.secondary) + sum(prefix.num_addresses for prefix in self.prefixes)


@dataclass(frozen=True, slots=True)
class Pod:
    """As the node's runtime has it."""

    name: str
    container_id: str
    address: Address
    host_veth: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy rule of the pods' family."""

    priority: int
    source: str
    destination: str
    table: str
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a node's kernel has."""

    rules: tuple[Rule, ...] = ()
    pod_routes: tuple[tuple[str, str], ...] = ()
    """Destination and device of each route of the main table by a host veth."""
    compact_routes: tuple[tuple[str, str], ...] = ()
    """The same, of the table that the compact layout has for pods."""
    sources: tuple[tuple[str, str], ...] = ()
    """Source address and chain of each element of the compact layout's map."""
    marks: tuple[tuple[str, int], ...] = ()
    """Each of those chains and the mark that it sets."""
    veths: tuple[str, ...] = ()
    """Host veths, those on their way out included."""
    macs: tuple[str, ...] = ()
    """Of the links eth0, eth1 and so on."""
    namespaces: int = 0
    """Pods' network namespaces."""


@dataclass(frozen=True, slots=True)
class Books:
    """What an agent has written down and says of itself."""

    allocations: tuple[tuple[str, Address], ...] = ()
    """Container id and address of each entry of the checkpoint, the journal included."""
    notes: int = 0
    """Deletions that the plugin has left for the agent to work off."""
    problem: str = ""
    """Why the checkpoint could not be read."""
    total: int | None = None
    """Addresses in the pool, by the agent's metrics; None: it does not answer."""
    assigned: int | None = None
    enis: int | None = None


@dataclass(frozen=True, slots=True)
class NodeEvidence:
    """Everything about one node."""

    name: str
    instance_id: str
    pods: tuple[Pod, ...]
    kernel: Kernel
    books: Books
    compact: bool = False
    """Which layout its agent was told to make."""
    agent_down: bool = False
    """Somebody has ended its agent and left it so: nothing is asked of it then."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything about one lab."""

    enis: tuple[Eni, ...]
    nodes: tuple[NodeEvidence, ...] = field(default=())


def judge(evidence: Evidence) -> list[Finding]:
    """What is not as it should be in a lab that has come to rest; empty if all agrees."""
    return [*_ec2(evidence), *(f for node in evidence.nodes for f in _node(node, evidence.enis))]


def _ec2(evidence: Evidence) -> Iterator[Finding]:
    instances = {node.instance_id for node in evidence.nodes}
    for eni in evidence.enis:
        if eni.status in {"attaching", "detaching", "pending"}:
            yield Finding("EC2", f"{eni.id} is {eni.status}")
        if eni.instance_id is None and eni.description.startswith(OURS):
            yield Finding("EC2", f"{eni.id} ({eni.description}) is on no instance: leaked")
    networks = Counter(
        str(network)
        for eni in evidence.enis
        if eni.instance_id in instances
        for network in (eni.primary, *eni.secondary, *eni.prefixes)
    )
    for network, count in networks.items():
        if count > 1:
            yield Finding("EC2", f"{network} is on {count} ENIs")
    pods = Counter(pod.address for node in evidence.nodes for pod in node.pods)
    for address, count in pods.items():
        if count > 1:
            yield Finding("pods", f"{count} pods have {address}")


def _node(node: NodeEvidence, enis: Sequence[Eni]) -> Iterator[Finding]:
    held = [eni for eni in enis if eni.instance_id == node.instance_id]
    for text in (*_kernel(node, held), *_checkpoint(node), *_pool(node, held)):
        yield Finding(node.name, text)


def _kernel(node: NodeEvidence, held: Sequence[Eni]) -> Iterator[str]:
    kernel, pods = node.kernel, node.pods
    yield from _differ("its links and EC2's ENIs by MAC", kernel.macs, (eni.mac for eni in held))
    homes: dict[Address, Eni] = {}
    for pod in pods:
        home = next((eni for eni in held if eni.holds(pod.address)), None)
        if home is None:
            yield f"pod {pod.name} has {pod.address}, which EC2 has on no ENI of the node"
        else:
            homes[pod.address] = home
    yield from _differ("host veths", kernel.veths, (pod.host_veth for pod in pods))
    yield from _ways_to_pods(node)
    ways = [(str(address), _table(eni)) for address, eni in homes.items() if eni.device_index]
    yield from _differ("rules from pods", _pods_rules(kernel), () if node.compact else ways)
    yield from _differ("ways from pods by their marks", _marked_ways(kernel), ways if node.compact else ())
    yield from _differ(
        "rules from ENIs",
        ((rule.source, rule.table) for rule in kernel.rules if rule.priority == 32765),
        ((str(eni.primary), _table(eni)) for eni in held if eni.device_index),
    )
    if kernel.namespaces != len(pods):
        yield f"{kernel.namespaces} network namespaces for {len(pods)} pods"


def _ways_to_pods(node: NodeEvidence) -> Iterator[str]:
    kernel = node.kernel
    routes = [(str(pod.address), pod.host_veth) for pod in node.pods]
    yield from _differ("routes to pods", kernel.pod_routes, () if node.compact else routes)
    yield from _differ(f"routes of table {PODS}", kernel.compact_routes, routes if node.compact else ())
    yield from _differ(
        "rules to pods",
        ((rule.destination, rule.table) for rule in kernel.rules if rule.priority == 512),
        [(ANYWHERE, PODS)] if node.compact else ((str(pod.address), MAIN) for pod in node.pods),
    )


def _pods_rules(kernel: Kernel) -> Iterator[tuple[str, str]]:
    return ((rule.source, rule.table) for rule in kernel.rules if rule.priority == 1536 and not rule.mark)


def _marked_ways(kernel: Kernel) -> Iterator[tuple[str, str]]:
    """Address and table, as a packet finds it: by the map, by the chain's mark, by the mark's rule."""
    marks = dict(kernel.marks)
    tables = {rule.mark: rule.table for rule in kernel.rules if rule.priority == 1536 and rule.mark}
    return ((address, tables.get(marks.get(chain, 0), "nowhere")) for address, chain in kernel.sources)


def _table(eni: Eni) -> str:
    return str((eni.device_index or 0) + 1)


def _checkpoint(node: NodeEvidence) -> Iterator[str]:
    books = node.books
    if books.problem:
        yield f"its checkpoint can't be read: {books.problem}"
        return
    yield from _differ(
        "checkpoint entries",
        ((container[:12], str(address)) for container, address in books.allocations),
        ((pod.container_id[:12], str(pod.address)) for pod in node.pods),
    )
    if books.notes:
        yield f"{books.notes} deletions wait for the agent"


def _pool(node: NodeEvidence, held: Sequence[Eni]) -> Iterator[str]:
    if node.agent_down:
        return
    books = node.books
    if books.total is None:
        yield "its agent does not answer"
        return
    for what, says, others in (
        ("addresses", books.total, sum(eni.addresses for eni in held)),
        ("ENIs", books.enis, len(held)),
        ("assigned addresses", books.assigned, len(node.pods)),
    ):
        if says != others:
            yield f"its agent counts {says} {what}, EC2 and the runtime {others}"


def _differ(what: str, found: Iterable[object], wanted: Iterable[object]) -> Iterator[str]:
    has, wants = Counter(map(_word, found)), Counter(map(_word, wanted))
    if leaked := has - wants:
        yield f"{what}: too many: {', '.join(sorted(leaked.elements()))}"
    if missing := wants - has:
        yield f"{what}: missing: {', '.join(sorted(missing.elements()))}"


def _word(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
