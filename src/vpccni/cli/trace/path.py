"""The way of a packet through the node, and on; pure, over a `Scene`.

The order is the kernel's: the pod's own routes, the veth pair, the chains of prerouting, the choice of the way, the check of the
source, the chains of forward and postrouting, the ENI. What the packet became at one step is what the next one is asked with.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from vpccni.cli.kernel.fib import UNSPECIFIED, Flow, Way, address_kind, look_up
from vpccni.cli.kernel.source_check import source_refused
from vpccni.cli.kernel.values import LOCAL_TABLE, Hop, Kind, Network, PolicyRule, route_text
from vpccni.cli.netfilter.packet import Hook, Packet, Verdict, Walk
from vpccni.cli.trace import tell
from vpccni.cli.trace.beyond import beyond
from vpccni.cli.trace.reply import reply_step
from vpccni.cli.trace.scene import Scene
from vpccni.cli.trace.steps import NODE, OTHER_POD, POD, Capture, Outcome, Question, Stage, Step, Trace

EPHEMERAL = 40000
"""A source port such as a client would have: rules that ask for one rarely mean it."""
MOST_ALTERNATIVES = 16
"""Endpoints that are told of."""


class _Over(Exception):  # noqa: N818 -- the way ends here
    def __init__(self, outcome: Outcome, seen: IPv4Address | None = None) -> None:
        self.outcome, self.seen = outcome, seen


@dataclass(slots=True)
class _Journey:
    scene: Scene
    question: Question
    walk: Walk
    steps: list[Step] = field(default_factory=list)

    def step(self, stage: Stage, what: str, *why: str, **more: object) -> None:
        self.steps.append(Step(stage, what, why, **more))  # type: ignore[arg-type]

    def end(
        self, stage: Stage, what: str, *why: str, outcome: Outcome, seen: IPv4Address | None = None
    ) -> None:
        self.step(stage, what, *why, outcome=outcome)
        raise _Over(outcome, seen)


def trace(scene: Scene, question: Question) -> Trace:
    """Where the first packet of such a connection goes, and what its far end sees."""
    first, walk = _one(scene, question, 0)
    others: list[str] = []
    choice = 0
    while choice < min(walk.randoms, MOST_ALTERNATIVES):
        choice += 1
        other, walk = _one(scene, question, choice)
        others.append(f"{other.destination} port {other.port}")
    chosen = f"{first.destination} port {first.port}"
    return replace(first.trace, alternatives=tuple(text for text in dict.fromkeys(others) if text != chosen))


@dataclass(frozen=True, slots=True)
class _Told:
    trace: Trace
    destination: IPv4Address
    port: int


def _one(scene: Scene, question: Question, choice: int) -> tuple[_Told, Walk]:
    packet = Packet(
        question.source,
        question.destination,
        question.protocol,
        0 if question.protocol == "icmp" else EPHEMERAL,
        question.port,
    )
    walk = Walk(packet, lambda address, device: _kind(scene.host, address, device), choices=choice)
    journey = _Journey(scene, question, walk)
    try:
        if question.pod is not None:
            _from_pod(journey)
        else:
            _from_node(journey)
    except _Over as over:
        outcome, seen = over.outcome, over.seen
    made = Trace(journey.question, tuple(journey.steps), outcome, seen, tuple(walk.doubts))
    return _Told(made, walk.packet.destination, walk.packet.destination_port), walk


def _from_pod(journey: _Journey) -> None:
    scene, packet = journey.scene, journey.walk.packet
    device = tell.veth_to(scene.host, packet.source)
    if scene.pod is None:
        text = "the pod sends everything by 169.254.1.1, the host's end of its veth pair"
        journey.step(
            Stage.POD, text, f"taken for granted: its namespace was not entered ({scene.pod_unread})"
        )
    else:
        _inside_the_pod(journey, scene.pod)
    if device is None:
        text = f"the host has no route to {packet.source} by a veth: its pod is not connected"
        journey.end(Stage.VETH, text, outcome=Outcome.LOST)
        return
    journey.walk.change(iif=device.name)
    state = "" if device.up and device.carrier else ", which is down"
    journey.step(
        Stage.VETH,
        f"it comes to the host by {device.name}{state}",
        f"{device.name}: MTU {device.mtu}, MAC {device.mac}",
        capture=Capture.of(NODE, device.name, journey.walk.packet),
        outcome=Outcome.LOST if state else Outcome.GOES_ON,
    )
    if state:
        raise _Over(Outcome.LOST)
    _through(journey)


def _inside_the_pod(journey: _Journey, pod: Network) -> None:
    packet = journey.walk.packet
    flow = Flow(
        packet.destination, packet.source, protocol=packet.number, destination_port=packet.destination_port
    )
    way = look_up(pod, flow)
    if way.refusal is not None or way.route is None:
        text = f"the pod has no way to {packet.destination}: {_refusal(way)}"
        journey.end(Stage.POD, text, *_rules(way), outcome=Outcome.LOST)
    elif way.local:
        text = f"{packet.destination} is the pod's own address: it never leaves the pod"
        journey.end(Stage.POD, text, outcome=Outcome.DELIVERED, seen=packet.source)
    else:
        name = pod.name_of(way.hops[0].index)
        journey.step(
            Stage.POD,
            f"the pod sends it by {name}",
            f"route in the pod: {route_text(way.route, pod)}",
            *_rules(way),
            capture=Capture.of(POD, name, packet),
        )


def _from_node(journey: _Journey) -> None:
    walk, host = journey.walk, journey.scene.host
    way = _choose(journey, Stage.OUTPUT)
    source = walk.packet.source
    if source == UNSPECIFIED:
        source = tell.source_for(host, way)
        walk.change(source=source)
        journey.question = replace(journey.question, source=source)
    walk.change(oif="lo" if way.local else host.name_of(way.hops[0].index))
    before = walk.packet
    if not _hook(journey, Hook.OUTPUT, Stage.OUTPUT):
        return
    if (walk.packet.destination, walk.packet.mark) != (before.destination, before.mark):
        way = _choose(journey, Stage.ROUTE)  # the kernel looks again when a chain changed what decides
    if way.local:
        journey.end(
            Stage.INPUT,
            f"{walk.packet.destination} is this node's own address: a process of it answers, if one listens",
            outcome=Outcome.DELIVERED,
            seen=walk.packet.source,
        )
    _out(journey, way.hops[0], len(way.hops))


def _through(journey: _Journey) -> None:
    """From the device it came in by on."""
    scene, walk = journey.scene, journey.walk
    if not _hook(journey, Hook.PREROUTING, Stage.PREROUTING):
        return
    way = _choose(journey, Stage.ROUTE)
    out = None if way.local else scene.host.name_of(way.hops[0].index)
    refused = source_refused(scene.host, _flow(walk.packet), out, scene.settings_of(walk.packet.iif))
    if refused is not None:
        journey.end(
            Stage.SOURCE_CHECK, "the kernel throws it away by its source", refused, outcome=Outcome.LOST
        )
    if way.local:
        if _hook(journey, Hook.INPUT, Stage.INPUT):
            journey.end(
                Stage.INPUT,
                f"{walk.packet.destination} is this node's own address: a process of it answers, if one listens",
                outcome=Outcome.DELIVERED,
                seen=walk.packet.source,
            )
        return
    if not scene.settings_of(walk.packet.iif).forwarding:
        text = f"the kernel throws it away: forwarding is off on {walk.packet.iif}"
        journey.end(Stage.FORWARD, text, "net.ipv4.ip_forward must be 1", outcome=Outcome.LOST)
    walk.change(oif=scene.host.name_of(way.hops[0].index))
    if _hook(journey, Hook.FORWARD, Stage.FORWARD):
        _out(journey, way.hops[0], len(way.hops))


def _out(journey: _Journey, hop: Hop, hops: int) -> None:
    """By the device that was chosen."""
    scene, walk = journey.scene, journey.walk
    name = scene.host.name_of(hop.index)
    walk.change(oif=name)
    _snat(journey)
    packet = walk.packet
    to_pod = tell.veth_to(scene.host, packet.destination)
    if to_pod is not None and to_pod.name == name:
        pod = scene.pods.get(packet.destination, "a pod that the agent does not know of")
        journey.step(
            Stage.FAR_END,
            f"{name} leads to {pod} on this node, which gets it",
            capture=Capture.of(OTHER_POD, "eth0", packet),
        )
        raise _Over(Outcome.DELIVERED, packet.source)
    eni = scene.eni_of(name)
    why = [f"next hop {hop.gateway or 'none: its neighbours are asked'}"]
    if hops > 1:
        why.append(f"one of {hops} next hops, by a hash of the addresses")
    journey.step(
        Stage.ENI,
        f"it leaves the node by {name}" + (f", {eni.id}" if eni is not None else ""),
        *why,
        capture=Capture.of(NODE, name, packet),
    )
    on = beyond(scene.vpc, eni, name, packet)
    journey.steps += on.steps
    if on.outcome is not Outcome.LOST and (answer := reply_step(scene, walk, journey.question)) is not None:
        journey.steps.append(answer)
        if answer.outcome is Outcome.LOST:
            raise _Over(Outcome.LOST)
    raise _Over(on.outcome, on.seen_source)


def _snat(journey: _Journey) -> None:
    walk = journey.walk
    before, begun = walk.packet, len(walk.hits)
    verdict = journey.scene.ruleset.run(walk, Hook.POSTROUTING)
    hits = walk.hits[begun:]
    why = tuple(f"{hit.where}: {hit.rule}" for hit in hits)
    if verdict is not Verdict.ACCEPT:
        journey.end(Stage.SNAT, f"it is {verdict.value} on its way out", *why, outcome=Outcome.LOST)
    elif walk.packet.source != before.source:
        text = f"its source becomes {walk.packet.source} (SNAT)"
        journey.step(Stage.SNAT, text, *why)
    else:
        journey.step(Stage.SNAT, f"its source stays {walk.packet.source}: {tell.no_snat_because(hits)}", *why)


def _hook(journey: _Journey, hook: Hook, stage: Stage) -> bool:
    """The packet meets a hook's chains; True. Raises _Over if it does not get through."""
    walk = journey.walk
    begun = len(walk.hits)
    verdict = journey.scene.ruleset.run(walk, hook)
    hits = walk.hits[begun:]
    why = tuple(f"{hit.where}: {hit.rule} → {hit.effect}" for hit in hits)
    if verdict is not Verdict.ACCEPT:
        journey.end(
            stage, f"the packet filter has it {verdict.value} ({hook.value})", *why, outcome=Outcome.LOST
        )
    effects = [hit.effect for hit in hits if "becomes" in hit.effect]
    if effects:
        journey.step(stage, f"packet filter, {hook.value}: {', '.join(effects)}", *why)
    return True


