"""The subnets of a lab, as its settings ask for them: small ones, nearly full ones, further ones."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from vpclab.lab.settings import LabSettings
from vpclab.lab.state import LabError
from vpclab.region import ApiError, Region, Study, Wanted
from vpclab.region.addresses import PREFIX_LENGTH
from vpclab.region.paths import PEER_CIDR, SITE, Paths
from vpclab.region.study import ANYWHERE, VPC_CIDR
from vpclab.region.values import SecurityGroupRule

NODE_PORTS = (30000, 32767)
TENANT = "another tenant of the subnet"
"""Description of the ENI that holds what `--free` takes."""
EXTRA_FIRST = 100
"""Third octet from which further subnets of the VPC's own CIDR block are taken."""


def add_networks(region: Region, study: Study, settings: LabSettings) -> None:
    """The second CIDR block and the further subnets. Raises LabError."""
    try:
        room = study.vpc.cidrs[0]
        if settings.secondary_cidr is not None:
            room = IPv4Network(settings.secondary_cidr)
            region.associate_vpc_cidr(study.vpc.id, room)
        zones = [subnet.zone for subnet in study.public]
        wanted = [(zone, number) for number in range(settings.extra_subnets) for zone in zones]
        for (zone, number), cidr in zip(wanted, _cut(room, len(wanted), settings), strict=True):
            region.create_subnet(
                study.vpc.id,
                zone,
                cidr,
                tags={"Name": f"extra{number + 1}-{zone[-1]}", **settings.subnet_tags},
            )
    except (ValueError, ApiError) as error:
        raise LabError(f"the VPC can't be made as asked: {error}") from None


def welcome_neighbours(region: Region, paths: Paths) -> None:
    """The nodes' security group lets in whom one would let in to reach pods, and node ports from everywhere."""
    nodes = paths.study.node_group
    region.authorize_ingress(nodes, [SecurityGroupRule(cidr=cidr) for cidr in (VPC_CIDR, PEER_CIDR, SITE)])
    ports = (SecurityGroupRule(protocol, *NODE_PORTS, cidr=ANYWHERE) for protocol in ("tcp", "udp"))
    region.authorize_ingress(nodes, tuple(ports))


def _cut(room: IPv4Network, count: int, settings: LabSettings) -> list[IPv4Network]:
    if settings.secondary_cidr is None:
        base = int(room.network_address)
        return [IPv4Network((base + (EXTRA_FIRST + n) * 256, 24)) for n in range(count)]
    bits = max(24, room.prefixlen + max(1, count).bit_length())
    if bits > PREFIX_LENGTH:
        raise LabError(f"{room} has no room for {count} subnets")
    return list(room.subnets(new_prefix=bits))[:count] if count else []


def fill(region: Region, subnet_ids: Iterable[str], free: int, *, scattered: bool) -> None:
    """Leave so many addresses free in each of these subnets: another tenant has the rest. Raises LabError."""
    for subnet_id in dict.fromkeys(subnet_ids):
        cidr = region.subnet(subnet_id).cidr
        surplus = region.free_addresses(subnet_id) - free
        if surplus < 0:
            raise LabError(
                f"{cidr} has {free + surplus} free addresses, not {free}: fewer, or --subnet-bits less"
            )
        taken = _spread(region, subnet_id, surplus) if scattered else None
        if not surplus:
            continue
        if taken is None:
            region.create_network_interface(subnet_id, wanted=Wanted(count=surplus - 1), description=TENANT)
        else:
            wanted = Wanted(addresses=taken[1:])
            region.create_network_interface(subnet_id, private_ip=taken[0], wanted=wanted, description=TENANT)


def _spread(region: Region, subnet_id: str, count: int) -> tuple[IPv4Address, ...]:
    """Addresses to take, in turn from every /28, the last of each first: then none of those is whole."""
    cidr = region.subnet(subnet_id).cidr
    blocks = [
        [a for a in block if region.eni_with(subnet_id, a) is None and not _reserved(cidr, a)]
        for block in cidr.subnets(new_prefix=PREFIX_LENGTH)
    ]
    whole = sum(len(block) == 1 << (32 - PREFIX_LENGTH) for block in blocks)
    if count < whole:
        raise LabError(f"{cidr} would still have a whole free /28: ask for fewer free addresses")
    blocks.sort(key=len, reverse=True)
    taken: list[IPv4Address] = []
    while len(taken) < count:
        for block in blocks:
            if block and len(taken) < count:
                taken.append(block.pop())
    return tuple(taken)


def _reserved(cidr: IPv4Network, address: IPv4Address) -> bool:
    return int(address) - int(cidr.network_address) < 4 or address == cidr.broadcast_address
