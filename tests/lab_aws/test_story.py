"""The story of EC2 calls in story.yaml: each answer and refusal is as AWS documents or was seen to give it."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import ClientError
from tests.lab_aws.conftest import Clock, Loop, ec2_client

from vpclab.aws import Endpoint, cloud_of
from vpclab.region import Delays, Region

STORY: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("story.yaml").read_text())
DELAYS = Delays(attach=(2, 2), detach=(2, 2), launch=(5, 5), shutdown=(10, 10))


def filled(value: Any, kept: dict[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda match: kept[match[1]], value)
    if isinstance(value, list):
        return [filled(one, kept) for one in value]
    return {key: filled(one, kept) for key, one in value.items()} if isinstance(value, dict) else value


def at(answer: Any, path: str) -> Any:
    for part in path.split("."):
        answer = answer[int(part)] if part.isdecimal() else answer[part]
    return answer


def differences(wanted: Any, got: Any, where: str = "") -> list[str]:
    if isinstance(wanted, dict) and isinstance(got, dict):
        return [
            text for key, one in wanted.items() for text in differences(one, got.get(key), f"{where}.{key}")
        ]
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        return [
            text
            for n, (one, other) in enumerate(zip(wanted, got, strict=True))
            for text in differences(one, other, f"{where}.{n}")
        ]
    alike = (
        fnmatch.fnmatchcase(got, wanted)
        if isinstance(wanted, str) and isinstance(got, str)
        else wanted == got
    )
    return [] if alike else [f"{where}: {got!r} is not {wanted!r}"]


def told(client: Any, step: dict[str, Any], kept: dict[str, str]) -> list[str]:
    """One step; what was not as it should be."""
    try:
        answer = client._make_api_call(step["call"], filled(step.get("with", {}), kept))
    except ClientError as error:
        found = error.response
        status = found["ResponseMetadata"]["HTTPStatusCode"]
        seen = f"{found['Error']['Code']} ({status}): {found['Error']['Message']}"
        right = (
            found["Error"]["Code"] == step.get("refused")
            and status == step.get("status", 400)
            and filled(step.get("saying", ""), kept) in found["Error"]["Message"]
        )
        return [] if right else [f"{step['call']} was refused: {seen}"]
    if "refused" in step:
        return [f"{step['call']} was not refused with {step['refused']}"]
    kept.update({name: at(answer, path) for name, path in step.get("keep", {}).items()})
    wrong = differences(filled(step.get("gives", {}), kept), answer)
    wrong += [
        f"{path} has {len(at(answer, path))} items, not {count}"
        for path, count in step.get("counts", {}).items()
        if len(at(answer, path)) != count
    ]
    return [f"{step['call']}{text}" for text in wrong]


def test_every_step_of_the_story_says_where_it_comes_from() -> None:
    assert len(STORY) >= 60
    assert all(step["from"] for step in STORY)
    assert all(("refused" in step) <= ("gives" not in step) for step in STORY)


def test_the_story(loop: Loop) -> None:
    clock = Clock()
    region = Region(now=clock.now, delays=DELAYS)
    client = ec2_client(loop.serve(Endpoint(cloud_of(region), clock)))
    kept: dict[str, str] = {}
    wrong: list[str] = []
    for number, step in enumerate(STORY, 1):
        clock.now += step.get("pass", 0)
        wrong += [f"step {number}: {text}" for text in told(client, step, kept)]
    client.close()
    assert not wrong, "\n".join(wrong)
