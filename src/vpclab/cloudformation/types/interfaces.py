"""AWS::EC2: network interfaces, Elastic IP addresses, NAT gateways, peering."""

from __future__ import annotations

from typing import Any

from vpclab.cloudformation.errors import ResourceFailed
from vpclab.cloudformation.resource_type import Context, ResourceType, properties
from vpclab.cloudformation.types.shapes import Tagged, flag, only, retagged, specified, whole
from vpclab.cloudformation.values import Properties


class NetworkInterface(Tagged):
    """AWS::EC2::NetworkInterface."""

    name = "AWS::EC2::NetworkInterface"
    properties = properties(
        replace="SubnetId PrivateIpAddress PrivateIpAddresses SecondaryPrivateIpAddressCount Ipv4PrefixCount Ipv4Prefixes",
        modify="GroupSet Description SourceDestCheck Tags",
        required="SubnetId",
    )
    attributes = frozenset({"Id", "PrimaryPrivateIpAddress", "SecondaryPrivateIpAddresses", "VpcId"})
    note = "AWS changes secondary addresses and prefixes in place; the lab makes another interface."

    def create(self, context: Context, p: Properties) -> str:
        """CreateNetworkInterface."""
        made = context.call(
            "ec2",
            "CreateNetworkInterface",
            SubnetId=p["SubnetId"],
            Groups=p.get("GroupSet"),
            Description=p.get("Description"),
            PrivateIpAddress=p.get("PrivateIpAddress"),
            PrivateIpAddresses=[
                {"PrivateIpAddress": one["PrivateIpAddress"], "Primary": flag(one.get("Primary", False))}
                for one in p.get("PrivateIpAddresses", ())
            ]
            or None,
            SecondaryPrivateIpAddressCount=whole(p.get("SecondaryPrivateIpAddressCount")),
            Ipv4PrefixCount=whole(p.get("Ipv4PrefixCount")),
            Ipv4Prefixes=p.get("Ipv4Prefixes"),
            TagSpecifications=specified(context, "network-interface", p),
        )
        eni_id = str(made["NetworkInterface"]["NetworkInterfaceId"])
        if "SourceDestCheck" in p:
            self._modify(context, eni_id, SourceDestCheck={"Value": flag(p["SourceDestCheck"])})
        return eni_id

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        found = context.call("ec2", "DescribeNetworkInterfaces", NetworkInterfaceIds=[physical_id])
        eni = only(found, "NetworkInterfaces")
        addresses = [str(one["PrivateIpAddress"]) for one in eni["PrivateIpAddresses"] if not one["Primary"]]
        return {
            "Id": physical_id,
            "VpcId": str(eni["VpcId"]),
            "PrimaryPrivateIpAddress": str(eni["PrivateIpAddress"]),
            "SecondaryPrivateIpAddresses": addresses,
        }

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """ModifyNetworkInterfaceAttribute, one attribute a call; tags."""
        if new.get("GroupSet") and new.get("GroupSet") != old.get("GroupSet"):
            self._modify(context, physical_id, Groups=new["GroupSet"])
        if new.get("Description") != old.get("Description"):
            self._modify(context, physical_id, Description={"Value": new.get("Description", "")})
        if new.get("SourceDestCheck") != old.get("SourceDestCheck"):
            value = flag(new.get("SourceDestCheck", True))
            self._modify(context, physical_id, SourceDestCheck={"Value": value})
        retagged(context, physical_id, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteNetworkInterface."""
        context.call("ec2", "DeleteNetworkInterface", NetworkInterfaceId=physical_id)

    def _modify(self, context: Context, eni_id: str, **given: Any) -> None:
        context.call("ec2", "ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni_id, **given)


class Attachment(ResourceType):
    """AWS::EC2::NetworkInterfaceAttachment."""

    name = "AWS::EC2::NetworkInterfaceAttachment"
    properties = properties(
        replace="InstanceId NetworkInterfaceId DeviceIndex",
        modify="DeleteOnTermination",
        required="InstanceId NetworkInterfaceId DeviceIndex",
    )
    attributes = frozenset({"AttachmentId"})

    def create(self, context: Context, p: Properties) -> str:
        """AttachNetworkInterface."""
        made = context.call(
            "ec2",
            "AttachNetworkInterface",
            InstanceId=p["InstanceId"],
            NetworkInterfaceId=p["NetworkInterfaceId"],
            DeviceIndex=whole(p["DeviceIndex"]),
        )
        self.update(context, str(made["AttachmentId"]), {}, {"DeleteOnTermination": True, **p})
        return str(made["AttachmentId"])

    def settled(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether it is attached."""
        return self._status(context, p) == "attached"

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"AttachmentId": physical_id}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """ModifyNetworkInterfaceAttribute."""
        value = flag(new.get("DeleteOnTermination", True))
        context.call(
            "ec2",
            "ModifyNetworkInterfaceAttribute",
            NetworkInterfaceId=new["NetworkInterfaceId"],
            Attachment={"AttachmentId": physical_id, "DeleteOnTermination": value},
        )

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DetachNetworkInterface."""
        context.call("ec2", "DetachNetworkInterface", AttachmentId=physical_id)

    def gone(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether it is available."""
        return self._status(context, p) == ""

    def _status(self, context: Context, p: Properties) -> str:
        found = context.call(
            "ec2", "DescribeNetworkInterfaces", NetworkInterfaceIds=[p["NetworkInterfaceId"]]
        )
        return str((only(found, "NetworkInterfaces").get("Attachment") or {}).get("Status", ""))


