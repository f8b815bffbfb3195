"""CloudFormation by a real client: every type of EC2's made, changed and deleted, with what AWS says on the way."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lab_aws.conftest import Cloud, aws_client, client_error

NETWORK = """
Parameters:
  Type: {Type: String, Default: t3.small}
  FixedType: {Type: String, Default: t3.small}
  Open: {Type: CommaDelimitedList, Default: "22"}
  Owner: {Type: String, Default: me}
Mappings:
  Blocks: {a: {cidr: 10.7.1.0/24}, b: {cidr: 10.7.2.0/24}}
Resources:
  Vpc:
    Type: AWS::EC2::VPC
    Properties: {CidrBlock: 10.7.0.0/16, EnableDnsHostnames: "true", Tags: [{Key: owner, Value: !Ref Owner}]}
  Ipv6: {Type: AWS::EC2::VPCCidrBlock, Properties: {VpcId: !Ref Vpc, AmazonProvidedIpv6CidrBlock: true}}
  More: {Type: AWS::EC2::VPCCidrBlock, Properties: {VpcId: !Ref Vpc, CidrBlock: 100.64.0.0/16}}
  Igw: {Type: AWS::EC2::InternetGateway, Properties: {Tags: [{Key: owner, Value: !Ref Owner}]}}
  Attached: {Type: AWS::EC2::VPCGatewayAttachment, Properties: {VpcId: !Ref Vpc, InternetGatewayId: !Ref Igw}}
  Eigw: {Type: AWS::EC2::EgressOnlyInternetGateway, DependsOn: Ipv6, Properties: {VpcId: !Ref Vpc}}
  Table: {Type: AWS::EC2::RouteTable, Properties: {VpcId: !Ref Vpc}}
  Route:
    Type: AWS::EC2::Route
    DependsOn: Attached
    Properties: {RouteTableId: !Ref Table, DestinationCidrBlock: 0.0.0.0/0, GatewayId: !Ref Igw}
  SubnetA:
    Type: AWS::EC2::Subnet
    Properties:
      VpcId: !Ref Vpc
      CidrBlock: !FindInMap [Blocks, a, cidr]
      AvailabilityZone: !Select [0, !GetAZs {Ref: "AWS::Region"}]
      MapPublicIpOnLaunch: true
  SubnetB:
    Type: AWS::EC2::Subnet
    Properties: {VpcId: !Ref Vpc, CidrBlock: !FindInMap [Blocks, b, cidr], AvailabilityZone: !Sub "${AWS::Region}b"}
  V6:
    Type: AWS::EC2::SubnetCidrBlock
    DependsOn: Ipv6
    Properties: {SubnetId: !Ref SubnetA, Ipv6CidrBlock: !Select [0, !Cidr [!Select [0, !GetAtt Vpc.Ipv6CidrBlocks], 1, 64]]}
  GoesBy: {Type: AWS::EC2::SubnetRouteTableAssociation, Properties: {SubnetId: !Ref SubnetA, RouteTableId: !Ref Table}}
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: for the instance
      VpcId: !Ref Vpc
      SecurityGroupIngress:
        - {IpProtocol: tcp, FromPort: !Select [0, !Ref Open], ToPort: !Select [0, !Ref Open], CidrIp: 0.0.0.0/0}
      SecurityGroupEgress: [{IpProtocol: "-1", CidrIp: 10.0.0.0/8}]
  Itself:
    Type: AWS::EC2::SecurityGroupIngress
    Properties: {GroupId: !Ref Group, IpProtocol: -1, SourceSecurityGroupId: !GetAtt Group.GroupId}
  Out: {Type: AWS::EC2::SecurityGroupEgress, Properties: {GroupId: !Ref Group, IpProtocol: udp, FromPort: 53, ToPort: 53, CidrIp: 0.0.0.0/0}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}
      ManagedPolicyArns: ["arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy", !Ref Managed]
      Policies: [{PolicyName: own, PolicyDocument: {Version: 2012-10-17, Statement: []}}]
  Managed: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Version: 2012-10-17, Statement: []}}}
  Inline: {Type: AWS::IAM::Policy, Properties: {PolicyName: inline, Roles: [!Ref Role], PolicyDocument: {Version: 2012-10-17, Statement: []}}}
  Provider: {Type: AWS::IAM::OIDCProvider, Properties: {Url: "https://oidc.example/id/1", ClientIdList: [sts.amazonaws.com]}}
  Launch:
    Type: AWS::EC2::LaunchTemplate
    Properties: {LaunchTemplateData: {InstanceType: t3.small, SecurityGroupIds: [!Ref Group]}}
  Profile: {Type: AWS::IAM::InstanceProfile, Properties: {Roles: [!Ref Role]}}
  Host:
    Type: AWS::EC2::Instance
    DependsOn: [Route, GoesBy]
    Properties:
      InstanceType: !Ref Type
      IamInstanceProfile: !Ref Profile
      UserData: !Base64 "#!/bin/sh"
      NetworkInterfaces:
        - {DeviceIndex: "0", SubnetId: !Ref SubnetA, GroupSet: [!Ref Group], AssociatePublicIpAddress: "true"}
      Tags: [{Key: Name, Value: !Sub "${AWS::StackName}-host"}]
  Fixed:
    Type: AWS::EC2::Instance
    Properties:
      InstanceType: !Ref FixedType
      SubnetId: !Ref SubnetB
      SecurityGroupIds: [!Ref Group]
      PrivateIpAddress: 10.7.2.100
  Card:
    Type: AWS::EC2::NetworkInterface
    Properties: {SubnetId: !Ref SubnetB, GroupSet: [!Ref Group], SecondaryPrivateIpAddressCount: 2, Description: a card}
  Plugged:
    Type: AWS::EC2::NetworkInterfaceAttachment
    Properties: {InstanceId: !Ref Fixed, NetworkInterfaceId: !Ref Card, DeviceIndex: "1"}
  Address: {Type: AWS::EC2::EIP, DependsOn: Attached, Properties: {Domain: vpc}}
  OfCard:
    Type: AWS::EC2::EIPAssociation
    Properties: {AllocationId: !GetAtt Address.AllocationId, NetworkInterfaceId: !Ref Card}
  NatAddress: {Type: AWS::EC2::EIP, DependsOn: Attached, Properties: {Domain: vpc}}
  Nat:
    Type: AWS::EC2::NatGateway
    DependsOn: [Route, GoesBy]
    Properties: {SubnetId: !Ref SubnetA, AllocationId: !GetAtt NatAddress.AllocationId}
