"""/metrics for Prometheus: the original's series (spec 8.2) and ours, made from plain numbers when somebody asks.

docs/metrics.md has them all; a test compares.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from vpccni import VERSION
from vpccni.agent import viewing
from vpccni.agent.exposition import CONTENT_TYPE, Family, counter, gauge, histogram, render, summary
from vpccni.agent.http import Answer, Handler, HttpServer, not_found
from vpccni.agent.introspection import PROBES, probe
from vpccni.agent.process_numbers import process_families
from vpccni.agent.readiness import Condition
from vpccni.agent.scene import Scene
from vpccni.agent.view import PREFIX, EniStatus
from vpccni.aws.call_log import OK
from vpccni.histogram import CALL_SECONDS, Histogram
from vpccni.ipam.actions import AssignAddresses, AttachEni, DetachEni, ReleaseAddresses
from vpccni.ipam.adaptive import Adaptive
from vpccni.ipam.decide import Ipam
from vpccni.ipam.reasons import Reason

PORT = 61678
DELETION_REASONS = ("PodDeleted", "SetupNSFailed")


def metrics_server(scene: Scene, address: str = f":{PORT}") -> HttpServer | None:
    """To be started; None with DISABLE_METRICS."""
    return None if scene.settings.disable_metrics else HttpServer("metrics", address, metrics(scene))


def metrics(scene: Scene) -> Handler:
    """Answers /metrics and the probes."""

    async def answer(path: str) -> Answer:
        if path in PROBES:
            return await probe(scene, path)
        if path != "/metrics":
            return not_found()
        return Answer(render(families(scene)), CONTENT_TYPE)

    return answer


def families(scene: Scene) -> Iterator[Family]:
    """Every metric of this agent."""
    yield from _agent(scene)
    enis = [eni for ipam in scene.ipams for eni in viewing.eni_statuses(ipam)]
    yield from _original_pool(scene, enis)
    yield from _original_calls(scene)
    yield from _start(scene)
    yield from _pods(scene)
    yield from _pool(scene, enis)
    yield from _calls(scene)
    yield from process_families()


def _agent(scene: Scene) -> Iterator[Family]:
    counters = scene.counters
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    yield gauge("awscni_build_info", "Version of the agent", ({"version": VERSION, "goversion": python}, 1))
    yield counter(
        "awscni_ipamd_error_count",
        "Errors of the agent, by the original's name of what failed",
        *(({"fn": name}, n) for name, n in sorted(counters.errors.items())),
    )
    asked = [action for ipam in scene.ipams for action in ipam.state.under_way.asked]
    growing = sum(isinstance(a, AssignAddresses | AttachEni) for a in asked)
    shrinking = sum(isinstance(a, ReleaseAddresses | DetachEni) for a in asked)
    yield gauge(
        "awscni_ipamd_action_inprogress",
        "What the agent is doing",
        ({"fn": "nodeInit"}, counters.initialising),
        ({"fn": "increaseDatastorePool"}, growing),
        ({"fn": "decreaseDatastorePool"}, shrinking),
        ({"fn": "nodeIPPoolReconcile"}, counters.reconciling),
    )
    yield counter(
        "awscni_reconcile_count",
        "What comparing the pool with EC2 changed",
        *(({"fn": name}, n) for name, n in sorted(counters.reconciled.items())),
    )
    yield counter("awscni_add_ip_req_count", "ADD requests", ({}, counters.adds))
    yield counter(
        "awscni_del_ip_req_count",
        "DEL requests",
        *(({"reason": why}, counters.deletions[why]) for why in DELETION_REASONS),
    )
    yield counter(
        "awscni_pod_eni_error_count",
        "Errors with pods that have an ENI of their own",
        *(({"fn": name}, n) for name, n in sorted(counters.pod_eni_errors.items())),
    )
    backend = counters.connmark_backend
    yield gauge(
        "awscni_connmark_backend",
        "What the connmark rules are written with",
        *([({"backend": backend}, 1)] if backend else []),
    )
    yield counter(
        "awscni_connmark_reconcile_total",
        "Times that the connmark rules were compared and mended",
        *(({"result": result}, counters.connmark_reconciled[result]) for result in ("success", "error")),
    )


def _original_pool(scene: Scene, enis: Sequence[EniStatus]) -> Iterator[Family]:
    counters = scene.counters
    states = [ipam.state for ipam in scene.ipams]
    slots = [slot for eni in enis for slot in eni.content]
    prefixes = sum(slot.kind == PREFIX and not slot.leaving for slot in slots)
    most = sum(s.most_enis * s.limits.slots_per_eni * s.kind.addresses for s in states)
    for name, text, value in (
        ("awscni_eni_max", "ENIs that the node may have for pods", sum(s.most_enis for s in states)),
        ("awscni_ip_max", "Addresses that the node may have for pods", most),
        ("awscni_eni_allocated", "ENIs in the pool", len(enis)),
        ("awscni_total_ip_addresses", "Addresses in the pool", sum(e.total for e in enis)),
        ("awscni_assigned_ip_addresses", "Addresses that pods have", sum(e.assigned for e in enis)),
        ("awscni_total_ipv4_prefixes", "Prefixes in the pool", prefixes),
    ):
        yield gauge(name, text, ({}, value))
    for name, text, value in (
        ("awscni_force_removed_enis", "ENIs taken away while pods used them", counters.force_removed_enis),
        (
            "awscni_force_removed_ips",
            "Addresses taken away while pods had them",
            counters.force_removed_addresses,
        ),
        ("awscni_no_available_ip_addresses", "Times that no address was free", counters.waits),
    ):
        yield counter(name, text, ({}, value))
    yield gauge(
        "awscni_assigned_ip_per_cidr",
        "Addresses that pods have, by block; those with none left out",
        *(({"cidr": slot.block}, slot.assigned) for slot in slots if slot.assigned),
    )
    yield gauge(
        "awscni_assigned_ip_per_eni",
        "Addresses that pods have, by ENI",
        *(({"eni": e.id}, e.assigned) for e in enis),
    )


def _original_calls(scene: Scene) -> Iterator[Family]:
    requests: Counter[str] = Counter()
    failures: Counter[tuple[str, str]] = Counter()
    latencies: dict[tuple[str, str, str], Histogram] = {}
    for call, seconds in scene.calls.latencies().items():
        requests[call.action] += seconds.count
        if call.code != OK:
            failures[call.action, call.code] += seconds.count
        status = "" if call.status is None else str(call.status)
        key = (call.action, "false" if call.code == OK else "true", status)
        into = latencies.setdefault(key, Histogram(()))
        into.counts[0] += seconds.count
        into.sum += seconds.sum * 1000
    yield summary(
        "awscni_aws_api_latency_ms",
        "Milliseconds of calls to EC2",
        *(
            ({"api": api, "error": error, "status": status}, h)
            for (api, error, status), h in latencies.items()
        ),
    )
    yield counter(
        "awscni_aws_api_error_count",
        "Calls to EC2 that failed, by its error code",
        *(({"api": api, "error": code}, n) for (api, code), n in sorted(failures.items())),
    )
    yield counter(
        "awscni_aws_utils_error_count",
        "Errors with AWS beside calls to EC2",
        *(
            ({"fn": fn, "error": error}, n)
            for (fn, error), n in sorted(scene.counters.aws_utils_errors.items())
        ),
    )
    yield counter(
        "awscni_ec2api_req_count",
        "Calls to EC2",
        *(({"fn": api}, n) for api, n in sorted(requests.items())),
    )
    failed: Counter[str] = Counter()
    for (api, _), n in failures.items():
        failed[api] += n
    yield counter(
        "awscni_ec2api_error_count",
        "Calls to EC2 that failed",
        *(({"fn": api}, n) for api, n in sorted(failed.items())),
    )


def _start(scene: Scene) -> Iterator[Family]:
    counters = scene.counters
    yield histogram(
        "awscni_ipamd_startup_duration_seconds",
        "Seconds from the process's start to serving",
        *(
            ({"success": _word(good), "with_api_server": _word(api), "failure_reason": why}, h)
            for (good, api, why), h in counters.startup_seconds.items()
        ),
    )
    yield histogram(
        "awscni_ipamd_node_initialization_duration_seconds",
        "Seconds to set the node up",
        *(({"success": _word(good)}, h) for good, h in counters.initialisation_seconds.items()),
    )
    readiness = scene.readiness()
    yield gauge(
        "vpccni_ready", "1: started, and the pool has addresses or can get some", ({}, int(readiness.ready))
    )
    yield gauge(
        "vpccni_condition",
        "1 for the condition that the agent is in",
        *(({"condition": c.value}, int(c is readiness.condition)) for c in Condition),
    )
    yield histogram(
        "vpccni_loop_lag_seconds",
        "Seconds that the agent's loop was late for a timer",
        ({}, counters.loop_lag),
    )
    yield gauge(
        "vpccni_fact_age_seconds",
        "Seconds since the agent was told something",
        *(({"fact": fact.name}, fact.age) for fact in scene.known()),
    )


def _pods(scene: Scene) -> Iterator[Family]:
    counters = scene.counters
    yield histogram(
        "vpccni_add_seconds",
        "Seconds of ADDs that worked, by phase",
        *(({"phase": phase}, h) for phase, h in counters.add_seconds.items()),
    )
    yield histogram(
        "vpccni_del_seconds",
        "Seconds of DELs that worked, by phase",
        *(({"phase": phase}, h) for phase, h in counters.delete_seconds.items()),
    )
    yield counter("vpccni_waits_total", "ADDs that waited for an address", ({}, counters.waits))
    yield counter(
        "vpccni_wait_seconds_total", "Seconds that ADDs waited for an address", ({}, counters.waited)
    )
    yield counter(
        "vpccni_refusals_total",
        "ADDs that came to nothing, by reason",
        *(({"reason": reason.value}, counters.refused[reason]) for reason in Reason),
    )


def _pool(scene: Scene, enis: Sequence[EniStatus]) -> Iterator[Family]:
    ipams, counters = scene.ipams, scene.counters
    by_kind: Counter[tuple[str, str]] = Counter()
    by_eni: Counter[tuple[str, str]] = Counter()
    for eni in enis:
        for slot in eni.content:
            size = slot.assigned + slot.cooling + slot.free
            parts = {"assigned": slot.assigned, "cooling": slot.cooling, "warm": slot.free, "leaving": 0}
            if slot.leaving:
                parts = {"assigned": 0, "cooling": 0, "warm": 0, "leaving": max(size, 1)}
            elif not eni.gives_addresses:
                parts |= {"warm": 0, "unusable": slot.free}
            for part, n in parts.items():
                by_kind[slot.kind, part] += n
                by_eni[eni.id, part] += n
    yield gauge(
        "vpccni_addresses",
        "Addresses by kind of block and state; a leaving prefix counts once",
        *(({"kind": kind, "state": part}, n) for (kind, part), n in sorted(by_kind.items())),
    )
    yield gauge(
        "vpccni_eni_addresses",
        "Addresses by ENI and state",
        *(({"eni": eni, "state": part}, n) for (eni, part), n in sorted(by_eni.items())),
    )
    yield gauge(
        "vpccni_blocks_coming",
        "Blocks that EC2 has been asked for",
        ({}, sum(i.state.under_way.blocks for i in ipams)),
    )
    offers = {o.id: o.free for ipam in ipams for o in ipam.state.placement.offers if o.free is not None}
    yield gauge(
        "vpccni_subnet_free_addresses",
        "Addresses that EC2 said a subnet had left",
        *(({"subnet": subnet}, free) for subnet, free in sorted(offers.items())),
    )
    yield from _adaptive(ipams)
    reuses = [age for ipam in ipams if (age := ipam.pool.shortest_reuse) is not None]
    yield gauge(
        "vpccni_shortest_reuse_seconds",
        "Shortest time from a release to the next assignment of the same address",
        *([({}, min(reuses))] if reuses else []),
    )
    yield counter(
        "vpccni_pool_action_failures_total",
        "Pool actions that came to nothing",
        *(
            ({"action": action, "reason": reason.value}, n)
            for (action, reason), n in sorted(counters.failed_actions.items(), key=str)
        ),
    )
    yield histogram(
        "vpccni_pool_action_seconds",
        "Seconds of pool actions, from their beginning to their outcome",
        *(({"action": action}, h) for action, h in sorted(counters.action_seconds.items())),
    )


def _calls(scene: Scene) -> Iterator[Family]:
    by_code: dict[tuple[str, str], Histogram] = {}
    for call, seconds in scene.calls.latencies().items():
        into = by_code.setdefault((call.action, call.code), Histogram(CALL_SECONDS))
        into.counts = [a + b for a, b in zip(into.counts, seconds.counts, strict=True)]
        into.sum += seconds.sum
    yield histogram(
        "vpccni_ec2_call_seconds",
        "Seconds of calls to EC2 by action and code, ok if it worked",
        *(({"action": action, "code": code}, h) for (action, code), h in sorted(by_code.items())),
    )
    levels = scene.budget_levels()
    yield gauge(
        "vpccni_ec2_budget_tokens",
        "Calls to EC2 that the agent could make at once; below zero: so many wait",
        *(({"action": level.action}, level.tokens) for level in levels),
    )
    yield gauge(
        "vpccni_ec2_budget_pace",
        "The part of the call rate that EC2's throttling leaves",
        *(({"action": level.action}, level.pace) for level in levels),
    )


def _word(good: bool) -> str:
    return "true" if good else "false"


def _adaptive(ipams: Sequence[Ipam]) -> Iterator[Family]:
    learned = [
        ({"networkcard": str(i.state.card)}, i.warmth) for i in ipams if isinstance(i.warmth, Adaptive)
    ]
    if not learned:
        return
    yield gauge(
        "vpccni_warm_adaptive_addresses",
        "What the adaptive warm target holds in all: at least, up to which it asks, at most; none while it learns",
        *(
            ({**labels, "bound": bound}, value)
            for labels, one in learned
            if one.held is not None
            for bound, value in (
                ("least", one.held.least),
                ("asked", one.held.asked),
                ("most", one.held.most),
            )
        ),
    )
    yield gauge(
        "vpccni_warm_adaptive_ec2_delay_seconds",
        "How long EC2 is thought to need at most, by what the node has seen",
        *(
            ({**labels, "action": action}, seconds)
            for labels, one in learned
            for action, seconds in zip(("assign", "attach"), one.delays, strict=True)
        ),
    )
    yield counter(
        "vpccni_warm_adaptive_arrivals_total",
        "Pods that the adaptive warm target has learned from, earlier runs' included",
        *((labels, one.arrivals) for labels, one in learned),
    )
