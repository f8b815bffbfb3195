"""EC2 calls per node start, per 100 pods up, per 100 pods down: asserted against the region's call log, and published.

`python -m tests.sim.test_calls` prints the tables of docs/ec2-calls.md anew.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.sim.calls_story import MODES, Story, tell

DOC = Path(__file__).parents[2] / "docs" / "ec2-calls.md"
PACES = {"one a second": 1.0, "all at once": 0.0}
SHORT = {
    "AssignPrivateIpAddresses": "Assign",
    "AttachNetworkInterface": "Attach",
    "CreateNetworkInterface": "Create",
    "CreateTags": "Tags",
    "DeleteNetworkInterface": "Delete",
    "DescribeInstances": "DescribeInstances",
    "DescribeNetworkInterfaces": "DescribeENIs",
    "DescribeSubnets": "DescribeSubnets",
    "DetachNetworkInterface": "Detach",
    "ModifyNetworkInterfaceAttribute": "Modify",
    "UnassignPrivateIpAddresses": "Unassign",
}


@cache
def story(mode: str, pace: str, *, original: bool = False) -> Story:
    return tell(MODES[mode], original=original, every=PACES[pace])


def listed(calls: Counter[str]) -> str:
    parts = ", ".join(f"{SHORT[action]} {count}" for action, count in sorted(calls.items()) if count)
    return f"**{sum(calls.values())}**: {parts}" if parts else "**0**"


def tables() -> str:
    lines = ["| Mode | Whose | A node starts |", "| --- | --- | --- |"]
    for mode in MODES:
        for original in (False, True):
            told = story(mode, "one a second", original=original)
            lines.append(f"| {mode} | {_whose(original)} | {listed(told.start)} |")
    for pace in PACES:
        lines += [
            "",
            f"| Mode, pods come and go {pace} | Whose | 100 pods up | 100 pods down | failed ADDs | longest wait |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for mode in MODES:
            for original in (False, True):
                told = story(mode, pace, original=original)
                lines.append(
                    f"| {mode} | {_whose(original)} | {listed(told.up)} | {listed(told.down)} "
                    f"| {told.failed_adds} | {told.longest_wait:.0f} s |"
                )
    return "\n".join(lines)


def _whose(original: bool) -> str:
    return "original" if original else "ours"


def test_the_published_figures_are_what_the_call_log_says() -> None:
    published = DOC.read_text(encoding="utf-8").split("<!-- figures -->")[1].strip()
    assert published == tables(), "python -m tests.sim.test_calls prints them anew"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pace", PACES)
def test_no_pod_fails_and_growing_costs_no_more_than_the_original(mode: str, pace: str) -> None:
    ours, theirs = story(mode, pace), story(mode, pace, original=True)
    assert ours.failed_adds == 0
    assert ours.start.total() <= theirs.start.total()
    assert ours.longest_wait <= theirs.longest_wait + 2.0


@pytest.mark.parametrize("mode", MODES)
def test_the_originals_start_is_counted_by_hand(mode: str) -> None:
    """Spec 6.9, "start": describe, tag the primary, its subnet, its groups; and one round of pool increase."""
    assert story(mode, "one a second", original=True).start == Counter(
        {
            "DescribeNetworkInterfaces": 1,
            "CreateTags": 1,
            "DescribeSubnets": 1,
            "ModifyNetworkInterfaceAttribute": 1,
            "AssignPrivateIpAddresses": 1,
        }
    )


def test_the_originals_enis_are_counted_by_hand() -> None:
    """100 pods and 29 addresses an ENI: four more ENIs until 29 are free, six calls each; three for each that goes."""
    told = story("WARM_ENI_TARGET=1", "one a second", original=True)
    assert told.up == Counter(
        {
            "DescribeSubnets": 8,
            "CreateNetworkInterface": 4,
            "DescribeInstances": 4,
            "AttachNetworkInterface": 4,
            "ModifyNetworkInterfaceAttribute": 4,
        }
    )
    gone = told.down["DeleteNetworkInterface"]
    assert told.down == Counter(
        {
            "DescribeNetworkInterfaces": gone,
            "DetachNetworkInterface": gone,
            "DeleteNetworkInterface": gone,
        }
    )


if __name__ == "__main__":
    print(tables())  # noqa: T201 -- for the document
