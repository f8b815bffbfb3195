"""The node's ENIs and the VPC around it, from IMDS and EC2; what may not be read is unknown, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeVar

from vpccni.aws.imds import ImdsError, ImdsPort, NodeFacts, attached_enis
from vpccni.cli.cloud.ec2 import NotAllowedError, Questions, by
from vpccni.cli.cloud.values import (
    FarEni,
    GroupRule,
    NodeEni,
    Vpc,
    VpcRoute,
    VpcTable,
)
from vpccni.cli.unknown import Unknown

T = TypeVar("T")
TARGETS = (
    "GatewayId", "NatGatewayId", "VpcPeeringConnectionId", "TransitGatewayId", "NetworkInterfaceId", "InstanceId",
    "LocalGatewayId", "CarrierGatewayId", "EgressOnlyInternetGatewayId", "CoreNetworkArn",
)  # fmt: skip
"""Where DescribeRouteTables may name a route's target."""


def enis_by_imds(imds: ImdsPort) -> tuple[NodeEni, ...] | Unknown:
    """The ENIs as the metadata service has them."""
    try:
        found = attached_enis(imds)
    except ImdsError as error:
        return Unknown(str(error))
    return tuple(
        NodeEni(
            id=entry.eni.id,
            mac=entry.eni.mac,
            subnet=entry.eni.subnet_id,
            subnet_cidr=entry.eni.subnet_cidr,
            primary_address=entry.eni.primary_address,
            networks=tuple(b.network for b in entry.blocks if isinstance(b.network, IPv4Network)),
            is_primary=entry.eni.is_primary,
        )
        for entry in found
    )


def enis_by_ec2(
    questions: Questions, instance: str, known: tuple[NodeEni, ...]
) -> tuple[NodeEni, ...] | Unknown:
    """The same as EC2 has them, which is the truth, with groups and public addresses."""
    try:
        items = questions.all(
            "DescribeNetworkInterfaces",
            "NetworkInterfaces",
            Filters=[by("attachment.instance-id", instance)],
        )
    except NotAllowedError as error:
        return Unknown(str(error))
    cidrs = {eni.subnet: eni.subnet_cidr for eni in known}
    return tuple(_eni(item, cidrs) for item in items if item.get("PrivateIpAddress"))


def read_vpc(
    questions: Questions | None,
    node: NodeFacts,
    enis: tuple[NodeEni, ...],
    destination: IPv4Address,
    why: str = "",
) -> Vpc:
    """What is known around a destination; without `questions` what IMDS told, the rest unknown for the reason `why`."""
    if questions is None:
        silent = Unknown(why)
        return Vpc(node.vpc_cidrs, silent, silent, silent, silent)
    asked = questions
    far = _tried(lambda: _far(asked, node, destination))
    tables = _tried(lambda: _tables(asked, node.vpc_id))
    wanted = {group for eni in enis for group in eni.groups} | set(
        far.groups if isinstance(far, FarEni) else ()
    )
    groups = _tried(lambda: _groups(asked, sorted(wanted)))
    return Vpc(node.vpc_cidrs, tables, groups, far, _tried(lambda: _nat_addresses(asked, node.vpc_id)))


def _tried(read: Callable[[], T]) -> T | Unknown:
    try:
        return read()
    except NotAllowedError as error:
        return Unknown(str(error))


def _eni(item: Mapping[str, Any], cidrs: Mapping[str, IPv4Network]) -> NodeEni:
    held = item.get("PrivateIpAddresses", ())
    primary = IPv4Address(item["PrivateIpAddress"])
    others = [IPv4Network(each["PrivateIpAddress"]) for each in held if not each.get("Primary")]
    prefixes = _prefixes(item)
    return NodeEni(
        id=item["NetworkInterfaceId"],
        mac=item.get("MacAddress", ""),
        subnet=item.get("SubnetId", ""),
        subnet_cidr=cidrs.get(item.get("SubnetId", ""), IPv4Network(primary)),
        primary_address=primary,
        networks=(*others, *prefixes),
        is_primary=item.get("Attachment", {}).get("DeviceIndex") == 0,
        groups=tuple(group["GroupId"] for group in item.get("Groups", ())),
        public=tuple(
            (IPv4Address(each["PrivateIpAddress"]), IPv4Address(each["Association"]["PublicIp"]))
            for each in held
            if each.get("Association", {}).get("PublicIp")
        ),
        checks_source=item.get("SourceDestCheck", True),
    )


