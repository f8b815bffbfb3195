"""CloudFormation in a lab that begins with nothing: the real `aws` and boto3 deploy the study's template, change it, break it,
delete it, and each step is machines and packets."""

import re
import time
from importlib import resources
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config
from botocore.exceptions import WaiterError

from tests.lab.conftest import LabUnderTest, StartLab, vpc_lab
from tests.lab.test_wire import aws, exports, ping
from tests.lab.waiting import until

pytestmark = pytest.mark.lab
STUDY = resources.files("vpclab") / "templates" / "myeks.yaml"
QUICKLY = {"Delay": 1, "MaxAttempts": 110}
LET_IN = """
  FromBastion:
    Type: AWS::EC2::SecurityGroupIngress
    Properties: {GroupId: !Ref NodeSecurityGroup, IpProtocol: "-1", CidrIp: 192.168.1.100/32}

Outputs:
"""


class Formation:
    """A client, and what it sees."""

    def __init__(self, lab: LabUnderTest, variables: dict[str, str]) -> None:
        self.lab = lab
        self.variables = variables
        self.cfn = self.client("cloudformation")

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            region_name=self.variables["AWS_REGION"],
            config=Config(retries={"total_max_attempts": 1}),
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
        )

    def wait(self, what: str, name: str = "study") -> dict[str, Any]:
        try:
            self.cfn.get_waiter(what).wait(StackName=name, WaiterConfig=QUICKLY)
        except WaiterError as error:
            raise AssertionError(f"{error}\n" + "\n".join(self.told(name))) from None
        stack: dict[str, Any] = self.cfn.describe_stacks(StackName=name)["Stacks"][0]
        return stack

    def told(self, name: str = "study") -> list[str]:
        events = self.cfn.describe_stack_events(StackName=name)["StackEvents"]
        return [
            f"{e['LogicalResourceId']} {e['ResourceStatus']} {e.get('ResourceStatusReason', '')}".strip()
            for e in reversed(events)
        ]

    def update(self, text: str | None = None, **parameters: str) -> None:
        known = self.cfn.describe_stacks(StackName="study")["Stacks"][0]["Parameters"]
        given = [
            {"ParameterKey": p["ParameterKey"], "ParameterValue": parameters[p["ParameterKey"]]}
            if p["ParameterKey"] in parameters
            else {"ParameterKey": p["ParameterKey"], "UsePreviousValue": True}
            for p in known
        ]
        body = {"UsePreviousTemplate": True} if text is None else {"TemplateBody": text}
        self.cfn.update_stack(
            StackName="study", Parameters=given, Capabilities=["CAPABILITY_NAMED_IAM"], **body
        )

    def id_of(self, logical: str) -> str:
        found = self.cfn.describe_stack_resource(StackName="study", LogicalResourceId=logical)
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def machines(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self.lab.json("status")["machines"]}


