"""What IMDS says to one instance (spec 6.13): a pure function of the region and a path."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from vpclab.region.region import Region
from vpclab.region.values import AttachmentStatus, NetworkInterface

ROLE = "myeks-ng1-NodeInstanceRole"
CREDENTIAL_SECONDS = 6 * 3600


def metadata(region: Region, instance_id: str, path: str) -> str | None:
    """The text at a path below /latest/, None for a 404. A directory is the list of what is in it."""
    path = path.strip("/")
    if path == "dynamic/instance-identity/document":
        return _identity(region, instance_id)
    if not path.startswith("meta-data"):
        return None
    tree = _tree(region, instance_id)
    path = path.removeprefix("meta-data").strip("/")
    if path in tree:
        return tree[path]
    entries = _children(tree, f"{path}/" if path else "")
    return "\n".join(entries) if entries else None


def _children(tree: dict[str, str], below: str) -> list[str]:
    found: dict[str, None] = {}
    for key in tree:
        if key.startswith(below):
            head, slash, _ = key[len(below) :].partition("/")
            found[head + slash] = None
    return sorted(found)


def _tree(region: Region, instance_id: str) -> dict[str, str]:
    instance = region.instances[instance_id]
    attached = [
        eni
        for eni in region.enis_of(instance_id)
        if eni.attachment is not None and eni.attachment.status is AttachmentStatus.ATTACHED
    ]
    primary = attached[0]
    public = str(primary.public_ip) if primary.public_ip else ""
    plain = {
        "ami-id": "ami-0lab000000000000a",
        "instance-id": instance.id,
        "instance-type": instance.type,
        "instance-life-cycle": "on-demand",
        "hostname": f"ip-{str(primary.primary).replace('.', '-')}.{region.name}.compute.internal",
        "local-hostname": f"ip-{str(primary.primary).replace('.', '-')}.{region.name}.compute.internal",
        "local-ipv4": str(primary.primary),
        "mac": primary.mac,
        "placement/availability-zone": instance.zone,
        "placement/region": region.name,
        "services/domain": "amazonaws.com",
        "iam/security-credentials/" + ROLE: _credentials(region),
    }
    if public:
        plain["public-ipv4"] = public
    for eni in attached:
        plain |= {
            f"network/interfaces/macs/{eni.mac}/{key}": value for key, value in _card(region, eni).items()
        }
    return plain


def _card(region: Region, eni: NetworkInterface) -> dict[str, str]:
    subnet, vpc = region.subnets[eni.subnet_id], region.vpcs[eni.vpc_id]
    attachment = eni.attachment
    card = {
        "device-number": str(attachment.device_index if attachment else 0),
        "network-card": str(attachment.network_card if attachment else 0),
        "interface-id": eni.id,
        "local-ipv4s": "\n".join(str(address) for address in (eni.primary, *eni.secondary)),
        "mac": eni.mac,
        "owner-id": region.account,
        "security-group-ids": "\n".join(eni.groups),
        "security-groups": "\n".join(region.groups[group].name for group in eni.groups),
        "subnet-id": eni.subnet_id,
        "subnet-ipv4-cidr-block": str(subnet.cidr),
        "vpc-id": eni.vpc_id,
        "vpc-ipv4-cidr-block": str(vpc.cidrs[0]),
        "vpc-ipv4-cidr-blocks": "\n".join(str(cidr) for cidr in vpc.cidrs),
    }
    if eni.prefixes:
        card["ipv4-prefix"] = "\n".join(str(prefix) for prefix in eni.prefixes)
    if eni.public_ip is not None:
        card["public-ipv4s"] = str(eni.public_ip)
    return card


def _identity(region: Region, instance_id: str) -> str:
    instance = region.instances[instance_id]
    return json.dumps(
        {
            "accountId": region.account,
            "architecture": "x86_64",
            "availabilityZone": instance.zone,
            "instanceId": instance.id,
            "instanceType": instance.type,
            "privateIp": str(region.enis_of(instance_id)[0].primary),
            "region": region.name,
            "version": "2017-09-30",
        },
        indent=2,
    )


def _credentials(region: Region) -> str:
    def moment(seconds: float) -> str:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")

    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": moment(region.now),
            "Type": "AWS-HMAC",
            "AccessKeyId": "ASIALABLABLABLABLAB0",
            "SecretAccessKey": "the-lab-takes-any-signature",
            "Token": "the-lab-takes-any-token",
            "Expiration": moment(region.now + CREDENTIAL_SECONDS),
        }
    )
