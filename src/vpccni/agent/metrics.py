"""/metrics for Prometheus: the original's series names (spec 8.2), read from the agent when somebody asks."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from vpccni import VERSION
from vpccni.agent.loop import Agent
from vpccni.ipam.reasons import Reason

if TYPE_CHECKING:  # prometheus_client is loaded only when the server starts: it costs 0.1 s and 8 MiB
    from prometheus_client.metrics_core import Metric

log = logging.getLogger(__name__)

PORT = 61678


class AgentCollector:
    """Turns the agent's plain numbers into metric families at the time of a scrape."""

    def __init__(self, agent: Agent, max_enis: int, slots_per_eni: int) -> None:
        self._agent = agent
        self._max_enis = max_enis
        self._slots = slots_per_eni

    def collect(self) -> Iterator[Metric]:
        """Every family of this agent."""
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 -- see above

        counters, pool = self._agent.counters, self._agent.ipam.pool
        for name, text, value in (
            ("awscni_eni_max", "The number of ENIs this node may have", self._max_enis),
            ("awscni_ip_max", "The number of addresses this node may have", self._max_enis * self._slots),
            ("awscni_eni_allocated", "The number of ENIs attached", len(self._agent.enis)),
            ("awscni_total_ip_addresses", "Addresses for pods held by this node", sum(pool.total.values())),
            ("awscni_assigned_ip_addresses", "Addresses assigned to pods", sum(pool.assigned.values())),
            (
                "awscni_cooling_ip_addresses",
                "Addresses given back and not yet assignable",
                pool.cooling_count,
            ),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        build = GaugeMetricFamily(
            "awscni_build_info", "Version of the agent", labels=["version", "goversion"]
        )
        build.add_metric([VERSION, f"python{sys.version_info.major}.{sys.version_info.minor}"], 1)
        yield build
        yield _counter("awscni_add_ip_req_count", "ADD requests", [({}, counters.adds)])
        reasons = ("PodDeleted", "SetupNSFailed")
        yield _counter(
            "awscni_del_ip_req_count",
            "DEL requests",
            [({"reason": why}, counters.deletions[why]) for why in reasons],
        )
        yield _counter(
            "awscni_no_available_ip_addresses",
            "ADDs that got no address",
            [({"reason": reason.value}, counters.refused[reason]) for reason in Reason],
        )
        yield _counter(
            "awscni_pool_action_failed_count",
            "Pool actions that came to nothing",
            [({"action": action, "reason": reason.value}, count)
             for (action, reason), count in sorted(counters.failed_actions.items(), key=str)],
        )  # fmt: skip


def _counter(name: str, text: str, samples: Iterable[tuple[dict[str, str], int]]) -> Metric:
    """A counter under the original's very name: the library's counter type would add _total to it."""
    from prometheus_client.core import Metric as Family  # noqa: PLC0415 -- see above

    family = Family(name, text, "unknown")
    for labels, value in samples:
        family.add_sample(name, labels, value)
    return family


def serve_metrics(collector: AgentCollector, port: int = PORT) -> Callable[[], None]:
    """Serve in a thread of its own; returns what stops it. Blocking: loads prometheus_client."""
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 -- see above

    registry = CollectorRegistry()
    registry.register(collector)
    server, thread = start_http_server(port, registry=registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
