"""grpc.health.v1: what kubelet's probes and whoever waits for the node are told.

Why it is told as it is. The original's manifests ask the service "" both for liveness (kubelet kills the agent after
three refusals) and for readiness (a rolling update goes on to the next node). So "" and `grpc.health.v1.aws-node` do not
say SERVING before the agent has started: an update to a version that cannot start would take every node. And once it has
started they say SERVING whatever the pool is like: a full pool, a full subnet, an EC2 that throttles and a disk that is
full are not cured by a restart, which only costs the calls that are under way (spec 1.5, 11.6). What tells of those is the
CNI's STATUS, the refusals in the log and the metrics. A loop that hangs needs no rule: it cannot answer, and the probe's
own deadline says so.

What remains is a start that takes long (instance metadata silent, EC2 asked for the limits of an unknown type): not ready,
rightly, but a restart would not help. A liveness probe that shall not kill it asks for the third name, `liveness`: SERVING
as long as the loop answers. The original's manifests, unchanged, behave as they do with the original.
"""

from __future__ import annotations

from grpclib.health.check import ServiceStatus
from grpclib.health.service import OVERALL, Health

from vpccni.agent.rpc.behind import Behind

AGENT = "grpc.health.v1.aws-node"
LIVENESS = "liveness"


def health_of(behind: Behind) -> Health:
    """The service; it follows `behind`."""
    status = ServiceStatus()
    status.set(behind.serving)
    behind.told = status.set
    return Health({OVERALL: [status], _Named(AGENT): [status], _Named(LIVENESS): []})


class _Named:
    """A name that health can be asked of, without a service behind it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __mapping__(self) -> dict[str, object]:
        return {f"/{self._name}/": None}
