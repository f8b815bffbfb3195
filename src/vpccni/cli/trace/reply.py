"""The way back: whether the answer's packets get from the ENI to who asked."""

from __future__ import annotations

from vpccni.cli.kernel.fib import Flow, look_up
from vpccni.cli.kernel.source_check import source_refused
from vpccni.cli.netfilter.packet import Walk
from vpccni.cli.trace.scene import Scene
from vpccni.cli.trace.steps import Outcome, Question, Stage, Step


def reply_step(scene: Scene, walk: Walk, question: Question) -> Step | None:
    """Where a reply comes in, and where it goes on the host; None if nobody knows by which ENI it comes.

    The way is chosen after connection tracking has put the sender's own address back, and before it puts a service's.
    """
    holder = next((eni for eni in scene.enis if eni.holds(walk.packet.source)), None)
    if holder is None:
        return None
    device = next((each for each in scene.host.devices if each.mac == holder.mac), None)
    if device is None:
        return None
    flow = Flow(
        destination=question.source,
        source=walk.packet.destination,
        iif=device.name,
        protocol=walk.packet.number,
        source_port=walk.packet.destination_port,
        destination_port=walk.packet.source_port,
    )
    way = look_up(scene.host, flow)
    undone = ", is translated back" if "source" in walk.translated else ""
    if way.route is None or way.refusal is not None:
        text = f"the reply comes in by {device.name}{undone} and has no way to {question.source}"
        return Step(Stage.REPLY, text, outcome=Outcome.LOST)
    out = None if way.local else scene.host.name_of(way.hops[0].index)
    refused = source_refused(scene.host, flow, out, scene.settings_of(device.name))
    if refused is not None:
        text = f"the reply comes in by {device.name} and is thrown away by its source"
        return Step(Stage.REPLY, text, (refused,), Outcome.LOST)
    why = (f"rule {way.rule}",) if way.rule is not None else ()
    return Step(
        Stage.REPLY,
        f"the reply comes in by {device.name}{undone} and goes to {out or 'the node itself'}",
        why,
    )
