"""What a trace is made of."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from vpccni.cli.netfilter.packet import Packet

POD, NODE, OTHER_POD, VPC, INTERNET = "pod", "node", "other pod", "vpc", "internet"
"""Places where a packet can be seen."""


class Stage(enum.Enum):
    """Where on its way a packet is."""

    POD = "pod"
    VETH = "veth"
    OUTPUT = "output"
    PREROUTING = "prerouting"
    ROUTE = "route"
    SOURCE_CHECK = "source check"
    INPUT = "input"
    FORWARD = "forward"
    SNAT = "snat"
    ENI = "eni"
    VPC = "vpc"
    FAR_END = "far end"
    REPLY = "reply"


class Outcome(enum.Enum):
    """What became of the packet at a step."""

    GOES_ON = "goes on"
    DELIVERED = "delivered"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Capture:
    """Where the packet can be seen after a step, and as what."""

    place: str
    """One of the places above."""
    interface: str
    source: IPv4Address
    destination: IPv4Address
    protocol: str
    destination_port: int
    source_port: int = 0
    """0: chosen by the sender, or by NAT."""

    @classmethod
    def of(cls, place: str, interface: str, packet: Packet) -> Capture:
        """The packet as it is."""
        return cls(
            place,
            interface,
            packet.source,
            packet.destination,
            packet.protocol,
            packet.destination_port,
        )

    @property
    def expression(self) -> str:
        """For tcpdump."""
        port = f" and dst port {self.destination_port}" if self.destination_port else ""
        return f"{self.protocol} and src host {self.source} and dst host {self.destination}{port}"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens to the packet."""

    stage: Stage
    what: str
    """A sentence."""
    why: tuple[str, ...] = ()
    """What it follows from: rules, routes, chains as they are."""
    outcome: Outcome = Outcome.GOES_ON
    capture: Capture | None = None
    """Where one would see it; None: nowhere that we could look."""
    seen: bool | None = None
    """Whether it was seen there; None: nobody looked."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked."""

    source: IPv4Address
    destination: IPv4Address
    protocol: str = "tcp"
    port: int = 0
    pod: str | None = None
    """Namespace and name; None: the node itself, or a pod on its network, sends."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The whole way."""

    question: Question
    steps: tuple[Step, ...]
    outcome: Outcome
    seen_source: IPv4Address | None = None
    """What the far end takes for the sender; None: nothing arrives, or nobody knows."""
    doubts: tuple[str, ...] = ()
    """What could not be known, and was taken to be otherwise."""
    alternatives: tuple[str, ...] = field(default=())
    """Where else chance could have sent it: the other endpoints of a service."""


def to_plain(trace: Trace) -> dict[str, Any]:
    """For JSON."""
    question = trace.question
    return {
        "source": question.pod or str(question.source),
        "sourceAddress": str(question.source),
        "destination": str(question.destination),
        "protocol": question.protocol,
        "port": question.port or None,
        "outcome": trace.outcome.value,
        "seenSource": str(trace.seen_source) if trace.seen_source is not None else None,
        "steps": [_step(step) for step in trace.steps],
        "alternatives": list(trace.alternatives),
        "doubts": list(trace.doubts),
    }


def to_text(trace: Mapping[str, Any]) -> str:
    """What `to_plain` gave, as an explanation for a person."""
    port = f" port {trace['port']}" if trace["port"] else ""
    source = trace["sourceAddress"]
    who = f"pod {trace['source']} ({source})" if trace["source"] != source else f"this node ({source})"
    lines = [f"{trace['protocol']} from {who} to {trace['destination']}{port}:", ""]
    for number, step in enumerate(trace["steps"], 1):
        seen = {None: "", True: " [seen]", False: " [NOT seen]"}[step["seen"]]
        lines.append(f"{number:2}. {step['what']}{seen}")
        lines += [f"      {line}" for line in step["why"]]
    lines += ["", _conclusion(Outcome(trace["outcome"]), trace["seenSource"])]
    if trace["alternatives"]:
        lines.append("Chance decides between endpoints; it could also have been:")
        lines += [f"  - {text}" for text in trace["alternatives"]]
    if trace["doubts"]:
        lines.append("What could not be told from here:")
        lines += [f"  - {text}" for text in trace["doubts"]]
    return "\n".join(lines)


def _conclusion(outcome: Outcome, source: str | None) -> str:
    match outcome:
        case Outcome.DELIVERED if source is not None:
            return f"It arrives; the far end sees {source} as the source."
        case Outcome.DELIVERED:
            return "It arrives; which source the far end sees is not known."
        case Outcome.LOST:
            return "It does not arrive: see the last step."
        case _ if source is not None:
            return f"Whether it arrives is not known; if so, the far end sees {source} as the source."
        case _:
            return "Whether it arrives is not known."


def _step(step: Step) -> dict[str, Any]:
    capture = step.capture
    return {
        "stage": step.stage.value,
        "what": step.what,
        "why": list(step.why),
        "outcome": step.outcome.value,
        "capture": None
        if capture is None
        else {
            "place": capture.place,
            "interface": capture.interface,
            "filter": capture.expression,
            "source": str(capture.source),
            "destination": str(capture.destination),
        },
        "seen": step.seen,
    }
