"""How full a subnet is, and whether a /28 is left for a prefix. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import Any

BLOCK = 16
PER_LINE = 64
AWS_FIRST, AWS_LAST = 4, 1
"""Addresses at a subnet's beginning and end that are AWS's own."""
LEGEND = ". free /28   1-f so many of its 16 in use   # all in use   P a prefix   R reserved for prefixes   r otherwise reserved"


@dataclass(frozen=True, slots=True)
class Subnet:
    """As EC2 tells."""

    id: str
    cidr: IPv4Network
    available: int
    """EC2's own count of free addresses."""
    addresses: frozenset[IPv4Address]
    prefixes: frozenset[IPv4Network]
    reserved: tuple[tuple[IPv4Network, str], ...] = ()
    """Reservations and their types; empty also where EC2 does not tell."""


@dataclass(frozen=True, slots=True)
class Fullness:
    """What there is."""

    free: int
    free_blocks: int
    """Aligned /28s in which nothing is."""
    scattered: int
    """Free addresses in /28s that are begun: of no use to a prefix."""
    largest: IPv4Network | None
    """The largest free aligned range, of a /28 at least."""
    cells: str
    """A character for each /28."""


def measure(subnet: Subnet) -> Fullness:
    """Count and draw."""
    base = int(subnet.cidr.network_address)
    own = {*range(AWS_FIRST), *range(subnet.cidr.num_addresses - AWS_LAST, subnet.cidr.num_addresses)}
    used = own | {int(address) - base for address in subnet.addresses}
    per_block = Counter(offset // BLOCK for offset in used)
    prefixes = {(int(prefix.network_address) - base) // BLOCK for prefix in subnet.prefixes}
    kinds: dict[int, str] = {}
    for network, kind in subnet.reserved:
        first = (int(network.network_address) - base) // BLOCK
        for block in range(first, first + max(1, network.num_addresses // BLOCK)):
            kinds[block] = "R" if kind == "prefix" else "r"
    blocks = max(1, subnet.cidr.num_addresses // BLOCK)
    size = min(BLOCK, subnet.cidr.num_addresses)
    cells = "".join(
        "P" if block in prefixes else _cell(per_block[block], size, kinds.get(block, "."))
        for block in range(blocks)
    )
    empty = [block for block in range(blocks) if cells[block] in ".R" and size == BLOCK]
    networks = collapse_addresses(IPv4Network((base + block * BLOCK, 28)) for block in empty)
    free = sum(size - per_block[block] for block in range(blocks) if block not in prefixes)
    return Fullness(
        free=free,
        free_blocks=len(empty),
        scattered=free - len(empty) * BLOCK,
        largest=min(networks, key=lambda network: network.prefixlen, default=None),
        cells=cells,
    )


def advice(subnet: Subnet, found: Fullness) -> list[str]:
    """Sentences."""
    said = []
    if found.free == 0:
        said.append(
            "it is full: give the cluster another subnet (tag kubernetes.io/role/cni=1) or a secondary CIDR, or lower "
            "the warm targets of nodes that hold addresses they do not use"
        )
    elif found.free_blocks == 0:
        said.append(
            f"no prefix fits, though {found.free} addresses are free: use a fresh subnet for prefixes, or move what "
            "stands alone in its /28"
        )
    if found.largest is not None and not subnet.reserved:
        said.append(
            f"keep {found.largest} for prefixes: aws ec2 create-subnet-cidr-reservation --subnet-id {subnet.id} "
            f"--reservation-type prefix --cidr {found.largest}"
        )
    return said


def to_text(found: Mapping[str, Any]) -> str:
    """For a person, of what `to_plain` gives."""
    network = IPv4Network(found["cidr"])
    lines = [
        f"{found['subnet']}  {network}",
        (
            f"  {found['free']} addresses free (EC2 says {found['available']}), {found['prefixes']} prefixes in use, "
            f"{found['freeBlocks']} free /28s; {found['scattered']} free addresses are in /28s that are begun"
        ),
        "",
    ]
    cells: str = found["blocks"]
    for start in range(0, len(cells), PER_LINE):
        first = network.network_address + start * BLOCK
        lines.append(f"  {first!s:<16} {cells[start : start + PER_LINE]}")
    lines += ["", f"  {LEGEND}"]
    if found["advice"]:
        lines += ["", "what to do", *(f"  {sentence}" for sentence in found["advice"])]
    return "\n".join(lines)


def to_plain(subnet: Subnet) -> dict[str, Any]:
    """For programs."""
    found = measure(subnet)
    return {
        "subnet": subnet.id,
        "cidr": str(subnet.cidr),
        "available": subnet.available,
        "free": found.free,
        "freeBlocks": found.free_blocks,
        "scattered": found.scattered,
        "largestFree": str(found.largest) if found.largest else None,
        "prefixes": len(subnet.prefixes),
        "blocks": found.cells,
        "advice": advice(subnet, found),
    }


def read(
    description: dict[str, Any], enis: Iterable[dict[str, Any]], reservations: Iterable[dict[str, Any]]
) -> Subnet:
    """Of EC2's answers: DescribeSubnets' item, the ENIs in it, and its reservations."""
    addresses: set[IPv4Address] = set()
    prefixes: set[IPv4Network] = set()
    for eni in enis:
        addresses |= {IPv4Address(each["PrivateIpAddress"]) for each in eni.get("PrivateIpAddresses", ())}
        prefixes |= {IPv4Network(each["Ipv4Prefix"]) for each in eni.get("Ipv4Prefixes", ())}
    return Subnet(
        description["SubnetId"],
        IPv4Network(description["CidrBlock"]),
        int(description["AvailableIpAddressCount"]),
        frozenset(addresses),
        frozenset(prefixes),
        tuple((IPv4Network(each["Cidr"]), str(each["ReservationType"])) for each in reservations),
    )


def _cell(used: int, size: int, empty: str) -> str:
    if used == 0:
        return empty
    return "#" if used >= size else f"{used:x}"