def _prefixes(item: Mapping[str, Any]) -> list[IPv4Network]:
    return [IPv4Network(each["Ipv4Prefix"]) for each in item.get("Ipv4Prefixes", ())]


def _far(questions: Questions, node: NodeFacts, destination: IPv4Address) -> FarEni | None:
    in_vpc = by("vpc-id", node.vpc_id)
    items = questions.all(
        "DescribeNetworkInterfaces",
        "NetworkInterfaces",
        Filters=[in_vpc, by("addresses.private-ip-address", str(destination))],
    )
    if not items:  # it may be of a prefix, and no documented filter finds one of those
        everyone = questions.all("DescribeNetworkInterfaces", "NetworkInterfaces", Filters=[in_vpc])
        items = [item for item in everyone if any(destination in prefix for prefix in _prefixes(item))]
    if not items:
        return None
    item = items[0]
    instance = item.get("Attachment", {}).get("InstanceId")
    owner = f"of instance {instance}" if instance else item.get("Description") or "of no instance"
    return FarEni(
        item["NetworkInterfaceId"], owner, tuple(group["GroupId"] for group in item.get("Groups", ()))
    )


def _tables(questions: Questions, vpc: str) -> tuple[VpcTable, ...]:
    items = questions.all("DescribeRouteTables", "RouteTables", Filters=[by("vpc-id", vpc)])
    return tuple(
        VpcTable(
            item["RouteTableId"],
            any(each.get("Main") for each in item.get("Associations", ())),
            tuple(each["SubnetId"] for each in item.get("Associations", ()) if each.get("SubnetId")),
            tuple(
                VpcRoute(
                    IPv4Network(route["DestinationCidrBlock"]),
                    next((route[key] for key in TARGETS if route.get(key)), "nowhere"),
                    route.get("State", "active") == "active",
                )
                for route in item.get("Routes", ())
                if route.get("DestinationCidrBlock")
            ),
        )
        for item in items
    )


def _groups(questions: Questions, ids: list[str]) -> tuple[tuple[str, tuple[GroupRule, ...]], ...]:
    if not ids:
        return ()
    items = questions.all("DescribeSecurityGroups", "SecurityGroups", GroupIds=ids)
    return tuple(
        (
            item["GroupId"],
            (
                *_rules(item.get("IpPermissions", ()), egress=False),
                *_rules(item.get("IpPermissionsEgress", ()), egress=True),
            ),
        )
        for item in items
    )


def _rules(items: Iterable[Mapping[str, Any]], *, egress: bool) -> Iterable[GroupRule]:
    for item in items:
        yield GroupRule(
            egress,
            item.get("IpProtocol", "-1"),
            item.get("FromPort", 0),
            item.get("ToPort", 65535),
            tuple(IPv4Network(each["CidrIp"]) for each in item.get("IpRanges", ())),
            tuple(each["GroupId"] for each in item.get("UserIdGroupPairs", ())),
            tuple(each["PrefixListId"] for each in item.get("PrefixListIds", ())),
        )


def _nat_addresses(questions: Questions, vpc: str) -> tuple[tuple[str, IPv4Address], ...]:
    items = questions.all("DescribeNatGateways", "NatGateways", Filter=[by("vpc-id", vpc)])
    return tuple(
        (item["NatGatewayId"], IPv4Address(each["PublicIp"]))
        for item in items
        for each in item.get("NatGatewayAddresses", ())
        if each.get("PublicIp")
    )
