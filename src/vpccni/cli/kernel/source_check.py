"""Whether the kernel lets a packet in by the device it came by: the check of its source (rp_filter), pure over a dump."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from vpccni.cli.kernel.fib import LOOPBACK, Flow, Way, look_up
from vpccni.cli.kernel.values import Kind, Network


class SourceCheck(enum.IntEnum):
    """The effective rp_filter of a device: the greater of its own and the one for all (Documentation/networking/ip-sysctl)."""

    OFF = 0
    STRICT = 1
    LOOSE = 2


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """What of a device's sysctls decides about packets that come in by it."""

    source_check: SourceCheck = SourceCheck.OFF
    forwarding: bool = True
    accept_local: bool = False
    marks_count: bool = False
    """src_valid_mark: the way back is looked up with the packet's mark."""


def source_refused(network: Network, flow: Flow, out: str | None, settings: DeviceSettings) -> str | None:
    """Why the packet, which came in by `flow.iif` and would leave by `out`, is thrown away; None if it is not.

    `out` None: it is for this namespace itself.
    """
    back = look_up(
        network,
        Flow(
            destination=flow.source,
            source=flow.destination,
            mark=flow.mark if settings.marks_count else 0,
            # the way back is looked up as if its packets came in by the device that this one would leave by
            iif=out or LOOPBACK,
            protocol=flow.protocol,
            source_port=flow.destination_port,
            destination_port=flow.source_port,
        ),
    )
    if back.route is None or back.refusal is not None:
        checked = settings.source_check is not SourceCheck.OFF
        return f"there is no way back to {flow.source}, and rp_filter is on" if checked else None
    if back.route.kind is not Kind.UNICAST:
        if back.route.kind is Kind.LOCAL and settings.accept_local:
            return None
        return f"its source {flow.source} is this node's own address or no host's"
    return _by_another_device(network, flow, back, settings.source_check)


def _by_another_device(network: Network, flow: Flow, back: Way, check: SourceCheck) -> str | None:
    ways = [network.name_of(hop.index) for hop in back.hops]
    if flow.iif in ways or check is SourceCheck.OFF:
        return None
    said = f"the way back to {flow.source} is {' or '.join(ways)} (rule {back.rule}), not {flow.iif} where it came in"
    if check is SourceCheck.STRICT:
        return f"{said}, and rp_filter of {flow.iif} is strict (1)"
    device = network.named(flow.iif)
    if device is None or all(held.index != device.index for held in network.addresses):
        return f"{said}, and {flow.iif} has no address: then rp_filter 2 is as strict as 1"
    return None


def effective(own: int, for_all: int) -> SourceCheck:
    """What holds for a device."""
    greater = max(own, for_all)
    return SourceCheck(greater) if greater in set(SourceCheck) else SourceCheck.LOOSE