Outputs:
  Host: {Value: !Ref Host}
  Public: {Value: !GetAtt Host.PublicIp}
  Address: {Value: !Ref Address}
  Vpc: {Value: !Ref Vpc, Export: {Name: !Sub "${AWS::StackName}:vpc"}}
"""


ACCOUNT = """
Parameters:
  Client: {Type: String, Default: sts.amazonaws.com}
  Fails: {Type: String, Default: "no"}
Conditions:
  Fails: !Equals [!Ref Fails, "yes"]
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: of-a-stack
      AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}
      ManagedPolicyArns: ["arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"]
      Policies: [{PolicyName: !Sub "own-${Client}", PolicyDocument: {Version: 2012-10-17, Statement: []}}]
      Tags: [{Key: client, Value: !Ref Client}]
  Managed:
    Type: AWS::IAM::ManagedPolicy
    Properties: {Roles: [!Ref Role], PolicyDocument: {Version: 2012-10-17, Statement: [{Resource: !Ref Client}]}}
  Inline:
    Type: AWS::IAM::Policy
    Properties: {PolicyName: inline, Roles: [!Ref Role], PolicyDocument: {Version: 2012-10-17, Statement: []}}
  Provider: {Type: AWS::IAM::OIDCProvider, Properties: {Url: "https://oidc.example/id/1", ClientIdList: [!Ref Client]}}
  Profile: {Type: AWS::IAM::InstanceProfile, Properties: {Roles: [!Ref Role]}}
  Wrong:
    Type: AWS::IAM::Role
    Condition: Fails
    DependsOn: [Inline, Managed, Profile]
    Properties:
      RoleName: with-a-policy-that-is-not-there
      AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}
      ManagedPolicyArns: [!Sub "arn:aws:iam::${AWS::AccountId}:policy/none"]
