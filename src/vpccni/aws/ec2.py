"""EC2 as the agent needs it: a handful of calls, answers as ipam's values, failures as typed reasons."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

from vpccni.aws.budget import CallBudget
from vpccni.aws.call_log import CallLog
from vpccni.aws.client import Ec2Client
from vpccni.aws.errors import NO_SUCH_ENI, Ec2Error, failure
from vpccni.aws.tags import CLUSTER, INSTANCE
from vpccni.aws.values import (
    CreatedEni,
    DescribedEni,
    DescribedSubnet,
    EniAttachment,
    NewEni,
    Tracking,
)
from vpccni.ipam.limits import InstanceLimits, from_describe
from vpccni.ipam.values import Block, BlockKind, EniId, SubnetId

__all__ = ["Ec2", "NewEni"]

TRACKING = ("TcpEstablishedTimeout", "UdpStreamTimeout", "UdpTimeout")
PAGE = 1000
"""ENIs in one answer (spec 6.9)."""


class Ec2:
    """One region's EC2, as this node's role may call it. Light until the first call, which loads botocore.

    Blocking; used in worker threads, whose calls may overlap. `timeout` is what an answer may take, in seconds
    (HTTP_TIMEOUT). With `ipv6` what ENIs hold is their IPv6 prefixes, else their IPv4 addresses and prefixes. `calls` is counted into, `budget` paced by; `denied` is told, in the caller's thread, each action that
    the node's role may not do.
    """

    def __init__(
        self,
        region: str,
        *,
        endpoint_url: str | None = None,
        timeout: float = 10.0,
        calls: CallLog | None = None,
        budget: CallBudget | None = None,
        denied: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        ipv6: bool = False,
    ) -> None:
        self._ipv6 = ipv6
        self._client = Ec2Client(
            region,
            endpoint_url=endpoint_url,
            timeout=timeout,
            calls=calls,
            budget=budget,
            denied=denied,
            sleep=sleep,
        )

    @property
    def calls(self) -> CallLog:
        """What was called, and how it ended."""
        return self._client.calls

    def close(self) -> None:
        """Close connections; the next call opens others."""
        self._client.close()

    def assign(self, eni: EniId, count: int, kind: BlockKind) -> tuple[Block, ...]:
        """More blocks on an ENI; just the new ones. Raises Ec2Error."""
        if count <= 0:
            return ()
        if kind is BlockKind.IPV6_PREFIX:
            answer = self._client.call(
                "AssignIpv6Addresses",
                {"NetworkInterfaceId": eni, **_first(count, kind)},
                subject=eni,
                prefixes=True,
            )
            return tuple(Block(IPv6Network(prefix)) for prefix in answer.get("AssignedIpv6Prefixes", ()))
        answer = self._client.call(
            "AssignPrivateIpAddresses",
            {"NetworkInterfaceId": eni, **_first(count, kind)},
            subject=eni,
            prefixes=kind is BlockKind.PREFIX,
        )
        addresses = (a["PrivateIpAddress"] for a in answer.get("AssignedPrivateIpAddresses", ()))
        return _blocks(addresses, answer.get("AssignedIpv4Prefixes", ()))

    def unassign(self, eni: EniId, blocks: Iterable[Block]) -> None:
        """Give blocks back, addresses and prefixes in a call each. Raises Ec2Error."""
        given = tuple(blocks)
        addresses = [str(b.network.network_address) for b in given if b.kind is BlockKind.SECONDARY_IP]
        prefixes = [str(b) for b in given if b.kind is BlockKind.PREFIX]
        prefixes6 = [str(b) for b in given if b.kind is BlockKind.IPV6_PREFIX]
        for action, what, values in (
            ("UnassignPrivateIpAddresses", "PrivateIpAddresses", addresses),
            ("UnassignPrivateIpAddresses", "Ipv4Prefixes", prefixes),
            ("UnassignIpv6Addresses", "Ipv6Prefixes", prefixes6),
        ):
            if values:
                self._client.call(action, {"NetworkInterfaceId": eni, what: values}, subject=eni)

    def create_eni(self, new: NewEni) -> CreatedEni:
        """A new ENI with its first blocks. Raises Ec2Error."""
        said = {
            "SubnetId": new.subnet,
            "Groups": list(new.groups),
            "Description": new.description,
            "ClientToken": uuid.uuid4().hex,  # one for all attempts: a lost answer leaves no second ENI
            **_first(new.count, new.kind),
        }
        if new.tracking is not None:
            said["ConnectionTrackingSpecification"] = _told_tracking(new.tracking)
        if new.tags:
            tags = [{"Key": key, "Value": value} for key, value in sorted(new.tags)]
            said["TagSpecifications"] = [{"ResourceType": "network-interface", "Tags": tags}]
        answer = self._client.call(
            "CreateNetworkInterface",
            said,
            subject=new.subnet,
            subnet=new.subnet,
            prefixes=new.kind is not BlockKind.SECONDARY_IP,
        )
        eni = answer["NetworkInterface"]
        return CreatedEni(
            id=EniId(eni["NetworkInterfaceId"]),
            mac=eni["MacAddress"],
            primary_address=IPv4Address(eni["PrivateIpAddress"]),
            blocks=self._held(eni),
        )

    def _held(self, eni: Mapping[str, Any]) -> tuple[Block, ...]:
        if self._ipv6:
            return tuple(Block(IPv6Network(one["Ipv6Prefix"])) for one in eni.get("Ipv6Prefixes", ()))
        return _blocks(_secondary(eni), eni.get("Ipv4Prefixes", ()))

    def _described(self, item: Mapping[str, Any]) -> DescribedEni:
        primary = item.get("PrivateIpAddress")
        return DescribedEni(
            id=EniId(item["NetworkInterfaceId"]),
            mac=item.get("MacAddress", ""),
            status=item["Status"],
            subnet=SubnetId(item.get("SubnetId", "")),
            primary_address=IPv4Address(primary) if primary else None,
            blocks=self._held(item),
            attachment=_attachment(item.get("Attachment")),
            description=item.get("Description", ""),
            interface_type=item.get("InterfaceType", "interface"),
            groups=tuple(group["GroupId"] for group in item.get("Groups", ())),
            tags=_tags(item.get("TagSet", ())),
            tracking=_tracking(item.get("ConnectionTrackingConfiguration")),
        )

    def attach(self, eni: EniId, instance: str, device_index: int, network_card: int) -> str:
        """Attach; the attachment's id. Raises Ec2Error."""
        said = {
            "NetworkInterfaceId": eni,
            "InstanceId": instance,
            "DeviceIndex": device_index,
            "NetworkCardIndex": network_card,
        }
        answer = self._client.call("AttachNetworkInterface", said, subject=eni)
        return str(answer["AttachmentId"])

    def delete_on_termination(self, eni: EniId, attachment: str) -> None:
        """The ENI goes with the instance. Raises Ec2Error."""
        change = {"AttachmentId": attachment, "DeleteOnTermination": True}
        said = {"NetworkInterfaceId": eni, "Attachment": change}
        self._client.call("ModifyNetworkInterfaceAttribute", said, subject=eni)

    def detach(self, attachment: str) -> None:
        """Begin to detach. Raises Ec2Error."""
        self._client.call("DetachNetworkInterface", {"AttachmentId": attachment}, subject=attachment)

    def delete_eni(self, eni: EniId) -> None:
        """Delete; one that is gone already is fine. Raises Ec2Error."""
        try:
            self._client.call("DeleteNetworkInterface", {"NetworkInterfaceId": eni}, subject=eni)
        except Ec2Error as error:
            if error.code != NO_SUCH_ENI:
                raise

    def describe_enis(
        self, ids: Sequence[EniId] | None = None, *, instance: str | None = None
    ) -> tuple[DescribedEni, ...]:
        """ENIs by id (200 at most) or by instance, by device index; those that are gone are left out. Raises Ec2Error.

        By filter and not by NetworkInterfaceIds: one ENI that is gone would fail the whole call (spec 6.9).
        """
        filters = [] if instance is None else [_filter("attachment.instance-id", [instance])]
        if ids is not None:
            if not ids:
                return ()
            filters.append(_filter("network-interface-id", ids))
        if not filters:
            raise ValueError("every ENI of the account is never what a node wants to know")
        items = self._client.pages("DescribeNetworkInterfaces", "NetworkInterfaces", {"Filters": filters})
        return tuple(sorted(map(self._described, items), key=_by_device))

    def describe_subnets(self, vpc: str, zone: str) -> tuple[DescribedSubnet, ...]:
        """The subnets of a VPC in one zone, those with the most free addresses first (spec 6.11). Raises Ec2Error."""
        filters = [_filter("vpc-id", [vpc]), _filter("availability-zone", [zone])]
        found = map(_subnet, self._client.pages("DescribeSubnets", "Subnets", {"Filters": filters}))
        return tuple(sorted(found, key=lambda subnet: (-subnet.free_addresses, subnet.id)))

    def describe_subnet(self, subnet: SubnetId) -> DescribedSubnet:
        """One subnet, wherever it is. Raises Ec2Error."""
        answer = self._client.call("DescribeSubnets", {"SubnetIds": [subnet]}, subject=subnet, subnet=subnet)
        return _subnet(answer["Subnets"][0])

    def stray_enis(self, vpc: str, cluster: str) -> tuple[DescribedEni, ...]:
        """ENIs of our making in the VPC that are attached to nothing (spec 6.9). Raises Ec2Error."""
        filters = [
            _filter("tag-key", [INSTANCE]),
            _filter("status", ["available"]),
            _filter("vpc-id", [vpc]),
            *([_filter(f"tag:{CLUSTER}", [cluster])] if cluster else []),
        ]
        items = self._client.pages(
            "DescribeNetworkInterfaces", "NetworkInterfaces", {"Filters": filters, "MaxResults": PAGE}
        )
        return tuple(map(self._described, items))

    def tag(self, eni: EniId, tags: Iterable[tuple[str, str]]) -> None:
        """Add tags, or change them. Raises Ec2Error."""
        said = [{"Key": key, "Value": value} for key, value in sorted(tags)]
        self._client.call("CreateTags", {"Resources": [eni], "Tags": said}, subject=eni)

    def set_groups(self, eni: EniId, groups: Sequence[str]) -> None:
        """The ENI's security groups, all of them. Raises Ec2Error."""
        said = {"NetworkInterfaceId": eni, "Groups": list(groups)}
        self._client.call("ModifyNetworkInterfaceAttribute", said, subject=eni)

    def instance_limits(self, instance_type: str) -> InstanceLimits:
        """The limits of a type that our data file does not know. Raises Ec2Error."""
        action = "DescribeInstanceTypes"
        answer = self._client.call(action, {"InstanceTypes": [instance_type]}, subject=instance_type)
        found = answer.get("InstanceTypes", ())
        if not found:
            raise failure(action, "InvalidInstanceType", "no such type in this region", subject=instance_type)
        return from_describe(found[0])


