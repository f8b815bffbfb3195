"""Each scenario that ships, in a shorter time and the largest smaller: its tables stay as they are until somebody means to change them.

PLAN_GOLDEN=write pytest tests/plan/test_golden.py writes them anew; the difference is to be read before it is committed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from vpclab.plan.command import SHIPPED
from vpclab.plan.reading import scenario_of
from vpclab.plan.run import simulate
from vpclab.plan.tables import report
from vpclab.plan.yaml_fields import seconds

GOLDEN = Path(__file__).parent / "golden"
SMALLER = {"spark-bursts": 0.05}
SHORTER = {
    "default-on-a-24": "10m",
    "forty-left": "70m",
    "prefix-or-not": "70m",
    "spark-bursts": "41m",
    "warm-ip-target": "1h",
}


def test_every_scenario_that_ships_is_here() -> None:
    shipped = {
        f.name.removesuffix(".yaml") for f in resources.files(SHIPPED).iterdir() if f.name.endswith(".yaml")
    }
    assert shipped == SHORTER.keys()


@pytest.mark.parametrize("name", sorted(SHORTER))
def test_its_tables(name: str) -> None:
    file = resources.files(SHIPPED).joinpath(f"{name}.yaml")
    scenario = replace(
        scenario_of(file.read_text(encoding="utf-8"), file.name), seconds=seconds(SHORTER[name])
    )
    scenario = scenario.scaled(SMALLER.get(name, 1.0))
    found = report(scenario, simulate(scenario)) + "\n"
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("PLAN_GOLDEN") == "write":
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")