Outputs:
  Role: {Value: !GetAtt Role.Arn}
  RoleId: {Value: !GetAtt Role.RoleId}
"""


class Stack:
    """A stack, and time that passes while one waits for it."""

    def __init__(self, cloud: Cloud, client: Any) -> None:
        self.cloud = cloud
        self.client = client

    def until_settled(self, name: str = "net") -> dict[str, Any]:
        for _ in range(400):
            [stack] = self.client.describe_stacks(StackName=name)["Stacks"]
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                found: dict[str, Any] = stack
                return found
            self.cloud.clock.now += 0.25
        raise AssertionError(f"{name} is {stack['StackStatus']}: {self.told(name)}")

    def told(self, name: str = "net") -> list[str]:
        events = self.client.describe_stack_events(StackName=name)["StackEvents"]
        return [
            f"{e['LogicalResourceId']} {e['ResourceStatus']} {e.get('ResourceStatusReason', '')}".strip()
            for e in reversed(events)
        ]

    def create(self, name: str = "net", text: str = NETWORK, **parameters: str) -> dict[str, Any]:
        self.client.create_stack(
            StackName=name,
            TemplateBody=text,
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        return self.until_settled(name)

    def update(self, name: str = "net", text: str | None = None, **parameters: str) -> dict[str, Any]:
        body = {"UsePreviousTemplate": True} if text is None else {"TemplateBody": text}
        self.client.update_stack(
            StackName=name,
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
            **body,
        )
        return self.until_settled(name)

    def ids(self, name: str = "net") -> dict[str, str]:
        found = self.client.list_stack_resources(StackName=name)["StackResourceSummaries"]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}


@pytest.fixture
def stack(cloud: Cloud) -> Stack:
    return Stack(cloud, aws_client("cloudformation", cloud.url))


def everything(cloud: Cloud) -> dict[str, set[str]]:
    region = cloud.region
    return {
        "vpcs": set(region.vpcs),
        "subnets": set(region.subnets),
        "gateways": set(region.internet_gateways),
        "groups": set(region.groups),
        "enis": set(region.enis),
        "tables": set(region.route_tables),
        "elastic": set(region.elastic_addresses),
        "egress only": set(region.egress_only_gateways),
        "nat": {one.id for one in region.nat_gateways.values() if one.state.value != "deleted"},
    }


def test_every_type_of_ec2_comes_changes_and_goes(stack: Stack, cloud: Cloud) -> None:
    before = cloud.loop.do(lambda: everything(cloud))
    made = stack.create()
    assert made["StackStatus"] == "CREATE_COMPLETE", "\n".join(stack.told())
    outputs = {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}
    ids = stack.ids()
    [[host]] = [
        r["Instances"] for r in cloud.client.describe_instances(InstanceIds=[ids["Host"]])["Reservations"]
    ]
    assert host["PublicIpAddress"] == outputs["Public"]
    assert {"Key": "Name", "Value": "net-host"} in host["Tags"]
    assert {"Key": "aws:cloudformation:logical-id", "Value": "Host"} in host["Tags"]
    [card] = cloud.client.describe_network_interfaces(NetworkInterfaceIds=[ids["Card"]])["NetworkInterfaces"]
    assert (card["Attachment"]["InstanceId"], len(card["PrivateIpAddresses"])) == (ids["Fixed"], 3)
    assert card["Association"]["PublicIp"] == outputs["Address"]
    [group] = cloud.client.describe_security_groups(GroupIds=[ids["Group"]])["SecurityGroups"]
    assert group["GroupName"].startswith("net-Group-")
    assert len(group["IpPermissions"]) == 2
    assert {one["IpProtocol"] for one in group["IpPermissionsEgress"]} == {"-1", "udp"}
    exports = stack.client.list_exports()["Exports"]
    assert exports == [{"ExportingStackId": made["StackId"], "Name": "net:vpc", "Value": ids["Vpc"]}]

    # a rule, a tag, and one instance for another
    changed = stack.update(Open="443", Owner="you", Type="t3.medium")
    assert changed["StackStatus"] == "UPDATE_COMPLETE", "\n".join(stack.told())
    [group] = cloud.client.describe_security_groups(GroupIds=[ids["Group"]])["SecurityGroups"]
    assert {one.get("FromPort") for one in group["IpPermissions"]} == {443, None}
    [vpc] = cloud.client.describe_vpcs(VpcIds=[ids["Vpc"]])["Vpcs"]
    [gateway] = cloud.client.describe_internet_gateways(InternetGatewayIds=[ids["Igw"]])["InternetGateways"]
    assert {"Key": "owner", "Value": "you"} in vpc["Tags"]
    assert {"Key": "owner", "Value": "you"} in gateway["Tags"]
    fresh = stack.ids()
    assert fresh["Host"] != ids["Host"]
    assert {key for key in ids if ids[key] != fresh[key]} == {"Host"}

    # the new one is made before the old one goes, so it cannot have its address: with AWS it cannot, either
    back = stack.update(FixedType="t3.medium", Open="443", Owner="you", Type="t3.medium")
    assert back["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE", "\n".join(stack.told())
    [why] = [one for one in stack.told() if one.startswith("Fixed UPDATE_FAILED")]
    assert "10.7.2.100" in why
    assert stack.ids() == fresh

    stack.client.delete_stack(StackName="net")
    gone = stack.until_settled(made["StackId"])
    assert gone["StackStatus"] == "DELETE_COMPLETE", stack.told(made["StackId"])
    assert cloud.loop.do(lambda: everything(cloud)) == before
    order = [t.partition(" ")[0] for t in stack.told(made["StackId"]) if t.endswith("DELETE_COMPLETE")]
    for first, then in (
        ("Host", "SubnetA"),
        ("Attached", "Vpc"),
        ("Group", "Vpc"),
        ("Route", "Attached"),
        ("Nat", "Attached"),
    ):
        assert order.index(first) < order.index(then)
    with client_error("ValidationError", "Stack with id net does not exist"):
        stack.client.describe_stacks(StackName="net")
    assert [s["StackStatus"] for s in stack.client.list_stacks()["StackSummaries"]] == ["DELETE_COMPLETE"]


SMALL = """
Description: small
Parameters: {Cidr: {Type: String, Default: 10.8.0.0/16}, Secret: {Type: String, Default: x, NoEcho: true}}
Resources:
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: !Ref Cidr}}
  Subnet: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: !Select [0, !Cidr [!Ref Cidr, 1, 8]]}}
