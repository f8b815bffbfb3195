"""Makes monitoring/dashboard.json, the Grafana dashboard over the agent's metrics.

    .venv/bin/python tools/make_dashboard.py

The panels are below, one a line; the JSON around them is Grafana's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "monitoring" / "dashboard.json"
NODES = 'instance=~"$instance"'
WIDTH, HEIGHT = 24, 8
"""Grafana's columns, and a panel's rows."""


@dataclass(frozen=True)
class Panel:
    """One graph: legend → expression."""

    title: str
    about: str
    lines: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    stacked: bool = False


ROWS: dict[str, tuple[Panel, ...]] = {
    "At a glance": (
        Panel(
            "Nodes without addresses for pods",
            "Not ready: the pool holds no address and can get none.",
            {"not ready": f"count(vpccni_ready{{{NODES}}} == 0) or vector(0)"},
            kind="stat",
        ),
        Panel(
            "Pods refused in the last hour",
            "By reason; docs/troubleshooting.md has a section for each.",
            {"{{reason}}": f"sum by (reason) (increase(vpccni_refusals_total{{{NODES}}}[1h])) > 0"},
            kind="stat",
        ),
        Panel(
            "Addresses held that no pod uses",
            "The price of being warm.",
            {
                "idle": f'sum(vpccni_addresses{{{NODES}, state=~"warm|cooling"}}) / sum(vpccni_addresses{{{NODES}}})'
            },
            unit="percentunit",
            kind="stat",
        ),
        Panel(
            "Free addresses by subnet",
            "As EC2 said last; the least of what the nodes were told.",
            {"{{subnet}}": "min by (subnet) (vpccni_subnet_free_addresses)"},
            kind="stat",
        ),
    ),
    "The pool": (
        Panel(
            "Addresses by state",
            "All nodes that are selected.",
            {"{{state}}": f"sum by (state) (vpccni_addresses{{{NODES}}})"},
            stacked=True,
        ),
        Panel(
            "Warm addresses by node",
            "What a burst of pods on that node gets without waiting.",
            {"{{instance}}": f'sum by (instance) (vpccni_addresses{{{NODES}, state="warm"}})'},
        ),
        Panel(
            "ENIs",
            "Attached, and how many there may be.",
            {
                "attached": f"sum(awscni_eni_allocated{{{NODES}}})",
                "at most": f"sum(awscni_eni_max{{{NODES}}})",
            },
        ),
    ),
    "Pods": (
        Panel(
            "ADD by phase, p99",
            "wait: for an address; checkpoint: on disk; wiring: in the kernel.",
            {
                "{{phase}}": f"histogram_quantile(0.99, sum by (phase, le) (rate(vpccni_add_seconds_bucket{{{NODES}}}[$__rate_interval])))"
            },
            unit="s",
        ),
        Panel(
            "ADDs and DELs",
            "A second.",
            {
                "ADD": f'sum(rate(vpccni_add_seconds_count{{{NODES}, phase="total"}}[$__rate_interval]))',
                "DEL": f'sum(rate(vpccni_del_seconds_count{{{NODES}, phase="total"}}[$__rate_interval]))',
                "waited": f"sum(rate(vpccni_waits_total{{{NODES}}}[$__rate_interval]))",
            },
        ),
        Panel(
            "Refusals by reason",
            "A second; kubelet tries each pod again and again.",
            {"{{reason}}": f"sum by (reason) (rate(vpccni_refusals_total{{{NODES}}}[$__rate_interval]))"},
            stacked=True,
        ),
    ),
    "EC2": (
        Panel(
            "Calls by action",
            "A second, all selected nodes; the account's limits are for all of them together.",
            {
                "{{action}}": f"sum by (action) (rate(vpccni_ec2_call_seconds_count{{{NODES}}}[$__rate_interval]))"
            },
            stacked=True,
        ),
        Panel(
            "Errors by code",
            "A second.",
            {
                "{{code}}": f'sum by (code) (rate(vpccni_ec2_call_seconds_count{{{NODES}, code!="ok"}}[$__rate_interval]))'
            },
            stacked=True,
        ),
        Panel(
            "Seconds of a call, p90",
            "By action.",
            {
                "{{action}}": f"histogram_quantile(0.9, sum by (action, le) (rate(vpccni_ec2_call_seconds_bucket{{{NODES}}}[$__rate_interval])))"
            },
            unit="s",
        ),
        Panel(
            "Pace that throttling leaves",
            "1: EC2 did not throttle.",
            {"{{action}}": f"min by (action) (vpccni_ec2_budget_pace{{{NODES}}})"},
            unit="percentunit",
        ),
    ),
    "The agent": (
        Panel(
            "Loop lag, p99",
            "Everything on the node waits that long.",
            {
                "{{instance}}": f"histogram_quantile(0.99, sum by (instance, le) (rate(vpccni_loop_lag_seconds_bucket{{{NODES}}}[$__rate_interval])))"
            },
            unit="s",
        ),
        Panel(
            "Memory",
            "Resident.",
            {
                "{{instance}}": f"process_resident_memory_bytes{{{NODES}}} and on (instance) vpccni_ready{{{NODES}}}"
            },
            unit="bytes",
        ),
        Panel(
            "Age of facts",
            "Seconds since others told the agent something: the oldest of all nodes.",
            {"{{fact}}": f"max by (fact) (vpccni_fact_age_seconds{{{NODES}}})"},
            unit="s",
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """What Grafana imports."""
    return {
        "title": "VPC CNI",
        "uid": "vpc-cni",
        "tags": ["kubernetes", "aws", "cni"],
        "schemaVersion": 39,
        "timezone": "browser",
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
                {
                    "name": "instance",
                    "label": "Node",
                    "type": "query",
                    "datasource": {"type": "prometheus", "uid": "${datasource}"},
                    "query": {"query": "label_values(vpccni_ready, instance)", "refId": "instance"},
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    top, number = 0, 1
    for title, panels in ROWS.items():
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1}}  # fmt: skip
        number, top = number + 1, top + 1
        width = WIDTH // len(panels)
        for column, panel in enumerate(panels):
            height = HEIGHT // 2 if panel.kind == "stat" else HEIGHT
            place = {"x": column * width, "y": top, "w": width, "h": height}
            yield _panel(number, panel, place)
            number += 1
        top += HEIGHT // 2 if panels[0].kind == "stat" else HEIGHT


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    custom = {
        "fillOpacity": 25 if panel.stacked else 8,
        "stacking": {"mode": "normal" if panel.stacked else "none"},
    }
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                **({} if panel.kind == "stat" else {"custom": custom}),
            },
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": source, "expr": expression, "legendFormat": legend}
            for index, (legend, expression) in enumerate(panel.lines.items())
        ],
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())
