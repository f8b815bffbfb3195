"""The first page of a bundle: what is wrong, in order of what it does to pods, and what to do. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vpccni.cli.explain.story import of_node

Plain = Mapping[str, Any]
MOST = 10
"""Lines of one kind."""
LOUD = ("error", "fatal", "warn")
LOW = 0.2
"""The part of EC2's budget below which it is told of."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the page is written from. None or empty: it could not be had."""

    at: str
    version: str
    status: Plain | None = None
    decisions: Sequence[Plain] = ()
    pods: Sequence[Plain] | None = None
    """As `vpc-cni pods` lists them."""
    doctor: Plain | None = None
    """As `vpc-cni doctor` tells."""
    subnets: Sequence[Plain] = ()
    logs: Mapping[str, str] = field(default_factory=dict, hash=False)
    missing: Mapping[str, str] = field(default_factory=dict, hash=False)


def first_page(found: Gathered) -> str:
    """Markdown."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Gathered) -> Iterator[str]:
    node = found.status["node"] if found.status is not None else "this node"
    yield f"# {node or 'this node'}, {found.at}"
    yield ""
    wrong = list(_wrong(found))
    yield f"vpc-cni {found.version}. " + (
        f"{len(wrong)} thing{'s' if len(wrong) > 1 else ''} to look at."
        if wrong
        else "Nothing wrong was found."
    )
    for number, (what, do) in enumerate(wrong, 1):
        yield ""
        yield f"{number}. {what}"
        if do:
            yield f"   - do: {do}"
    for title, lines in (
        ("The pool", _pool(found.status)),
        ("Subnets", _subnets(found.subnets)),
        ("Pods that were refused", _refused(found.decisions)),
        ("What the logs say most", _logs(found.logs)),
        ("What could not be had", (f"{name}: {why}" for name, why in found.missing.items())),
    ):
        listed = list(lines)
        if listed:
            yield ""
            yield f"## {title}"
            yield ""
            yield from (f"- {line}" for line in listed)
    yield ""
    yield "## Reading it"
    yield ""
    yield "`vpc-cni status|pods|explain --from FILE` read this file as they read a node. Keys, tokens and account numbers are"
    yield "left out, container IDs cut short."


def _wrong(found: Gathered) -> Iterator[tuple[str, str]]:
    """What, and what to do, the worst first."""
    if found.status is None:
        yield (
            "The agent does not answer: no pod of this node gets an address.",
            "look at the aws-node pod and at logs/ipamd.log",
        )
    else:
        story = of_node(found.status, ())
        advice = dict(story.advice)
        for sentence in story.now:
            reason = sentence.removeprefix("in the way: ").partition(":")[0]
            if sentence.startswith("in the way: "):
                yield (
                    f"In the way of addresses: {sentence.removeprefix('in the way: ')}",
                    advice.get(reason, ""),
                )
    drifted = [pod for pod in found.pods or () if pod["drift"]]
    for pod in drifted[:MOST]:
        yield (
            f"Pod {pod['pod']} ({pod['address']}): {'; '.join(pod['drift'])}",
            "vpc-cni trace it, and vpc-cni doctor --fix",
        )
    for finding in (found.doctor or {}).get("findings", ()):
        if finding["severity"] != "note":
            yield (
                f"{finding['check']} ({finding['severity']}): {finding['found']}. {finding['why']}",
                finding["fix"],
            )
    for subnet in found.subnets:
        if subnet["available"] == 0:
            yield f"{subnet['subnet']} ({subnet['cidr']}) has no free address.", "; ".join(subnet["advice"])
    for each in (found.status or {}).get("budget", ()):
        if each["tokens"] < each["size"] * LOW or each["pace"] < 1:
            yield (
                f"Few {each['action']} calls are left ({each['tokens']:.0f} of {each['size']:g}, pace {each['pace']:.2f}).",
                "EC2 throttles this account or the node asks for much: see vpc-cni status",
            )


def _pool(status: Plain | None) -> Iterator[str]:
    if status is not None:
        yield from (line for line in of_node(status, ()).now if not line.startswith("in the way: "))


def _subnets(subnets: Iterable[Plain]) -> Iterator[str]:
    for subnet in subnets:
        yield (
            f"{subnet['subnet']} {subnet['cidr']}: {subnet['available']} addresses and {subnet['freeBlocks']} whole /28s free"
        )


def _refused(decisions: Iterable[Plain]) -> Iterator[str]:
    counts: Counter[str] = Counter()
    for note in decisions:
        if note["kind"] == "refused":
            counts[f"{note['what'].removeprefix('an address for ')}: {note['why']}"] += note["times"]
    yield from (f"{what} ({times} times)" for what, times in counts.most_common(MOST))


def _logs(logs: Mapping[str, str]) -> Iterator[str]:
    for name, text in logs.items():
        counts: Counter[tuple[str, str]] = Counter()
        for line in text.splitlines():
            try:
                read = json.loads(line)
            except ValueError:
                continue  # a stack trace, or a line that was cut
            if isinstance(read, dict) and read.get("level") in LOUD:
                counts[str(read["level"]), str(read.get("msg", ""))[:200]] += 1
        for (level, message), times in counts.most_common(MOST):
            yield f"{name}, {level}, {times} times: {message}"