class ElasticIp(ResourceType):
    """AWS::EC2::EIP; Ref is the address."""

    name = "AWS::EC2::EIP"
    properties = properties(replace="Domain", modify="InstanceId Tags")
    attributes = frozenset({"AllocationId", "PublicIp"})

    def create(self, context: Context, p: Properties) -> str:
        """AllocateAddress, AssociateAddress."""
        made = context.call(
            "ec2", "AllocateAddress", Domain="vpc", TagSpecifications=specified(context, "elastic-ip", p)
        )
        if p.get("InstanceId"):
            self._associate(context, str(made["AllocationId"]), p)
        return str(made["PublicIp"])

    def tagged_id(self, context: Context, physical_id: str) -> str:
        """Its allocation."""
        return str(self._address(context, physical_id)["AllocationId"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {
            "PublicIp": physical_id,
            "AllocationId": str(self._address(context, physical_id)["AllocationId"]),
        }

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """Another instance, or none; tags."""
        address = self._address(context, physical_id)
        if new.get("InstanceId") != old.get("InstanceId"):
            if new.get("InstanceId"):
                self._associate(context, str(address["AllocationId"]), new)
            elif address.get("AssociationId"):
                context.call("ec2", "DisassociateAddress", AssociationId=address["AssociationId"])
        retagged(context, str(address["AllocationId"]), old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DisassociateAddress, ReleaseAddress."""
        address = self._address(context, physical_id)
        if address.get("AssociationId") and p.get("InstanceId"):
            context.call("ec2", "DisassociateAddress", AssociationId=address["AssociationId"])
        context.call("ec2", "ReleaseAddress", AllocationId=address["AllocationId"])

    def _associate(self, context: Context, allocation: str, p: Properties) -> None:
        context.call("ec2", "AssociateAddress", AllocationId=allocation, InstanceId=p["InstanceId"])

    def _address(self, context: Context, public_ip: str) -> Any:
        return only(context.call("ec2", "DescribeAddresses", PublicIps=[public_ip]), "Addresses")


class ElasticIpAssociation(ResourceType):
    """AWS::EC2::EIPAssociation."""

    name = "AWS::EC2::EIPAssociation"
    properties = properties(replace="AllocationId EIP InstanceId NetworkInterfaceId PrivateIpAddress")
    attributes = frozenset({"Id"})

    def create(self, context: Context, p: Properties) -> str:
        """AssociateAddress."""
        allocation = p.get("AllocationId")
        if allocation is None:
            found = context.call("ec2", "DescribeAddresses", PublicIps=[p["EIP"]])
            allocation = only(found, "Addresses")["AllocationId"]
        names = ("InstanceId", "NetworkInterfaceId", "PrivateIpAddress")
        made = context.call(
            "ec2", "AssociateAddress", AllocationId=allocation, **{key: p[key] for key in names if key in p}
        )
        return str(made["AssociationId"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"Id": physical_id}

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DisassociateAddress."""
        context.call("ec2", "DisassociateAddress", AssociationId=physical_id)


class NatGateway(Tagged):
    """AWS::EC2::NatGateway."""

    name = "AWS::EC2::NatGateway"
    properties = properties(
        replace="SubnetId AllocationId ConnectivityType PrivateIpAddress",
        modify="Tags",
        required="SubnetId AllocationId",
    )
    attributes = frozenset({"NatGatewayId"})

    def create(self, context: Context, p: Properties) -> str:
        """CreateNatGateway."""
        names = ("SubnetId", "AllocationId", "ConnectivityType", "PrivateIpAddress")
        made = context.call(
            "ec2",
            "CreateNatGateway",
            TagSpecifications=specified(context, "natgateway", p),
            **{key: p[key] for key in names if key in p},
        )
        return str(made["NatGateway"]["NatGatewayId"])

    def settled(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether it is available. Raises ResourceFailed."""
        state = self._state(context, physical_id)
        if state in ("failed", "deleting", "deleted"):
            raise ResourceFailed(
                f"NatGateway {physical_id} is in state {state} and hence failed to stabilize."
            )
        return state == "available"

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"NatGatewayId": physical_id}

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteNatGateway."""
        context.call("ec2", "DeleteNatGateway", NatGatewayId=physical_id)

    def gone(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether it is deleted."""
        return self._state(context, physical_id) == "deleted"

    def _state(self, context: Context, nat_id: str) -> str:
        found = context.call("ec2", "DescribeNatGateways", NatGatewayIds=[nat_id])
        return str(only(found, "NatGateways")["State"])


class Peering(Tagged):
    """AWS::EC2::VPCPeeringConnection, of two VPCs of the account: accepted as it is made."""

    name = "AWS::EC2::VPCPeeringConnection"
    properties = properties(
        replace="VpcId PeerVpcId PeerOwnerId PeerRegion", modify="Tags", required="VpcId PeerVpcId"
    )
    attributes = frozenset({"Id"})

    def create(self, context: Context, p: Properties) -> str:
        """CreateVpcPeeringConnection, AcceptVpcPeeringConnection."""
        names = ("VpcId", "PeerVpcId", "PeerOwnerId", "PeerRegion")
        made = context.call(
            "ec2",
            "CreateVpcPeeringConnection",
            TagSpecifications=specified(context, "vpc-peering-connection", p),
            **{key: p[key] for key in names if key in p},
        )
        peering_id = str(made["VpcPeeringConnection"]["VpcPeeringConnectionId"])
        context.call("ec2", "AcceptVpcPeeringConnection", VpcPeeringConnectionId=peering_id)
        return peering_id

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"Id": physical_id}

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteVpcPeeringConnection."""
        context.call("ec2", "DeleteVpcPeeringConnection", VpcPeeringConnectionId=physical_id)


TYPES: tuple[ResourceType, ...] = (
    NetworkInterface(),
    Attachment(),
    ElasticIp(),
    ElasticIpAssociation(),
    NatGateway(),
    Peering(),
)
