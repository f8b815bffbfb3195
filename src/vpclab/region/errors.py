"""EC2's refusals, each with AWS's code and wording (aws-emulation 4.4; where that is silent, AWS's documented code)."""

from __future__ import annotations

from vpclab.region.values import ApiError

_NOUNS = {
    "eni": ("InvalidNetworkInterfaceID.NotFound", "networkInterface"),
    "i": ("InvalidInstanceID.NotFound", "instance"),
    "subnet": ("InvalidSubnetID.NotFound", "subnet"),
    "vpc": ("InvalidVpcID.NotFound", "vpc"),
    "igw": ("InvalidInternetGatewayID.NotFound", "internetGateway"),
    "eigw": ("InvalidEgressOnlyInternetGatewayId.NotFound", "egressOnlyInternetGateway"),
    "rtb": ("InvalidRouteTableID.NotFound", "routeTable"),
    "rtbassoc": ("InvalidAssociationID.NotFound", "association"),
    "nat": ("NatGatewayNotFound", "natGateway"),
    "pcx": ("InvalidVpcPeeringConnectionID.NotFound", "vpcPeeringConnection"),
    "vgw": ("InvalidVpnGatewayID.NotFound", "vpnGateway"),
    "cgw": ("InvalidCustomerGatewayID.NotFound", "customerGateway"),
    "vpn": ("InvalidVpnConnectionID.NotFound", "vpnConnection"),
    "eipalloc": ("InvalidAllocationID.NotFound", "allocation"),
    "eipassoc": ("InvalidAssociationID.NotFound", "association"),
    "dopt": ("InvalidDhcpOptionsID.NotFound", "dhcpOption"),
    "acl": ("InvalidNetworkAclID.NotFound", "networkAcl"),
    "sgr": ("InvalidSecurityGroupRuleId.NotFound", "security group rule"),
    "eni-attach": ("InvalidAttachmentID.NotFound", "attachment"),
}


def not_found(identifier: str, kind: str | None = None) -> ApiError:
    """No resource of this id; `kind` is the id's prefix where the caller knows what was meant."""
    prefix = kind or identifier.rpartition("-")[0]
    if prefix == "sg":
        return ApiError("InvalidGroup.NotFound", f"The security group '{identifier}' does not exist")
    # The id stands in single quotes: clients find it there (aws-emulation 1b.1).
    code, noun = _NOUNS.get(prefix, ("InvalidID", "resource"))
    return ApiError(code, f"The {noun} ID '{identifier}' does not exist")


def invalid(message: str) -> ApiError:
    """A value that does not fit."""
    return ApiError("InvalidParameterValue", message)


def contradiction(message: str) -> ApiError:
    """Parameters that do not go together."""
    return ApiError("InvalidParameterCombination", message)


def incorrect_state(message: str) -> ApiError:
    """The resource is on its way from one state to another."""
    return ApiError("IncorrectState", message)
