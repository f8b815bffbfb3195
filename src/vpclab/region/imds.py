"""What the instance metadata service says to an instance (spec 6.13), as of a given time."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from vpclab.region.readers import IMAGE_ID
from vpclab.region.region import Region
from vpclab.region.values import Instance, InstanceState, NetworkInterface

CREDENTIALS_LIFE = 6 * 3600.0
"""Seconds; what EC2 gives roles on instances."""
CREDENTIALS_STEP = 3600.0
"""How often they are renewed."""
IMAGE = IMAGE_ID
ARCHITECTURE = "x86_64"

Entry: TypeAlias = "str | Mapping[str, Entry] | Callable[[], Entry] | None"
"""A document, nothing (404), a directory, or a directory that is made when it is looked into."""


def imds_document(region: Region, instance_id: str, path: str, now: float, *, role: str = "") -> str | None:
    """The text at a path below "/latest/", for example "meta-data/mac"; None where IMDS answers 404.

    A directory gives its listing, subdirectories with a trailing slash. Without a `role` there are no credentials.
    """
    instance = region.instances.get(instance_id)
    if instance is None or instance.state is InstanceState.TERMINATED:
        return None
    entry: Entry = {
        **({"user-data": instance.user_data} if instance.user_data else {}),
        "dynamic": {"instance-identity": {"document": _identity(region, instance)}},
        "meta-data": functools.partial(_meta_data, region, instance, now, role),
    }
    for part in filter(None, path.removeprefix("/latest").split("/")):
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


def _meta_data(region: Region, instance: Instance, now: float, role: str) -> Mapping[str, Entry]:
    primary = region.primary_eni(instance.id)
    host = private_name(region, primary)
    entries: dict[str, Entry] = {
        "ami-id": instance.image_id or IMAGE,
        "hostname": host,
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
        "security-groups": _group_names(region, primary),
        "services": {"domain": "amazonaws.com", "partition": "aws"},
    }
    if primary.ipv6:
        entries["ipv6"] = str(primary.ipv6[0])
    if primary.public_ip is not None:
        entries |= {"public-ipv4": str(primary.public_ip), "public-hostname": public_name(region, primary)}
    if role:
        entries["iam"] = {
            "info": _profile(region, role, now),
            "security-credentials": {role: _credentials(instance, role, now)},
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


def _identity(region: Region, instance: Instance) -> str:
    document = {
        "accountId": region.account,
        "architecture": ARCHITECTURE,
        "availabilityZone": instance.zone,
        "billingProducts": None,
        "devpayProductCodes": None,
        "imageId": instance.image_id or IMAGE,
        "instanceId": instance.id,
        "instanceType": instance.type,
        "kernelId": None,
        "marketplaceProductCodes": None,
        "pendingTime": _stamp(instance.launched_at),
        "privateIp": str(region.primary_eni(instance.id).primary),
        "ramdiskId": None,
        "region": region.name,
        "version": "2017-09-30",
    }
    return json.dumps(document, indent=2)


def _profile(region: Region, role: str, now: float) -> str:
    arn = f"arn:aws:iam::{region.account}:instance-profile/{role}"
    profile_id = "AIPA" + _hex(f"{region.account}/{role}", 16).upper()
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": _stamp(now),
            "InstanceProfileArn": arn,
            "InstanceProfileId": profile_id,
        },
        indent=2,
    )


@dataclass(frozen=True, slots=True)
class RoleKey:
    """Temporary credentials of an instance's role."""

    id: str
    secret: str
    token: str
    issued: float
    """Seconds since the epoch."""

    @property
    def expires(self) -> float:
        """When they are no good any more."""
        return self.issued + CREDENTIALS_LIFE


def role_keys(instance: Instance, role: str, now: float) -> tuple[RoleKey, ...]:
    """The credentials that an instance has been given and that are still good, newest first; new ones every hour."""
    newest = now - now % CREDENTIALS_STEP
    steps = int(CREDENTIALS_LIFE // CREDENTIALS_STEP)
    return tuple(_role_key(instance, role, newest - step * CREDENTIALS_STEP) for step in range(steps))


def _role_key(instance: Instance, role: str, issued: float) -> RoleKey:
    seed = f"{instance.id}/{role}/{issued}"
    return RoleKey(
        "ASIA" + _hex(f"key/{seed}", 16).upper(),
        _hex(f"secret/{seed}", 40),
        _hex(f"token/{seed}", 64),
        issued,
    )


def _credentials(instance: Instance, role: str, now: float) -> str:
    key = role_keys(instance, role, now)[0]
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": _stamp(key.issued),
            "Type": "AWS-HMAC",
            "AccessKeyId": key.id,
            "SecretAccessKey": key.secret,
            "Token": key.token,
            "Expiration": _stamp(key.expires),
        },
        indent=2,
    )


def _lines(values: Iterable[object]) -> str:
    return "\n".join(map(str, values))


def _stamp(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hex(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