"""


def test_what_somebody_put_into_the_vpc_holds_it(stack: Stack, cloud: Cloud) -> None:
    stack.create("small", SMALL)
    ids = stack.ids("small")
    group = cloud.client.create_security_group(GroupName="mine", Description="x", VpcId=ids["Vpc"])["GroupId"]
    stack.client.delete_stack(StackName="small")
    failed = stack.until_settled("small")
    assert failed["StackStatus"] == "DELETE_FAILED"
    assert failed["StackStatusReason"] == "The following resource(s) failed to delete: [Vpc]. "
    [why] = [one for one in stack.told("small") if one.startswith("Vpc DELETE_FAILED")]
    assert f"The vpc '{ids['Vpc']}' has dependencies and cannot be deleted." in why
    assert "DependencyViolation" in why
    assert ids["Subnet"] not in cloud.region.subnets
    cloud.client.delete_security_group(GroupId=group)
    stack.client.delete_stack(StackName="small")
    stack.until_settled(failed["StackId"])
    assert ids["Vpc"] not in cloud.region.vpcs


def test_a_failure_names_what_ec2_said_and_leaves_nothing(stack: Stack, cloud: Cloud) -> None:
    before = cloud.loop.do(lambda: everything(cloud))
    wrong = SMALL + "  Bad: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.9.0.0/24}}\n"
    made = stack.create("bad", wrong)
    assert made["StackStatus"] == "ROLLBACK_COMPLETE"
    [why] = [one for one in stack.told("bad") if one.startswith("Bad CREATE_FAILED")]
    assert (
        "Bad CREATE_FAILED Resource handler returned message: \"The CIDR '10.9.0.0/24' is invalid. (Service: Ec2, Status"
        " Code: 400, Error Code: InvalidSubnet.Range)"
    ) in why
    assert cloud.loop.do(lambda: everything(cloud)) == before
    extra = SMALL.replace("{CidrBlock: !Ref Cidr}", "{CidrBlock: !Ref Cidr, Colour: red}")
    stack.create("odd", extra)
    [why] = [one for one in stack.told("odd") if one.startswith("Vpc CREATE_FAILED")]
    assert "#: extraneous key [Colour] is not permitted" in why


def test_change_sets_as_deploy_uses_them(stack: Stack, cloud: Cloud) -> None:
    cfn = stack.client
    with client_error("ValidationError", "Stack with id small does not exist"):
        cfn.describe_stacks(StackName="small")
    given = {"StackName": "small", "TemplateBody": SMALL, "ChangeSetType": "CREATE"}
    made = cfn.create_change_set(ChangeSetName="one", **given)
    cfn.get_waiter("change_set_create_complete").wait(ChangeSetName="one", StackName="small")
    shown = cfn.describe_change_set(ChangeSetName=made["Id"])
    assert [c["ResourceChange"]["Action"] for c in shown["Changes"]] == ["Add", "Add"]
    assert (shown["Status"], shown["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert cfn.describe_stacks(StackName="small")["Stacks"][0]["StackStatus"] == "REVIEW_IN_PROGRESS"
    cfn.execute_change_set(ChangeSetName="one", StackName="small")
    assert stack.until_settled("small")["StackStatus"] == "CREATE_COMPLETE"
    cfn.create_change_set(ChangeSetName="none", **{**given, "ChangeSetType": "UPDATE"})
    none = cfn.describe_change_set(ChangeSetName="none", StackName="small")
    assert none["Status"] == "FAILED"
    assert "The submitted information didn't contain changes." in none["StatusReason"]
    cfn.delete_change_set(ChangeSetName="none", StackName="small")
    other = [{"ParameterKey": "Cidr", "ParameterValue": "10.10.0.0/16"}]
    cfn.create_change_set(ChangeSetName="two", Parameters=other, **{**given, "ChangeSetType": "UPDATE"})
    changes = cfn.describe_change_set(ChangeSetName="two", StackName="small")["Changes"]
    found = {c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"] for c in changes}
    assert {name: one["Replacement"] for name, one in found.items()} == {"Vpc": "True", "Subnet": "True"}
    vpc_id = next(d for d in found["Subnet"]["Details"] if d["Target"]["Name"] == "VpcId")
    assert (vpc_id["Target"]["RequiresRecreation"], vpc_id["Evaluation"]) == ("Conditionally", "Dynamic")
    cfn.execute_change_set(ChangeSetName="two", StackName="small")
    assert stack.until_settled("small")["StackStatus"] == "UPDATE_COMPLETE"
    with client_error("ValidationError", "No updates are to be performed."):
        stack.update("small", Cidr="10.10.0.0/16")
    with client_error("ChangeSetNotFound", "does not exist", 404):
        cfn.describe_change_set(ChangeSetName="none", StackName="small")


def test_looking_at_templates_and_stacks(stack: Stack) -> None:
    cfn = stack.client
    known = cfn.validate_template(TemplateBody=SMALL)
    assert {one["ParameterKey"]: one.get("DefaultValue") for one in known["Parameters"]} == {
        "Cidr": "10.8.0.0/16",
        "Secret": "x",
    }
    summary = cfn.get_template_summary(TemplateBody=NETWORK)
    assert summary["Capabilities"] == ["CAPABILITY_IAM"]
    assert "AWS::EC2::NatGateway" in summary["ResourceTypes"]
    with client_error("InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_IAM]"):
        cfn.create_stack(StackName="net", TemplateBody=NETWORK)
    with client_error("ValidationError", "Parameters: [X] do not exist in the template"):
        stack.create("small", SMALL, X="1")
    made = stack.create("small", SMALL, Secret="hush")
    assert made["Description"] == "small"
    assert {p["ParameterKey"]: p["ParameterValue"] for p in made["Parameters"]}["Secret"] == "****"
    body = cfn.get_template(StackName="small")["TemplateBody"]
    assert body == SMALL
    ids = stack.ids("small")
    by_physical = cfn.describe_stack_resources(PhysicalResourceId=ids["Subnet"])["StackResources"]
    assert {one["StackName"] for one in by_physical} == {"small"}
    detail = cfn.describe_stack_resource(StackName="small", LogicalResourceId="Vpc")["StackResourceDetail"]
    assert detail["PhysicalResourceId"] == ids["Vpc"]
    with client_error("ValidationError", "Resource No does not exist for stack small"):
        cfn.describe_stack_resource(StackName="small", LogicalResourceId="No")
    cfn.update_termination_protection(StackName="small", EnableTerminationProtection=True)
    with client_error("ValidationError", "cannot be deleted while TerminationProtection is enabled"):
        cfn.delete_stack(StackName="small")


def test_many_pages_of_events(stack: Stack) -> None:
    groups = "".join(
        f"  G{n}: {{Type: AWS::EC2::SecurityGroup, Properties: {{VpcId: !Ref Vpc, GroupDescription: x}}}}\n"
        for n in range(60)
    )
    stack.create("many", SMALL + groups)
    first = stack.client.describe_stack_events(StackName="many")
    assert len(first["StackEvents"]) == 100
    assert first["StackEvents"][0]["ResourceStatus"] == "CREATE_COMPLETE"
    everything = (
        stack.client.get_paginator("describe_stack_events").paginate(StackName="many").build_full_result()
    )
    told = [e["EventId"] for e in everything["StackEvents"]]
    assert len(told) == len(set(told)) == 3 * 62 + 2


def test_what_a_stack_has_of_iam_is_iam_s(stack: Stack, cloud: Cloud) -> None:
    iam = aws_client("iam", cloud.url)

    def held() -> tuple[int, int, int, int]:
        own = iam.list_policies(Scope="Local")["Policies"]
        providers = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
        profiles = iam.list_instance_profiles()["InstanceProfiles"]
        return len(iam.list_roles()["Roles"]), len(own), len(profiles), len(providers)

    made = stack.create("acc", ACCOUNT)
    assert made["StackStatus"] == "CREATE_COMPLETE", "\n".join(stack.told("acc"))
    assert held() == (1, 1, 1, 1)
    outputs = {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}
    role = iam.get_role(RoleName="of-a-stack")["Role"]
    assert (outputs["Role"], outputs["RoleId"]) == (role["Arn"], role["RoleId"])
    ids = stack.ids("acc")
    attached = iam.list_attached_role_policies(RoleName="of-a-stack")["AttachedPolicies"]
    assert {one["PolicyArn"] for one in attached} == {
        "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy",
        ids["Managed"],
    }
    inline = iam.list_role_policies(RoleName="of-a-stack")["PolicyNames"]
    assert set(inline) == {"own-sts.amazonaws.com", "inline"}
    [profile] = iam.list_instance_profiles_for_role(RoleName="of-a-stack")["InstanceProfiles"]
    assert profile["InstanceProfileName"] == ids["Profile"]

    assert stack.update("acc", Client="other")["StackStatus"] == "UPDATE_COMPLETE"
    assert stack.ids("acc") == ids
    assert set(iam.list_role_policies(RoleName="of-a-stack")["PolicyNames"]) == {"own-other", "inline"}
    assert iam.get_role(RoleName="of-a-stack")["Role"]["Tags"] == [{"Key": "client", "Value": "other"}]
    provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=ids["Provider"])
    assert provider["ClientIDList"] == ["other"]
    version = iam.get_policy(PolicyArn=ids["Managed"])["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=ids["Managed"], VersionId=version)["PolicyVersion"][
        "Document"
    ]
    assert (version, document["Statement"]) == ("v2", [{"Resource": "other"}])

    stack.client.delete_stack(StackName="acc")
    for _ in range(40):
        cloud.clock.now += 0.25
        stack.client.list_exports()
    assert held() == (0, 0, 0, 0)


def test_a_stack_that_fails_leaves_nothing_in_iam(stack: Stack, cloud: Cloud) -> None:
    iam = aws_client("iam", cloud.url)
    made = stack.create("acc", ACCOUNT, Fails="yes")
    assert made["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any("policy/none does not exist" in line for line in stack.told("acc"))
    assert iam.list_roles()["Roles"] == []
    assert iam.list_policies(Scope="Local")["Policies"] == []


def test_what_a_role_that_is_not_there_is_given_is_not_made(stack: Stack, cloud: Cloud) -> None:
    iam = aws_client("iam", cloud.url)
    made = stack.create(
        "acc",
        """
