"""Which filters EC2 has for each kind of resource, and what they read (API reference of the Describe calls)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from vpclab.region.filters import Reader
from vpclab.region.tables import Tables
from vpclab.region.values import (
    Attachment,
    Instance,
    InstanceState,
    InternetGateway,
    NetworkInterface,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Vpc,
)

IMAGE_ID = "ami-0123456789abcdef0"
"""Of instances that were launched without naming an image."""
STATE_CODES: Mapping[InstanceState, int] = {
    InstanceState.PENDING: 0,
    InstanceState.RUNNING: 16,
    InstanceState.SHUTTING_DOWN: 32,
    InstanceState.TERMINATED: 48,
    InstanceState.STOPPING: 64,
    InstanceState.STOPPED: 80,
}


def of_vpcs(account: str) -> dict[str, Reader[Vpc]]:
    """Filters of DescribeVpcs."""
    return {
        "vpc-id": lambda v: (v.id,),
        "cidr": lambda v: v.cidrs[:1],
        "cidr-block-association.cidr-block": lambda v: v.cidrs,
        "ipv6-cidr-block-association.ipv6-cidr-block": lambda v: v.ipv6_cidrs,
        "state": lambda _: ("available",),
        "is-default": lambda _: (False,),
        "owner-id": lambda _: (account,),
    }


def of_subnets(tables: Tables) -> dict[str, Reader[Subnet]]:
    """Filters of DescribeSubnets."""
    return {
        "subnet-id": lambda s: (s.id,),
        "vpc-id": lambda s: (s.vpc_id,),
        "availability-zone": lambda s: (s.zone,),
        "availabilityZone": lambda s: (s.zone,),
        "cidr-block": lambda s: (s.cidr,),
        "cidr": lambda s: (s.cidr,),
        "state": lambda _: ("available",),
        "available-ip-address-count": lambda s: (tables.spaces[s.id].free,),
        "ipv6-cidr-block-association.ipv6-cidr-block": lambda s: (s.ipv6_cidr,) if s.ipv6_cidr else (),
        "ipv6-native": lambda _: (False,),
        "map-public-ip-on-launch": lambda s: (s.map_public_ip_on_launch,),
        "default-for-az": lambda _: (False,),
        "owner-id": lambda _: (tables.account,),
    }


def of_internet_gateways(account: str) -> dict[str, Reader[InternetGateway]]:
    """Filters of DescribeInternetGateways."""
    return {
        "internet-gateway-id": lambda g: (g.id,),
        "attachment.vpc-id": lambda g: (g.vpc_id,) if g.vpc_id else (),
        "attachment.state": lambda g: ("available",) if g.vpc_id else (),
        "owner-id": lambda _: (account,),
    }


def of_security_groups(account: str) -> dict[str, Reader[SecurityGroup]]:
    """Filters of DescribeSecurityGroups."""
    return {
        "group-id": lambda g: (g.id,),
        "group-name": lambda g: (g.name,),
        "vpc-id": lambda g: (g.vpc_id,),
        "description": lambda g: (g.description,),
        "owner-id": lambda _: (account,),
        **_of_rules("ip-permission", lambda g: g.ingress),
        **_of_rules("egress.ip-permission", lambda g: g.egress),
    }


def of_enis(tables: Tables) -> dict[str, Reader[NetworkInterface]]:
    """Filters of DescribeNetworkInterfaces."""
    return {
        "network-interface-id": lambda e: (e.id,),
        "group-name": lambda e: (tables.groups[g].name for g in e.groups if g in tables.groups),
        "owner-id": lambda _: (tables.account,),
        **_eni_fields(),
    }


def of_instances(
    tables: Tables, enis_of: Callable[[str], tuple[NetworkInterface, ...]]
) -> dict[str, Reader[Instance]]:
    """Filters of DescribeInstances; those named network-interface.* read the instance's ENIs."""
    eni_readers = of_enis(tables)

    def primary(instance: Instance) -> tuple[NetworkInterface, ...]:
        return enis_of(instance.id)[:1]

    def through(reader: Reader[NetworkInterface]) -> Reader[Instance]:
        return lambda i: (value for eni in enis_of(i.id) for value in reader(eni))

    return {
        "instance-id": lambda i: (i.id,),
        "instance-type": lambda i: (i.type,),
        "image-id": lambda i: (i.image_id or IMAGE_ID,),
        "architecture": lambda _: ("x86_64",),
        "virtualization-type": lambda _: ("hvm",),
        "private-dns-name": lambda i: (
            f"ip-{str(e.primary).replace('.', '-')}.{tables.name}.compute.internal" for e in primary(i)
        ),
        "instance-state-name": lambda i: (i.state.value,),
        "instance-state-code": lambda i: (STATE_CODES[i.state],),
        "vpc-id": lambda i: (i.vpc_id,),
        "subnet-id": lambda i: (i.subnet_id,),
        "availability-zone": lambda i: (i.zone,),
        "owner-id": lambda _: (tables.account,),
        "private-ip-address": lambda i: (e.primary for e in primary(i)),
        "ip-address": lambda i: (e.public_ip for e in primary(i) if e.public_ip),
        "instance.group-id": lambda i: (g for e in primary(i) for g in e.groups),
        "instance.group-name": lambda i: (n for e in primary(i) for n in eni_readers["group-name"](e)),
        **{f"network-interface.{name}": through(reader) for name, reader in eni_readers.items()},
    }


