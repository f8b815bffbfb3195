"""IMDS with real packets: tokens, and how far they go."""

from __future__ import annotations

import json

import boto3  # type: ignore[import-untyped]
import pytest

from tests.lab.conftest import LabUnderTest, StartLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
URL = "http://169.254.169.254/latest"
TOKEN = "X-aws-ec2-metadata-token"
TIMED_OUT = 28
"""curl's code for it."""


def curl(lab: LabUnderTest, where: str, path: str, *options: str) -> tuple[int, str]:
    done = lab("exec", where, "--", "curl", "-sS", "-m", "2", *options, f"{URL}/{path}", check=False)
    return done.returncode, done.stdout


def token(lab: LabUnderTest, where: str) -> tuple[int, str]:
    return curl(lab, where, "api/token", "-X", "PUT", "-H", f"{TOKEN}-ttl-seconds: 60")


def test_tokens_of_a_node_and_of_its_pods(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1")
    lab.pod("a")
    status = lab.json("status")
    node = next(one["instanceId"] for one in status["machines"] if one["name"] == "node1")
    ec2 = boto3.client("ec2", endpoint_url=status["api"], region_name="ap-northeast-2",
                       aws_access_key_id="any", aws_secret_access_key="any")  # fmt: skip

    def given(**options: object) -> None:
        ec2.modify_instance_metadata_options(InstanceId=node, **options)

    # without a token nothing, from a node as from a pod
    for where in ("node1", "a"):
        assert "401 - Unauthorized" in curl(lab, where, "meta-data/instance-id")[1]

    # two hops, as the template has it: a pod gets the node's token
    held = {}
    for where in ("node1", "a"):
        code, held[where] = token(lab, where)
        assert code == 0
        assert curl(lab, where, "meta-data/instance-id", "-H", f"{TOKEN}: {held[where]}") == (0, node)
    [role] = curl(lab, "a", "meta-data/iam/security-credentials/", "-H", f"{TOKEN}: {held['a']}")[1].split()
    path = f"meta-data/iam/security-credentials/{role}"
    assert json.loads(curl(lab, "a", path, "-H", f"{TOKEN}: {held['a']}")[1])["Code"] == "Success"

    # one hop: the answer to a pod's PUT ends in the node; a token that it has is still good
    given(HttpPutResponseHopLimit=1)
    assert token(lab, "node1")[0] == 0
    assert token(lab, "a") == (TIMED_OUT, "")
    assert curl(lab, "a", "meta-data/instance-id", "-H", f"{TOKEN}: {held['a']}") == (0, node)

    # version 1 asks for no token: the hop limit does not stop it
    given(HttpTokens="optional")
    assert curl(lab, "a", "meta-data/instance-id") == (0, node)

    given(HttpEndpoint="disabled")
    assert "403 - Forbidden" in curl(lab, "node1", "meta-data/instance-id")[1]
