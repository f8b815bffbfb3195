"""The numbers that EKS publishes, and what they are made of."""

import json

import pytest
from click.testing import CliRunner

from vpccni.cli.main import main


def ask(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["max-pods", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    ("arguments", "pods"),
    [
        (["m5.large"], 29),
        (["t3.medium"], 17),
        (["t3.nano"], 4),
        (["m5.large", "--prefix"], 110),
        (["m5.24xlarge", "--prefix"], 250),
        (["m5.large", "--custom-networking"], 20),
        (["m4.large", "--prefix"], 20),
    ],
)
def test_as_eks_publishes_them(arguments: list[str], pods: int) -> None:
    assert json.loads(ask("--instance-type", *arguments, "-o", "json"))["maxPods"] == pods


def test_the_number_is_explained() -> None:
    assert ask("--instance-type", "m5.large") == (
        "m5.large: 29\n  3 ENIs x 9 places + 2 pods of the host's network = 29\n"
    )
    said = ask(
        "--instance-type", "m5.large", "--instance-type", "m4.large", "--prefix", "--custom-networking"
    )
    assert "2 ENIs x 9 places x 16 addresses + 2" in said
    assert "EKS recommends no more than 110 with 2 vCPUs" in said
    assert "of 3 ENIs the primary gives pods none" in said
    assert "this type takes no prefixes, so pods get single addresses" in said


def test_a_type_that_is_not_known_is_refused_with_where_to_look() -> None:
    done = CliRunner().invoke(main, ["max-pods", "--instance-type", "m5.huge"])
    assert done.exit_code == 2
    assert "'m5.huge' is not in the list" in done.output
    assert "describe-instance-types" in done.output
