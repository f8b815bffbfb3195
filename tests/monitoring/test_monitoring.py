"""Alerts and dashboard ask for metrics that there are, with labels and values that they have; every reason is documented."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from vpccni.ipam.reasons import Reason

ROOT = Path(__file__).parents[2]
MAKER = runpy.run_path(str(ROOT / "tools/make_dashboard.py"))
DASHBOARD: Path = MAKER["TARGET"]
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "monitoring/alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
TARGETS = [
    (panel["title"], target)
    for panel in MAKER["dashboard"]()["panels"]
    for target in panel.get("targets", ())
]
TROUBLESHOOTING = (ROOT / "docs/troubleshooting.md").read_text()
EXPRESSIONS = [(rule["alert"], rule["expr"]) for rule in RULES] + [
    (title, target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*"))
    for title, target in TARGETS
]
PARTS = {
    "counter": ("",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}
EVERYWHERE = {"instance", "le"}
"""What Prometheus itself adds, and what buckets have."""


def documented() -> dict[str, set[str]]:
    """Series → labels, as docs/metrics.md has them; a test of its own holds that against the agent."""
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE
    )
    return {
        f"{name}{part}": set(re.findall(r"`(\w+)`", labels)) | EVERYWHERE
        for name, kind, labels in rows
        for part in PARTS[kind]
    }


def selectors(node: Any) -> Iterator[Any]:
    """Every selector of an expression."""
    if isinstance(node, promql.VectorSelector):
        yield node
        return
    for attribute in ("expr", "lhs", "rhs", "vector_selector", "param"):
        below = getattr(node, attribute, None)
        if below is not None:
            yield from selectors(below)
    for argument in getattr(node, "args", None) or ():
        yield from selectors(argument)


def groupings(node: Any) -> Iterator[str]:
    """Every label that something is summed by."""
    if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
        yield from node.modifier.labels
    for attribute in ("expr", "lhs", "rhs"):
        below = getattr(node, attribute, None)
        if below is not None:
            yield from groupings(below)
    for argument in getattr(node, "args", None) or ():
        yield from groupings(argument)


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=lambda value: value[:40])
def test_an_expression_asks_for_what_there_is(name: str, expression: str) -> None:
    series = documented()
    parsed = promql.parse(expression)
    found = list(selectors(parsed))
    assert found or "vector" in expression, name
    for selector in found:
        assert selector.name in series, f"{name}: no metric {selector.name}"
        used = {matcher.name for matcher in selector.matchers.matchers}
        assert used <= series[selector.name], (
            f"{name}: {selector.name} has no label {used - series[selector.name]}"
        )
        for matcher in selector.matchers.matchers:
            if matcher.name == "reason":
                assert set(matcher.value.split("|")) <= {reason.value for reason in Reason}
    known = set().union(*(series[selector.name] for selector in found))
    assert set(groupings(parsed)) <= known, name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_is_complete_and_leads_somewhere(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"VpcCni[A-Za-z]+", rule["alert"])
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    page, _, anchor = notes["runbook_url"].partition("#")
    assert page == "docs/troubleshooting.md"
    assert anchor in anchors()
    labels = set(re.findall(r"\$labels\.(\w+)", notes["summary"] + notes["description"]))
    parsed = promql.parse(rule["expr"])
    grouped = set(groupings(parsed))
    kept = grouped or set().union(*(documented()[selector.name] for selector in selectors(parsed)))
    assert labels <= kept, f"{labels - kept} is summed away"


def test_no_alert_is_there_twice() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)


def anchors() -> set[str]:
    heads = re.findall(r"^#+ (.+)$", TROUBLESHOOTING, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_every_reason_has_a_section(reason: Reason) -> None:
    assert f"\n### {reason.value}\n" in TROUBLESHOOTING


def test_every_link_within_the_page_leads_somewhere() -> None:
    assert set(re.findall(r"\]\(#([\w-]+)\)", TROUBLESHOOTING)) <= anchors()


def test_the_dashboard_is_as_its_maker_makes_it_and_its_panels_fit() -> None:
    assert DASHBOARD.read_text() == MAKER["text"]()
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