def _eni_fields() -> dict[str, Reader[NetworkInterface]]:
    return {
        "subnet-id": lambda e: (e.subnet_id,),
        "vpc-id": lambda e: (e.vpc_id,),
        "availability-zone": lambda e: (e.zone,),
        "status": lambda e: (e.status.value,),
        "group-id": lambda e: e.groups,
        "description": lambda e: (e.description,),
        "mac-address": lambda e: (e.mac,),
        "requester-managed": lambda e: (e.interface_type != "interface",),
        "interface-type": lambda e: (e.interface_type,),
        "source-dest-check": lambda e: (e.source_dest_check,),
        "private-ip-address": lambda e: (e.primary, *e.secondary),
        "addresses.private-ip-address": lambda e: (e.primary, *e.secondary),
        "addresses.primary": lambda e: (True, False) if e.secondary else (True,),
        "addresses.association.public-ip": lambda e: (e.public_ip,) if e.public_ip else (),
        "association.public-ip": lambda e: (e.public_ip,) if e.public_ip else (),
        "ipv4-prefix": lambda e: e.prefixes,
        "ipv6-addresses.ipv6-address": lambda e: e.ipv6,
        "ipv6-prefix": lambda e: e.ipv6_prefixes,
        "attachment.attachment-id": _of_attachment(lambda a: a.id),
        "attachment.instance-id": _of_attachment(lambda a: a.instance_id),
        "attachment.device-index": _of_attachment(lambda a: a.device_index),
        "attachment.network-card-index": _of_attachment(lambda a: a.network_card),
        "attachment.status": _of_attachment(lambda a: a.status.value),
        "attachment.delete-on-termination": _of_attachment(lambda a: a.delete_on_termination),
    }


def _of_attachment(read: Callable[[Attachment], object]) -> Reader[NetworkInterface]:
    return lambda eni: () if eni.attachment is None else (read(eni.attachment),)


def _of_rules(
    prefix: str, rules_of: Callable[[SecurityGroup], Iterable[SecurityGroupRule]]
) -> dict[str, Reader[SecurityGroup]]:
    return {
        f"{prefix}.cidr": lambda g: (r.cidr for r in rules_of(g) if r.cidr and r.cidr.version == 4),
        f"{prefix}.ipv6-cidr": lambda g: (r.cidr for r in rules_of(g) if r.cidr and r.cidr.version == 6),
        f"{prefix}.group-id": lambda g: (r.group_id for r in rules_of(g) if r.group_id),
        f"{prefix}.protocol": lambda g: (r.protocol for r in rules_of(g)),
        f"{prefix}.from-port": lambda g: (r.from_port for r in rules_of(g) if r.from_port is not None),
        f"{prefix}.to-port": lambda g: (r.to_port for r in rules_of(g) if r.to_port is not None),
    }
