"""AWS::EC2: VPCs, subnets, internet gateways."""

from __future__ import annotations

from typing import Any

from vpclab.cloudformation.resource_type import Context, ResourceType, properties
from vpclab.cloudformation.types.shapes import Tagged, flag, only, retagged, specified
from vpclab.cloudformation.values import Properties


class Vpc(Tagged):
    """AWS::EC2::VPC."""

    name = "AWS::EC2::VPC"
    properties = properties(
        replace="CidrBlock InstanceTenancy",
        modify="EnableDnsSupport EnableDnsHostnames Tags",
        required="CidrBlock",
    )
    attributes = frozenset(
        {"CidrBlock", "CidrBlockAssociations", "DefaultSecurityGroup", "Ipv6CidrBlocks", "VpcId"}
    )

    def create(self, context: Context, p: Properties) -> str:
        """CreateVpc, ModifyVpcAttribute."""
        made = context.call(
            "ec2",
            "CreateVpc",
            CidrBlock=p["CidrBlock"],
            InstanceTenancy=p.get("InstanceTenancy"),
            TagSpecifications=specified(context, "vpc", p),
        )
        vpc_id = str(made["Vpc"]["VpcId"])
        self._attributes(context, vpc_id, p)
        return vpc_id

    def settled(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether it is available."""
        return bool(self._vpc(context, physical_id)["State"] == "available")

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        vpc = self._vpc(context, physical_id)
        here = [{"Name": "vpc-id", "Values": [physical_id]}, {"Name": "group-name", "Values": ["default"]}]
        groups = context.call("ec2", "DescribeSecurityGroups", Filters=here)["SecurityGroups"]
        return {
            "VpcId": physical_id,
            "CidrBlock": str(vpc["CidrBlock"]),
            "CidrBlockAssociations": [str(one["AssociationId"]) for one in vpc["CidrBlockAssociationSet"]],
            "DefaultSecurityGroup": str(groups[0]["GroupId"]) if groups else "",
            "Ipv6CidrBlocks": [
                str(one["Ipv6CidrBlock"]) for one in vpc.get("Ipv6CidrBlockAssociationSet") or ()
            ],
        }

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """ModifyVpcAttribute, tags."""
        self._attributes(context, physical_id, new)
        retagged(context, physical_id, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteVpc."""
        context.call("ec2", "DeleteVpc", VpcId=physical_id)

    def _attributes(self, context: Context, vpc_id: str, p: Properties) -> None:
        for name in ("EnableDnsSupport", "EnableDnsHostnames"):
            if name in p:
                context.call("ec2", "ModifyVpcAttribute", VpcId=vpc_id, **{name: {"Value": flag(p[name])}})

    def _vpc(self, context: Context, vpc_id: str) -> Any:
        return only(context.call("ec2", "DescribeVpcs", VpcIds=[vpc_id]), "Vpcs")


class VpcCidrBlock(ResourceType):
    """AWS::EC2::VPCCidrBlock: another block of a VPC, IPv4 or Amazon's IPv6."""

    name = "AWS::EC2::VPCCidrBlock"
    properties = properties(replace="VpcId CidrBlock AmazonProvidedIpv6CidrBlock", required="VpcId")
    attributes = frozenset({"Id", "VpcId"})

    def create(self, context: Context, p: Properties) -> str:
        """AssociateVpcCidrBlock."""
        made = context.call(
            "ec2",
            "AssociateVpcCidrBlock",
            VpcId=p["VpcId"],
            CidrBlock=p.get("CidrBlock"),
            AmazonProvidedIpv6CidrBlock=flag(p.get("AmazonProvidedIpv6CidrBlock")),
        )
        association = made.get("CidrBlockAssociation") or made["Ipv6CidrBlockAssociation"]
        return str(association["AssociationId"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"Id": physical_id, "VpcId": p["VpcId"]}

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DisassociateVpcCidrBlock."""
        context.call("ec2", "DisassociateVpcCidrBlock", AssociationId=physical_id)


class Subnet(Tagged):
    """AWS::EC2::Subnet."""

    name = "AWS::EC2::Subnet"
    properties = properties(
        replace="VpcId CidrBlock AvailabilityZone Ipv6CidrBlock",
        modify="MapPublicIpOnLaunch AssignIpv6AddressOnCreation Tags",
        required="VpcId CidrBlock",
    )
    attributes = frozenset(
        {"AvailabilityZone", "AvailabilityZoneId", "CidrBlock", "Ipv6CidrBlocks", "SubnetId", "VpcId"}
    )

    def create(self, context: Context, p: Properties) -> str:
        """CreateSubnet, ModifySubnetAttribute."""
        made = context.call(
            "ec2",
            "CreateSubnet",
            VpcId=p["VpcId"],
            CidrBlock=p.get("CidrBlock"),
            AvailabilityZone=p.get("AvailabilityZone"),
            Ipv6CidrBlock=p.get("Ipv6CidrBlock"),
            TagSpecifications=specified(context, "subnet", p),
        )
        subnet_id = str(made["Subnet"]["SubnetId"])
        self._attributes(context, subnet_id, p)
        return subnet_id

    def settled(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether it is available."""
        return bool(self._subnet(context, physical_id)["State"] == "available")

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        subnet = self._subnet(context, physical_id)
        return {
            "SubnetId": physical_id,
            "VpcId": str(subnet["VpcId"]),
            "CidrBlock": str(subnet["CidrBlock"]),
            "AvailabilityZone": str(subnet["AvailabilityZone"]),
            "AvailabilityZoneId": str(subnet["AvailabilityZoneId"]),
            "Ipv6CidrBlocks": [
                str(one["Ipv6CidrBlock"]) for one in subnet.get("Ipv6CidrBlockAssociationSet") or ()
            ],
        }

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """ModifySubnetAttribute, tags."""
        fallen = {name: False for name in _SUBNET_FLAGS if name in old and name not in new}
        self._attributes(context, physical_id, {**fallen, **new})
        retagged(context, physical_id, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteSubnet."""
        context.call("ec2", "DeleteSubnet", SubnetId=physical_id)

    def _attributes(self, context: Context, subnet_id: str, p: Properties) -> None:
        for name in _SUBNET_FLAGS:
            if name in p:
                given = {name: {"Value": flag(p[name])}}
                context.call("ec2", "ModifySubnetAttribute", SubnetId=subnet_id, **given)

    def _subnet(self, context: Context, subnet_id: str) -> Any:
        return only(context.call("ec2", "DescribeSubnets", SubnetIds=[subnet_id]), "Subnets")


_SUBNET_FLAGS = ("MapPublicIpOnLaunch", "AssignIpv6AddressOnCreation")


class SubnetCidrBlock(ResourceType):
    """AWS::EC2::SubnetCidrBlock: a subnet's IPv6 block."""

    name = "AWS::EC2::SubnetCidrBlock"
    properties = properties(replace="SubnetId Ipv6CidrBlock", required="SubnetId Ipv6CidrBlock")
    attributes = frozenset({"Id"})

    def create(self, context: Context, p: Properties) -> str:
        """AssociateSubnetCidrBlock."""
        made = context.call(
            "ec2", "AssociateSubnetCidrBlock", SubnetId=p["SubnetId"], Ipv6CidrBlock=p["Ipv6CidrBlock"]
        )
        return str(made["Ipv6CidrBlockAssociation"]["AssociationId"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"Id": physical_id}

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DisassociateSubnetCidrBlock."""
        context.call("ec2", "DisassociateSubnetCidrBlock", AssociationId=physical_id)


class InternetGateway(Tagged):
    """AWS::EC2::InternetGateway."""

    name = "AWS::EC2::InternetGateway"
    properties = properties(modify="Tags")
    attributes = frozenset({"InternetGatewayId"})

    def create(self, context: Context, p: Properties) -> str:
        """CreateInternetGateway."""
        tags = specified(context, "internet-gateway", p)
        made = context.call("ec2", "CreateInternetGateway", TagSpecifications=tags)
        return str(made["InternetGateway"]["InternetGatewayId"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"InternetGatewayId": physical_id}

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteInternetGateway."""
        context.call("ec2", "DeleteInternetGateway", InternetGatewayId=physical_id)


class GatewayAttachment(ResourceType):
    """AWS::EC2::VPCGatewayAttachment."""

    name = "AWS::EC2::VPCGatewayAttachment"
    properties = properties(replace="VpcId InternetGatewayId", required="VpcId InternetGatewayId")
    attributes = frozenset({"AttachmentType"})
    note = "Internet gateways only. A route to the gateway must say `DependsOn` this, as with AWS."

    def create(self, context: Context, p: Properties) -> str:
        """AttachInternetGateway."""
        context.call(
            "ec2", "AttachInternetGateway", InternetGatewayId=p["InternetGatewayId"], VpcId=p["VpcId"]
        )
        return f"IGW|{p['VpcId']}"

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"AttachmentType": "IGW"}

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DetachInternetGateway."""
        context.call(
            "ec2", "DetachInternetGateway", InternetGatewayId=p["InternetGatewayId"], VpcId=p["VpcId"]
        )


class EgressOnlyGateway(ResourceType):
    """AWS::EC2::EgressOnlyInternetGateway."""

    name = "AWS::EC2::EgressOnlyInternetGateway"
    properties = properties(replace="VpcId", required="VpcId")
    attributes = frozenset({"Id"})

    def create(self, context: Context, p: Properties) -> str:
        """CreateEgressOnlyInternetGateway."""
        made = context.call("ec2", "CreateEgressOnlyInternetGateway", VpcId=p["VpcId"])
        return str(made["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"Id": physical_id}

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteEgressOnlyInternetGateway."""
        context.call("ec2", "DeleteEgressOnlyInternetGateway", EgressOnlyInternetGatewayId=physical_id)


TYPES: tuple[ResourceType, ...] = (
    Vpc(),
    VpcCidrBlock(),
    Subnet(),
    SubnetCidrBlock(),
    InternetGateway(),
    GatewayAttachment(),
    EgressOnlyGateway(),
)
