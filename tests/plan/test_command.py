"""`vpc-cni plan` is found by its entry point, and says what is missing where it is not."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vpccni.cli import base
from vpccni.cli.main import main

SMALL = """\
duration: 10m
subnets: [{name: a, cidr: 10.0.0.0/24}]
nodes: [{name: n, type: m5.large, count: 2}]
pods: [{shape: poisson, per_hour: 100, life: 5m}]
"""


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["plan", *words])


@pytest.fixture
def small(tmp_path: Path) -> str:
    (tmp_path / "small.yaml").write_text(SMALL)
    return str(tmp_path / "small.yaml")


def test_tables_json_and_a_page(small: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    shown = run(small, "--jobs", "1", "--policy", "WARM_IP_TARGET=2,MINIMUM_IP_TARGET=5", "--html", str(page))
    assert shown.exit_code == 0, shown.output
    assert "WARM_IP_TARGET=2" in shown.output
    assert page.read_text().startswith("<!doctype html>")
    told = json.loads(run(small, "--jobs", "1", "-o", "json", "--duration", "5m", "--seed", "3").output)
    assert told["policies"][0]["policy"] == "default"
    assert len(told["policies"][0]["series"]["times"]) == 289


def test_what_ships_is_listed() -> None:
    assert "spark-bursts" in run("--list").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give a scenario's file or name"),
        (("nowhere.yaml",), "there is no file nowhere.yaml, and no scenario of that name: "),
        (("forty-left", "--only", "x"), "--only x: the policies are default"),
        (("forty-left", "--policy", "WARM_IP_TARGET"), "is not NAME=VALUE"),
        (("forty-left", "--policy", "WARM_IP_TARGET=x"), "is not a whole number"),
        (("forty-left", "--policy", "WARM_IP_TARGET=1"), "the scenario has a policy of this name"),
        (("forty-left", "--duration", "soon"), "'soon' is not a duration"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_exit_status_2(words: tuple[str, ...], said: str) -> None:
    shown = run(*words)
    assert shown.exit_code == 2
    assert said in shown.output


@pytest.mark.parametrize(
    "there",
    [EntryPoints(), EntryPoints([EntryPoint("plan", "no_such_lab.plan:plan", base.PLUGINS)])],
    ids=["no entry point", "its package is not there"],
)
def test_without_the_lab_s_package_it_is_said_what_is_missing(
    there: EntryPoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "entry_points", there.select)
    shown = run("x.yaml")
    assert shown.exit_code == 2
    assert "install vpc-cni[lab]" in shown.output
    assert "plan" not in CliRunner().invoke(main, ["--help"]).output.partition("Commands:")[2]