def _choose(journey: _Journey, stage: Stage) -> Way:
    host, packet = journey.scene.host, journey.walk.packet
    way = look_up(host, _flow(packet))
    for rule in way.doubtful:
        journey.walk.doubt(f"rule {rule} has selectors that were not read; taken as not matching")
    if way.refusal is not None or way.route is None:
        text = f"the node has no way to {packet.destination}: {_refusal(way)}"
        journey.end(stage, text, *_rules(way), outcome=Outcome.LOST)
        raise AssertionError
    journey.step(
        stage,
        tell.choice(host, way, packet),
        *_rules(way),
        f"route in table {tell.table_of(way.route)}: {route_text(way.route, host)}",
    )
    return way


def _flow(packet: Packet) -> Flow:
    return Flow(
        packet.destination,
        packet.source,
        packet.mark,
        packet.iif or "lo",
        protocol=packet.number,
        source_port=packet.source_port,
        destination_port=packet.destination_port,
    )


def _rules(way: Way) -> tuple[str, ...]:
    # the local table is asked for every packet: that it is not for this host is no news
    tried = [rule for rule in way.fruitless if rule.table != LOCAL_TABLE]
    passed = tuple(f"rule {rule} matches too, but its table has nothing for it" for rule in tried)
    return (*passed, f"rule {way.rule}{_meaning(way.rule)}") if way.rule is not None else passed


def _meaning(rule: PolicyRule) -> str:
    known = tell.meaning(rule)
    return f" ({known})" if known else ""


def _refusal(way: Way) -> str:
    return way.refusal.value if way.refusal is not None else "no route"


def _kind(host: Network, address: IPv4Address, device: str | None) -> str:
    found = host.named(device) if device is not None else None
    if device is not None and found is None:
        return Kind.UNICAST.name
    return address_kind(host, address, found.index if found is not None else None).name