def _first(count: int, kind: BlockKind) -> dict[str, int]:
    """EC2 takes one of the two, and neither as 0."""
    if count <= 0:
        return {}
    return {_COUNTS[kind]: count}


_COUNTS = {
    BlockKind.SECONDARY_IP: "SecondaryPrivateIpAddressCount",
    BlockKind.PREFIX: "Ipv4PrefixCount",
    BlockKind.IPV6_PREFIX: "Ipv6PrefixCount",
}


def _blocks(addresses: Iterable[str], prefixes: Iterable[Mapping[str, str]]) -> tuple[Block, ...]:
    return (
        *(Block.of_address(IPv4Address(address)) for address in addresses),
        *(Block(IPv4Network(prefix["Ipv4Prefix"])) for prefix in prefixes),
    )


def _secondary(eni: Mapping[str, Any]) -> Iterable[str]:
    return (a["PrivateIpAddress"] for a in eni.get("PrivateIpAddresses", ()) if not a.get("Primary"))


def _subnet(item: Mapping[str, Any]) -> DescribedSubnet:
    return DescribedSubnet(
        id=SubnetId(item["SubnetId"]),
        cidr=IPv4Network(item["CidrBlock"]),
        zone=item["AvailabilityZone"],
        free_addresses=item["AvailableIpAddressCount"],
        tags=_tags(item.get("Tags", ())),
    )


def _attachment(item: Mapping[str, Any] | None) -> EniAttachment | None:
    if not item:
        return None
    return EniAttachment(
        id=item["AttachmentId"],
        instance=item.get("InstanceId"),
        device_index=item.get("DeviceIndex", 0),
        network_card=item.get("NetworkCardIndex", 0),
        status=item.get("Status", ""),
        tied=item.get("DeleteOnTermination", True),
    )


def _tracking(item: Mapping[str, int] | None) -> Tracking | None:
    """EC2 may answer with an empty element for an ENI that nobody has set anything on."""
    found = Tracking(*((item or {}).get(name) for name in TRACKING))
    return None if found == Tracking() else found


def _told_tracking(tracking: Tracking) -> dict[str, int]:
    values = (tracking.tcp_established, tracking.udp_stream, tracking.udp)
    return {name: value for name, value in zip(TRACKING, values, strict=True) if value is not None}


def _by_device(eni: DescribedEni) -> tuple[bool, int, int, str]:
    at = eni.attachment
    return (at is None, at.network_card if at else 0, at.device_index if at else 0, eni.id)


def _tags(items: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in items}


def _filter(name: str, values: Sequence[str]) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}
