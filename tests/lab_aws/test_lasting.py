"""A cloud that is kept as bytes goes on in another process as if nothing had been."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest

from vpclab.aws import Cloud, cloud_of
from vpclab.aws.lasting import CloudDumps, load_cloud
from vpclab.eks import Eks
from vpclab.eks.values import EksDelays
from vpclab.region import Delays, Region

TEMPLATE = """
Resources:
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.7.0.0/16}}
  Subnet: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.7.1.0/24, AvailabilityZone: ap-northeast-2a}}
  Node:
    Type: AWS::EC2::Instance
    Properties: {ImageId: ami-0123456789abcdef0, InstanceType: t3.medium, SubnetId: !Ref Subnet}
Outputs:
  Vpc: {Value: !Ref Vpc}
"""


def clouds() -> Cloud:
    delays = Delays(launch=(5.0, 5.0))
    cloud = cloud_of(Region(now=1000.0, delays=delays))
    cloud.kept(Eks).delays = EksDelays(cluster=(10.0, 10.0), nodegroup=(5.0, 5.0), addon=(3.0, 3.0))
    region = cloud.region
    vpc = region.create_vpc(IPv4Network("192.168.0.0/16"))
    subnets = [
        region.create_subnet(vpc.id, f"ap-northeast-2{zone}", IPv4Network(f"192.168.{n}.0/24")).id
        for n, zone in enumerate("ab")
    ]
    ask(cloud, "eks", "CreateCluster", name="k", roleArn="arn:aws:iam::111122223333:role/eks",
        resourcesVpcConfig={"subnetIds": subnets})  # fmt: skip
    ask(cloud, "iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument="{}")
    ask(cloud, "cloudformation", "CreateStack", StackName="s", TemplateBody=TEMPLATE)
    return cloud


def ask(cloud: Cloud, service: str, action: str, **parameters: Any) -> dict[str, Any]:
    return cloud.call(service, action, parameters)


def told(cloud: Cloud) -> dict[str, Any]:
    """What the APIs say."""
    return {
        "instances": ask(cloud, "ec2", "DescribeInstances"),
        "vpcs": ask(cloud, "ec2", "DescribeVpcs"),
        "cluster": ask(cloud, "eks", "DescribeCluster", name="k"),
        "stack": ask(cloud, "cloudformation", "DescribeStacks", StackName="s"),
        "events": ask(cloud, "cloudformation", "DescribeStackEvents", StackName="s"),
        "role": ask(cloud, "iam", "GetRole", RoleName="r"),
        "now": cloud.region.now,
    }


def run(cloud: Cloud, until: float) -> None:
    """Time passes, a step at a time."""
    while (due := cloud.region.next_due()) is not None and due <= until:
        cloud.region.advance(due)
    cloud.region.advance(until)


@pytest.mark.parametrize("kept_at", [1000.0, 1001.0, 1006.0, 1030.0])
def test_whatever_was_under_way_goes_on(kept_at: float) -> None:
    cloud = clouds()
    run(cloud, kept_at)
    again = load_cloud(CloudDumps().of(cloud))
    assert told(again) == told(cloud)
    for one in (cloud, again):
        run(one, 1060.0)
    assert told(again) == told(cloud)
    assert told(again)["cluster"]["cluster"]["status"] == "ACTIVE"
    [stack] = told(again)["stack"]["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    # and what is asked from now on is answered alike
    for one in (cloud, again):
        ask(one, "cloudformation", "DeleteStack", StackName="s")
        run(one, 1120.0)
    assert ask(again, "ec2", "DescribeVpcs") == ask(cloud, "ec2", "DescribeVpcs")
    assert len(ask(again, "ec2", "DescribeVpcs")["Vpcs"]) == 1


def test_a_dump_of_before_is_given_again_only_for_what_has_not_changed() -> None:
    cloud = clouds()
    dumps = CloudDumps()

    def stacks() -> bytes:
        """All that is given is as if it was dumped for the first time."""
        given = dumps.of(cloud)
        assert given == CloudDumps().of(cloud)
        return given["service Stacks"]

    def same_while_ec2_is_asked() -> bool:
        before = stacks()
        ask(cloud, "ec2", "CreateVpc", CidrBlock="10.9.0.0/16")
        return stacks() is before

    seen = [stacks()]
    while (due := cloud.region.next_due()) is not None and due < 1100.0:
        cloud.region.advance(due)
        seen.append(stacks())
    assert len(set(seen)) > 3, "the stack was made step by step"
    assert same_while_ec2_is_asked()
    ask(
        cloud,
        "cloudformation",
        "UpdateTerminationProtection",
        StackName="s",
        EnableTerminationProtection=True,
    )
    assert stacks() != seen[-1]
    assert same_while_ec2_is_asked()


def test_keys_that_were_given_out_stay_good() -> None:
    cloud = clouds()
    given = ask(cloud, "sts", "GetSessionToken")["Credentials"]["AccessKeyId"]
    assert load_cloud(CloudDumps().of(cloud)).keys.find(given) == cloud.keys.find(given) is not None


def test_every_service_that_keeps_something_lasts() -> None:
    """What is looked up only and never changes need not; it is named here, so that a new service is not forgotten."""
    from vpclab.aws.service import Lasting  # noqa: PLC0415 -- beside what it is about

    unchanging = {"ParameterStore"}
    assert {name for name, one in clouds().all_kept().items() if not isinstance(one, Lasting)} == unchanging
