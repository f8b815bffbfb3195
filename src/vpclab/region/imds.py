"""What the instance metadata service says to an instance (spec 6.13), as of a given time."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from vpccni.ipam.limits import Hypervisor, known_limits
from vpclab.region.imds_documents import credentials_document, identity_document, profile_document
from vpclab.region.readers import IMAGE_ID
from vpclab.region.region import Region
from vpclab.region.values import Instance, InstanceState, NetworkInterface

IMAGE = IMAGE_ID
ROOT_DEVICE = "/dev/xvda"

Entry: TypeAlias = "str | Mapping[str, Entry] | Callable[[], Entry] | None"
"""A document, nothing (404), a directory, or a directory that is made when it is looked into."""


def imds_document(region: Region, instance_id: str, path: str, now: float, *, role: str = "") -> str | None:
    """The text at a path below "/latest/", for example "meta-data/mac"; None where IMDS answers 404.

    A directory gives its listing, subdirectories with a trailing slash but for the first level's, as EC2 does.
    Without a `role` there are no credentials.
    """
    instance = region.instances.get(instance_id)
    if instance is None or instance.state is InstanceState.TERMINATED:
        return None
    all_there_is: Mapping[str, Entry] = {
        "dynamic": {"instance-identity": {"document": identity_document(region, instance)}},
        "meta-data": functools.partial(_meta_data, region, instance, now, role),
        **({"user-data": instance.user_data} if instance.user_data else {}),
    }
    parts = [part for part in path.removeprefix("/latest").split("/") if part]
    if not parts:
        return _lines(all_there_is)
    entry: Entry = all_there_is
    for part in parts:
        if not isinstance(entry, Mapping):
            return None
        entry = entry.get(part)
        if callable(entry):
            entry = entry()
    if isinstance(entry, Mapping):
        return _lines(name if isinstance(value, str) else f"{name}/" for name, value in entry.items())
    if isinstance(entry, str) and not path.endswith("/"):
        return entry
    return None


def private_name(region: Region, eni: NetworkInterface) -> str:
    """The private DNS name of an ENI's primary address."""
    return f"ip-{str(eni.primary).replace('.', '-')}.{region.name}.compute.internal"


def public_name(region: Region, eni: NetworkInterface) -> str:
    """The public DNS name of an ENI; empty without a public address."""
    if eni.public_ip is None:
        return ""
    return f"ec2-{str(eni.public_ip).replace('.', '-')}.{region.name}.compute.amazonaws.com"


def zone_id(zone: str) -> str:
    """An availability zone's id, the same in every account: ap-northeast-2a is apne2-az1."""
    area, direction, number = zone[:-1].split("-")
    halves = direction.replace("north", "n/").replace("south", "s/").replace("central", "c/")
    short = "".join(part[:1] for part in halves.split("/"))
    return f"{area}{short or direction[:1]}{number}-az{ord(zone[-1]) - ord('a') + 1}"


def reservation_id(instance: Instance) -> str:
    """Of the launch that an instance came from, which is its alone."""
    return f"r-0{hashlib.sha256(instance.id.encode()).hexdigest()[:16]}"


def _system(instance: Instance) -> str:
    limits = known_limits(instance.type)
    return "xen" if limits is not None and limits.hypervisor is Hypervisor.XEN else "nitro"


def _meta_data(region: Region, instance: Instance, now: float, role: str) -> Mapping[str, Entry]:
    primary = region.primary_eni(instance.id)
    host = private_name(region, primary)
    entries: dict[str, Entry] = {
        "ami-id": instance.image_id or IMAGE,
        "ami-launch-index": "0",
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": {"ami": ROOT_DEVICE, "root": ROOT_DEVICE},
        "events": {"maintenance": {"history": "[]", "scheduled": "[]"}},
        "hostname": host,
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": "on-demand",
        "instance-type": instance.type,
        "local-hostname": host,
        "local-ipv4": str(primary.primary),
        "mac": primary.mac,
        "network": {"interfaces": {"macs": functools.partial(_macs, region, instance, now)}},
        "placement": {
            "availability-zone": instance.zone,
            "availability-zone-id": zone_id(instance.zone),
            "region": region.name,
        },
        "profile": "default-hvm",
        "reservation-id": reservation_id(instance),
        "security-groups": _group_names(region, primary),
        "system": _system(instance),
        "services": {"domain": "amazonaws.com", "partition": "aws"},
    }
    if primary.ipv6:
        entries["ipv6"] = str(primary.ipv6[0])
    if primary.public_ip is not None:
        entries |= {"public-ipv4": str(primary.public_ip), "public-hostname": public_name(region, primary)}
    if instance.metadata.tags:
        entries["tags"] = {"instance": dict(sorted(instance.tags.items()))}
    if role:
        entries["iam"] = {
            "info": profile_document(region, role, now),
            "security-credentials": {role: credentials_document(instance, role, now)},
        }
    return dict(sorted(entries.items()))


def _macs(region: Region, instance: Instance, now: float) -> Mapping[str, Entry]:
    """Every listed MAC; of one that lingers nothing is found."""
    by_mac = {eni.mac: eni for eni in region.metadata_enis(instance.id, now)}
    return {
        mac: functools.partial(_interface, region, by_mac.get(mac))
        for mac in region.metadata_macs(instance.id, now)
    }


def _interface(region: Region, eni: NetworkInterface | None) -> Entry:
    if eni is None or eni.attachment is None:
        return None
    subnet, vpc = region.subnet(eni.subnet_id), region.vpc(eni.vpc_id)
    entries: dict[str, Entry] = {
        "device-number": str(eni.attachment.device_index),
        "interface-id": eni.id,
        "local-hostname": private_name(region, eni),
        "local-ipv4s": _lines((eni.primary, *eni.secondary)),
        "mac": eni.mac,
        "network-card": str(eni.attachment.network_card),
        "owner-id": region.account,
        "security-group-ids": _lines(eni.groups),
        "security-groups": _group_names(region, eni),
        "subnet-id": eni.subnet_id,
        "subnet-ipv4-cidr-block": str(subnet.cidr),
        "vpc-id": eni.vpc_id,
        "vpc-ipv4-cidr-block": str(vpc.cidrs[0]),
        "vpc-ipv4-cidr-blocks": _lines(vpc.cidrs),
    }
    if eni.prefixes:  # not there without any: readers take the 404 as "none"
        entries["ipv4-prefix"] = _lines(eni.prefixes)
    if eni.ipv6:
        entries["ipv6s"] = _lines(eni.ipv6)
    if eni.ipv6_prefixes:
        entries["ipv6-prefix"] = _lines(eni.ipv6_prefixes)
    if subnet.ipv6_cidr is not None:
        entries["subnet-ipv6-cidr-blocks"] = str(subnet.ipv6_cidr)
    if vpc.ipv6_cidrs:
        entries["vpc-ipv6-cidr-blocks"] = _lines(vpc.ipv6_cidrs)
    if eni.public_ip is not None:
        entries |= {
            "ipv4-associations": {str(eni.public_ip): str(eni.primary)},
            "public-hostname": public_name(region, eni),
            "public-ipv4s": str(eni.public_ip),
        }
    return dict(sorted(entries.items()))


def _group_names(region: Region, eni: NetworkInterface) -> str:
    return _lines(region.groups[group].name for group in eni.groups if group in region.groups)


def _lines(values: Iterable[object]) -> str:
    return "\n".join(map(str, values))