def test_the_study_comes_changes_breaks_and_goes(start_lab: StartLab, tmp_path: Path) -> None:
    lab = start_lab("--empty")
    formation = Formation(lab, exports(lab))
    ec2 = formation.client("ec2")
    assert lab.json("status")["machines"] == []
    assert ec2.describe_vpcs()["Vpcs"] == []

    began = time.monotonic()
    made = aws(
        formation.variables,
        "cloudformation", "create-stack", "--stack-name", "study", "--template-body", f"file://{STUDY}",
        "--capabilities", "CAPABILITY_NAMED_IAM",
    )  # fmt: skip
    assert ":stack/study/" in made.stdout
    formation.wait("stack_create_complete")
    ready = {name: one for name, one in formation.machines().items() if name.startswith("node")}
    assert len(ready) == 3, "the node group is complete when its nodes are ready"
    assert all(one["agent"]["pid"] for one in ready.values())
    assert time.monotonic() - began < 60
    group = formation.client("eks").describe_nodegroup(clusterName="myeks", nodegroupName="ng1")["nodegroup"]
    assert group["status"] == "ACTIVE"
    pods = [lab.pod(f"web{n}", "--node", f"node{n}")["ip"] for n in (1, 2, 3)]
    assert [ip.rpartition(".")[0] for ip in pods] == ["192.168.1", "192.168.2", "192.168.3"]
    lab("exec", "web1", "--", "ping", "-c", "1", "-W", "2", pods[1])

    # a rule: the bastion is let in, and only then
    node1 = ready["node1"]["privateIp"]
    assert not ping(lab, node1)
    body = tmp_path / "more.yaml"
    body.write_text(STUDY.read_text().replace("\nOutputs:\n", LET_IN))
    deploy = (
        "cloudformation",
        "deploy",
        "--stack-name",
        "study",
        "--template-file",
        str(body),
        "--capabilities",
        "CAPABILITY_NAMED_IAM",
    )
    planned = aws(formation.variables, *deploy, "--no-execute-changeset").stdout
    change_set = re.search(r"--change-set-name (\S+)", planned)
    assert change_set is not None, planned
    [change] = formation.cfn.describe_change_set(ChangeSetName=change_set[1])["Changes"]
    assert (change["ResourceChange"]["Action"], change["ResourceChange"]["LogicalResourceId"]) == (
        "Add",
        "FromBastion",
    )
    formation.cfn.execute_change_set(ChangeSetName=change_set[1])
    formation.wait("stack_update_complete")
    until(lambda: ping(lab, node1))
    assert "No changes to deploy" in aws(formation.variables, *deploy, check=False).stderr

    # another size: a node comes
    formation.update(WorkerNodeCount="4")
    formation.wait("stack_update_complete")
    assert "node4" in formation.machines()

    # what cannot be is undone, with the reason
    bastion = formation.id_of("Bastion")
    formation.update(BastionInstanceType="t3.medium")
    until(
        lambda: (
            formation.cfn.describe_stacks(StackName="study")["Stacks"][0]["StackStatus"]
            == "UPDATE_ROLLBACK_COMPLETE"
        ),
        60,
    )
    [why] = [one for one in formation.told() if one.startswith("Bastion UPDATE_FAILED")]
    assert "192.168.1.100" in why, "the old one has its address until it goes, as with AWS"
    assert formation.id_of("Bastion") == bastion
    formation.update(BastionInstanceType="t3.medium", BastionAddress="")
    formation.wait("stack_update_complete")
    fresh = formation.id_of("Bastion")
    assert fresh != bastion
    until(lambda: {one["instanceId"] for one in formation.machines().values()} >= {fresh}, 60)

    # what somebody else put there holds it
    subnet = formation.id_of("PublicSubnet2")
    mine = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    stack_id = made.stdout.split('"')[3]
    formation.cfn.delete_stack(StackName="study")
    until(
        lambda: (
            formation.cfn.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"] == "DELETE_FAILED"
        ),
        60,
    )
    [why] = [one for one in formation.told(stack_id) if one.startswith("PublicSubnet2 DELETE_FAILED")]
    assert f"The subnet '{subnet}' has dependencies and cannot be deleted." in why
    assert "DependencyViolation" in why
    ec2.delete_network_interface(NetworkInterfaceId=mine)
    formation.cfn.delete_stack(StackName="study")
    formation.wait("stack_delete_complete", stack_id)
    assert formation.machines() == {}
    for call, key in (
        ("describe_vpcs", "Vpcs"),
        ("describe_subnets", "Subnets"),
        ("describe_network_interfaces", "NetworkInterfaces"),
        ("describe_security_groups", "SecurityGroups"),
        ("describe_route_tables", "RouteTables"),
        ("describe_internet_gateways", "InternetGateways"),
        ("describe_launch_templates", "LaunchTemplates"),
    ):
        assert getattr(ec2, call)()[key] == [], call
    assert formation.client("eks").list_clusters()["clusters"] == []
    refused = lab("exec", "router", "--", "true", check=False)
    assert "there is no machine or pod router" in refused.stderr


def test_a_lab_begins_with_a_template_of_ones_own(start_lab: StartLab, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("""
Parameters: {Block: {Type: String}}
Resources:
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: !Ref Block}}
  Subnet: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: !Select [0, !Cidr [!Ref Block, 1, 8]]}}
  One: {Type: AWS::EC2::Instance, Properties: {InstanceType: t3.small, SubnetId: !Ref Subnet, Tags: [{Key: Name, Value: one}]}}
  Two: {Type: AWS::EC2::Instance, Properties: {InstanceType: t3.small, SubnetId: !Ref Subnet, Tags: [{Key: Name, Value: two}]}}
""")
    lab = start_lab("--template", str(own), "--parameter", "Block=10.44.0.0/16")
    machines = {one["name"]: one["privateIp"] for one in lab.json("status")["machines"]}
    assert machines == {"one": "10.44.0.4", "two": "10.44.0.5"}
    lab("exec", "one", "--", "ping", "-c", "1", "-W", "2", machines["two"])
    token = (
        "curl -fsX PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token"
    )
    asked = f'curl -fs -H "X-aws-ec2-metadata-token: $({token})" http://169.254.169.254/latest/meta-data/local-ipv4'
    assert lab("exec", "two", "--", "sh", "-c", asked).stdout == "10.44.0.5"


def test_a_template_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "Resources: {S: {Type: AWS::EC2::Subnet, Properties: {VpcId: vpc-0, CidrBlock: 10.0.0.0/24}}}"
    )
    done = vpc_lab("up", "--name", "test-bad-template", "--template", str(bad), check=False)
    assert done.returncode == 1
    assert (
        "S (AWS::EC2::Subnet): Resource handler returned message: \"The vpc ID 'vpc-0' does not exist"
        in done.stderr
    )
    done = vpc_lab("up", "--name", "test-bad-template", "--empty", "--template", str(bad), check=False)
    assert "an empty lab begins without a template" in done.stderr