Resources:
  Managed:
    Type: AWS::IAM::ManagedPolicy
    Properties: {Roles: [nobody], PolicyDocument: {Version: 2012-10-17, Statement: []}}
""",
    )
    assert made["StackStatus"] == "ROLLBACK_COMPLETE"
    [why] = [line for line in stack.told("acc") if line.startswith("Managed CREATE_FAILED")]
    assert "nobody" in why
    assert iam.list_policies(Scope="Local")["Policies"] == []
    profile = "Resources: {P: {Type: AWS::IAM::InstanceProfile, Properties: {Roles: [nobody]}}}"
    assert stack.create("other", profile)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert iam.list_instance_profiles()["InstanceProfiles"] == []


ACCESS = """
Parameters: {Team: {Type: String, Default: one}}
Resources:
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.7.0.0/16}}
  A: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.7.1.0/24, AvailabilityZone: !Sub "${AWS::Region}a"}}
  B: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.7.2.0/24, AvailabilityZone: !Sub "${AWS::Region}b"}}
  Role: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}}}
  Cluster:
    Type: AWS::EKS::Cluster
    Properties:
      Name: acc
      RoleArn: !GetAtt Role.Arn
      AccessConfig: {AuthenticationMode: API}
      ResourcesVpcConfig: {SubnetIds: [!Ref A, !Ref B]}
  Entry:
    Type: AWS::EKS::AccessEntry
    Properties: {ClusterName: !Ref Cluster, PrincipalArn: !GetAtt Role.Arn, KubernetesGroups: [!Ref Team], Tags: [{Key: team, Value: !Ref Team}]}
  Identity:
    Type: AWS::EKS::PodIdentityAssociation
    Properties: {ClusterName: !Ref Cluster, Namespace: default, ServiceAccount: web, RoleArn: !GetAtt Role.Arn, Tags: [{Key: !Ref Team, Value: x}]}
"""


def test_who_may_do_something_in_a_cluster_comes_changes_and_goes(stack: Stack, cloud: Cloud) -> None:
    eks = aws_client("eks", cloud.url)
    made = stack.create("who", ACCESS)
    assert made["StackStatus"] == "CREATE_COMPLETE", "\n".join(stack.told("who"))
    role = stack.ids("who")["Role"]
    [principal] = [p for p in eks.list_access_entries(clusterName="acc")["accessEntries"] if p.endswith(role)]
    assert stack.update("who", Team="two")["StackStatus"] == "UPDATE_COMPLETE"
    entry = eks.describe_access_entry(clusterName="acc", principalArn=principal)["accessEntry"]
    assert (entry["kubernetesGroups"], entry["tags"]["team"]) == (["two"], "two")
    [summary] = eks.list_pod_identity_associations(clusterName="acc")["associations"]
    identity = eks.describe_pod_identity_association(
        clusterName="acc", associationId=summary["associationId"]
    )
    tags = identity["association"]["tags"]
    assert tags["two"] == "x"
    assert "one" not in tags
