"""`vpc-cni plan`, which the command line finds by its entry point: without the lab's package there is no such command."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from importlib import resources
from pathlib import Path

import click

from vpclab.plan.scenario import Policy, Scenario, ScenarioError
from vpclab.plan.yaml_fields import seconds

SHIPPED = "vpclab.plan.scenarios"
WRONG = 2
"""Exit status for a scenario that can't be planned."""


class _WrongError(click.ClickException):
    exit_code = WRONG


@click.command("plan")
@click.argument("scenario", required=False)
@click.option(
    "--from",
    "source",
    metavar="SOURCE",
    help="Plan what is there: lab:NAME, cluster (by KUBECONFIG), or a JSON file of counts.",
)
@click.option(
    "--subnets",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --from cluster: what `aws ec2 describe-subnets` printed.",
)
@click.option(
    "--write",
    "written",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --from: write the scenario down, run nothing.",
)
@click.option("--list", "listing", is_flag=True, help="Name the scenarios that come with this version.")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="NAME=VALUE,…",
    help="Settings to compare, beside the scenario's.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Of the scenario's policies only these.")
@click.option("--seed", type=int, help="Instead of the scenario's.")
@click.option("--duration", metavar="2h", help="Instead of the scenario's.")
@click.option(
    "--largest", "with_largest", is_flag=True, help="Find the largest cluster that fits: some runs more."
)
@click.option(
    "--jobs", type=int, default=None, help="Processes; as many as there are processors if not given."
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
@click.option(
    "--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a report with plots."
)
def plan(  # noqa: PLR0917 -- click gives them all by name
    scenario: str | None,
    source: str | None,
    subnets: Path | None,
    policies: tuple[str, ...],
    only: tuple[str, ...],
    seed: int | None,
    duration: str | None,
    jobs: int | None,
    output: str,
    page: Path | None,
    written: Path | None,
    *,
    listing: bool,
    with_largest: bool,
) -> None:
    """Tell what settings do to a cluster: its addresses, its waiting pods, its EC2 calls (docs/plan.md).

    SCENARIO is a YAML file, or the name of one that comes with this version.
    """
    from vpclab.plan.run import simulate  # noqa: PLC0415 -- --help and --list need none of it
    from vpclab.plan.tables import report  # noqa: PLC0415

    if listing:
        for name, said in shipped():
            click.echo(f"{name:28} {said}")
        return
    try:
        if written is not None:
            _write(source, subnets, written)
            return
        wanted = _scenario(scenario, source, subnets)
        wanted = _changed(wanted, policies, only, seed, duration)
        outcomes = simulate(wanted, jobs=os.cpu_count() or 1 if jobs is None else jobs)
        if with_largest:
            from vpclab.plan.largest import largest  # noqa: PLC0415

            for outcome, policy in zip(outcomes, wanted.policies, strict=True):
                found = largest(wanted, policy)
                outcome.largest_nodes = found.nodes
                outcome.largest = f"{found.nodes} nodes" if found.nodes is not None else "none"
                outcome.constraint += f"; a cluster larger than {outcome.largest}: {found.because}"
    except (ScenarioError, OSError) as error:
        raise _WrongError(str(error)) from None
    if page is not None:
        from vpclab.plan.html import render  # noqa: PLC0415

        page.write_text(render(wanted, outcomes), encoding="utf-8")
    if output == "json":
        click.echo(
            json.dumps({"scenario": wanted.name, "policies": [o.to_json() for o in outcomes]}, indent=2)
        )
    else:
        click.echo(report(wanted, outcomes))
    if page is not None and output != "json":
        click.echo(f"\nwritten: {page}")


def shipped() -> list[tuple[str, str]]:
    """The scenarios that come with this version, each with the first line of its description."""
    from vpclab.plan.reading import scenario_of  # noqa: PLC0415

    found = []
    for file in sorted(resources.files(SHIPPED).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            read = scenario_of(file.read_text(encoding="utf-8"), file.name)
            found.append((file.name.removesuffix(".yaml"), read.name))
    return found


def _write(source: str | None, subnets: Path | None, file: Path) -> None:
    import yaml  # noqa: PLC0415

    from vpclab.plan.sources import as_scenario, counts_from  # noqa: PLC0415

    if source is None:
        raise ScenarioError("--write writes what --from finds: give both")
    said = as_scenario(counts_from(source, subnets), source)
    file.write_text(yaml.safe_dump(said, sort_keys=False, width=110), encoding="utf-8")
    click.echo(f"written: {file}")


def _scenario(name: str | None, source: str | None, subnets: Path | None = None) -> Scenario:
    from vpclab.plan.reading import read_scenario, scenario_of  # noqa: PLC0415

    if (name is None) == (source is None):
        raise ScenarioError(
            "give a scenario's file or name, or --from what is there; --list names what comes with this"
        )
    if source is not None:
        from vpclab.plan.sources import scenario_from  # noqa: PLC0415

        return scenario_from(source, subnets)
    if name is None or Path(name).exists():
        return read_scenario(Path(name or ""))
    at_hand = resources.files(SHIPPED).joinpath(f"{name}.yaml")
    if "/" not in name and at_hand.is_file():
        return scenario_of(at_hand.read_text(encoding="utf-8"), f"{name}.yaml")
    raise ScenarioError(
        f"there is no file {name}, and no scenario of that name: {', '.join(n for n, _ in shipped())}"
    )


def _changed(
    scenario: Scenario,
    policies: tuple[str, ...],
    only: tuple[str, ...],
    seed: int | None,
    duration: str | None,
) -> Scenario:
    if seed is not None:
        scenario = replace(scenario, seed=seed)
    if duration is not None:
        scenario = replace(scenario, seconds=seconds(duration))
    kept = [p for p in scenario.policies if not only or p.name in only]
    unknown = set(only) - {p.name for p in scenario.policies}
    if unknown:
        raise ScenarioError(
            f"--only {', '.join(sorted(unknown))}: the policies are {', '.join(p.name for p in scenario.policies)}"
        )
    twice = {p.name for p in kept} & set(policies)
    if twice:
        raise ScenarioError(f"--policy {min(twice)}: the scenario has a policy of this name")
    made = tuple(kept) + tuple(map(_policy, policies))
    return replace(scenario, policies=made or scenario.policies)


def _policy(said: str) -> Policy:
    from vpclab.plan.policies import problem_of  # noqa: PLC0415

    env = {}
    for part in said.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals:
            raise ScenarioError(f"--policy {said}: {part!r} is not NAME=VALUE, such as WARM_IP_TARGET=5")
        env[name] = value
    policy = Policy(said, env=env)
    problem = problem_of(policy)
    if problem is not None:
        raise ScenarioError(f"--policy {said}: {problem[1]}")
    return policy
