"""Prometheus' text format, version 0.0.4.

Our own lines and not prometheus_client's: that renames every counter to end in _total, which the original's do not. Beside
that it takes 1.1 MiB and a thread in an agent that has loaded botocore; this, with all of introspection, 0.5 MiB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

from vpccni.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Kind = Literal["counter", "gauge", "histogram", "summary"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One line."""

    suffix: str
    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its label values. No samples: it is declared and was never counted."""

    name: str
    kind: Kind
    text: str
    samples: tuple[Sample, ...]

    @property
    def label_names(self) -> tuple[str, ...]:
        """What tells its series apart, `le` of histograms left out."""
        return tuple(dict.fromkeys(name for s in self.samples for name in s.labels if name != "le"))


def gauge(name: str, text: str, *values: tuple[Labels, float]) -> Family:
    """What goes up and down."""
    return Family(name, "gauge", text, tuple(Sample("", labels, value) for labels, value in values))


def counter(name: str, text: str, *values: tuple[Labels, float]) -> Family:
    """What only grows; the name is used as it is."""
    return Family(name, "counter", text, tuple(Sample("", labels, value) for labels, value in values))


def summary(name: str, text: str, *values: tuple[Labels, Histogram]) -> Family:
    """Sum and count, without quantiles."""
    samples = [
        s for labels, h in values for s in (Sample("_sum", labels, h.sum), Sample("_count", labels, h.count))
    ]
    return Family(name, "summary", text, tuple(samples))


def histogram(name: str, text: str, *values: tuple[Labels, Histogram]) -> Family:
    """Counts by upper bound, sum and count."""
    samples: list[Sample] = []
    for labels, h in values:
        samples += [
            Sample("_bucket", {**labels, "le": _number(bound)}, count) for bound, count in h.cumulative()
        ]
        samples += [Sample("_sum", labels, h.sum), Sample("_count", labels, h.count)]
    return Family(name, "histogram", text, tuple(samples))


def render(families: Iterable[Family]) -> bytes:
    """A whole page."""
    return "".join(_family(family) for family in families).encode()


def _family(family: Family) -> str:
    text = family.text.replace("\\", "\\\\").replace("\n", "\\n")
    lines = [f"# HELP {family.name} {text}\n# TYPE {family.name} {family.kind}\n"]
    lines += [
        f"{family.name}{sample.suffix}{_labels(sample.labels)} {_number(sample.value)}\n"
        for sample in family.samples
    ]
    return "".join(lines)


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    """As Go writes it: 2, not 2.0."""
    if value == inf:
        return "+Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
