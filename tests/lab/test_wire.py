"""AWS's API from outside and inside a lab: the real `aws` and boto3; W6, W8 and W9 of the study; changes are packets.

The lab verifies signatures, so its agents' own calls are proven, too.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config

from tests.lab.conftest import LabUnderTest, StartLab
from tests.lab.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
ONCE = Config(retries={"total_max_attempts": 1})
AWS = str(Path(sys.executable).with_name("aws"))
W6 = (
    "Reservations[*].Instances[*].{PublicIPAdd:PublicIpAddress,PrivateIPAdd:PrivateIpAddress,"
    "InstanceName:Tags[?Key=='Name']|[0].Value,Status:State.Name}"
)


def aws(
    variables: Mapping[str, str], *arguments: str, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    clean = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(
        [AWS, *arguments], env=clean | dict(variables), capture_output=True, text=True, timeout=60
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def exports(lab: LabUnderTest) -> dict[str, str]:
    """What a shell has after eval "$(vpc-lab env-vars)"."""
    script = f"{lab('env-vars').stdout}\nenv -0"
    shell = subprocess.run(
        ["sh", "-ec", script], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    return dict(line.split("=", 1) for line in shell.stdout.split("\0") if "=" in line)


def ping(lab: LabUnderTest, address: str) -> bool:
    return lab("exec", "bastion", "--", "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def links(lab: LabUnderTest) -> str:
    return lab("exec", "node1", "--", "ip", "-o", "link").stdout


def test_the_api_from_the_machine_and_from_the_lab(start_lab: StartLab) -> None:
    lab = start_lab("--strict-auth")
    variables = exports(lab)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", variables["AWS_ENDPOINT_URL"])
    assert lab.json("status")["api"] == variables["AWS_ENDPOINT_URL"]

    def client(service: str, **others: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            region_name=variables["AWS_REGION"],
            config=ONCE,
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=others.get("secret", variables["AWS_SECRET_ACCESS_KEY"]),
        )

    ec2 = client("ec2")

    # W6
    running = ("--filters", "Name=instance-state-name,Values=running", "--output", "table")
    table = aws(variables, "ec2", "describe-instances", "--query", W6, *running).stdout
    machines = {one["name"]: one for one in lab.json("status")["machines"]}
    assert len(machines) == 4
    for machine in machines.values():
        row = next(line for line in table.splitlines() if f" {machine['privateIp']} " in line)
        assert machine["publicIp"] in row
        assert "running" in row

    # W8 and W9
    nodes = [machines[f"node{n}"]["privateIp"] for n in (1, 2, 3)]
    assert not ping(lab, nodes[0])
    group = aws(
        variables, "ec2", "describe-security-groups", "--filters", "Name=group-name,Values=*ng1*",
        "--query", "SecurityGroups[*].[GroupId]", "--output", "text",
    ).stdout.strip()  # fmt: skip
    permission = ("--group-id", group, "--protocol", "-1", "--cidr", "192.168.1.100/32")
    answer = json.loads(aws(variables, "ec2", "authorize-security-group-ingress", *permission).stdout)
    assert answer["Return"] is True
    until(lambda: ping(lab, nodes[0]))
    assert all(ping(lab, node) for node in nodes)
    again = aws(variables, "ec2", "authorize-security-group-ingress", *permission, check=False)
    assert "An error occurred (InvalidPermission.Duplicate)" in again.stderr
    [rule] = ec2.describe_security_group_rules(
        Filters=[
            {
                "Name": "security-group-rule-id",
                "Values": [answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]],
            }
        ]
    )["SecurityGroupRules"]
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])
    until(lambda: not ping(lab, nodes[0]))

    # an ENI put on by hand is a device
    node = machines["node1"]
    subnet = ec2.describe_instances(InstanceIds=[node["instanceId"]])["Reservations"][0]["Instances"][0][
        "SubnetId"
    ]
    eni = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]
    ec2.get_waiter("network_interface_available").wait(NetworkInterfaceIds=[eni["NetworkInterfaceId"]])
    attachment = ec2.attach_network_interface(
        NetworkInterfaceId=eni["NetworkInterfaceId"], InstanceId=node["instanceId"], DeviceIndex=2
    )["AttachmentId"]
    until(lambda: eni["MacAddress"] in links(lab))
    ec2.detach_network_interface(AttachmentId=attachment, Force=True)
    until(lambda: eni["MacAddress"] not in links(lab))

    # who calls, and who may not
    assert client("sts").get_caller_identity()["Arn"].endswith(":user/admin")
    with pytest.raises(Exception, match="SignatureDoesNotMatch"):
        client("sts", secret="wrong").get_caller_identity()
    calls = lab.json("calls", "--service", "sts")
    assert [(one["service"], one["action"], one["code"]) for one in calls] == [
        ("sts", "GetCallerIdentity", ""),
        ("sts", "GetCallerIdentity", "SignatureDoesNotMatch"),
    ]
    lab("fault", "add", "error:sts:GetCallerIdentity=InternalFailure,rate=1")
    with pytest.raises(Exception, match="InternalFailure"):
        client("sts").get_caller_identity()

    lab("fault", "clear")

    # inside, by the usual name and with the instance's own role
    inside = lab(
        "exec", "bastion", "--", "env", "-u", "AWS_PROFILE", "AWS_DEFAULT_REGION=ap-northeast-2",
        "AWS_ENDPOINT_URL=http://sts.ap-northeast-2.amazonaws.com", AWS, "sts", "get-caller-identity",
    )  # fmt: skip
    assert json.loads(inside.stdout)["Arn"].endswith(machines["bastion"]["instanceId"])
