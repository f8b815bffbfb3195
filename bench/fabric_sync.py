"""What following a change costs the fabric: `Fabric.sync` after nothing, one address, one ENI, at three sizes.

Run as root; all of it happens in namespaces of its own. Addresses are secondary ones, then /28s for as many again.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Network

from vpclab.fabric import Fabric, Place
from vpclab.region import Delays, Region, Wanted

SIZES = (100, 1000, 10000)
ROUNDS = 7
TYPE = "m5.24xlarge"  # 15 ENIs of 50 addresses
PER_ENI = 49


async def measured(fabric: Fabric, region: Region, change: Callable[[], object]) -> float:
    """Median milliseconds of a sync after the change."""
    taken: list[float] = []
    for _ in range(ROUNDS):
        change()
        began = time.perf_counter()
        await fabric.sync(region)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


async def at(size: int, *, prefixes: bool) -> str:
    """One row: a VPC whose ENIs hold this many addresses (or as many prefixes)."""
    region = Region(delays=Delays(attach=(0, 0), detach=(0, 0)))
    vpc = region.create_vpc(IPv4Network("10.0.0.0/16"))
    subnets = [
        region.create_subnet(vpc.id, region.zones[0], IPv4Network(f"10.0.{n * 64}.0/18")) for n in range(4)
    ]
    group = region.groups[next(iter(region.groups))].id
    fabric = Fabric()
    await fabric.start(region.vpcs.values())
    places: list[Place] = []
    enis: list[str] = []
    size = min(size, 3000) if prefixes else size
    left = size
    instance = None
    while left > 0:
        if instance is None or len(region.enis_of(instance.id)) == 15:
            subnet = subnets[len(places) % 4]
            instance = region.run_instance(TYPE, subnet.id, groups=(group,))
            places.append(Place.create(instance.id, workers=1))
            await fabric.add_instance(instance, places[-1])
            enis.append(region.primary_eni(instance.id).id)
        else:
            eni = region.create_network_interface(subnet.id, groups=(group,))
            region.attach_network_interface(eni.id, instance.id, len(region.enis_of(instance.id)))
            enis.append(eni.id)
        count = min(left, PER_ENI - 1)
        wanted = Wanted(prefix_count=count) if prefixes else Wanted(count=count)
        region.assign_private_ip_addresses(enis[-1], wanted)
        left -= count
    began = time.perf_counter()
    await fabric.sync(region)
    first = (time.perf_counter() - began) * 1000
    idle = await measured(fabric, region, lambda: None)
    one = await measured(fabric, region, lambda: _flip(region, enis[0], prefixes=prefixes))
    kind = "prefixes" if prefixes else "addresses"
    await fabric.close()
    for place in places:
        place.close()
    return f"| {size} {kind} on {len(enis)} ENIs | {first:.0f} | {idle:.1f} | {one:.1f} |"


def _flip(region: Region, eni_id: str, *, prefixes: bool) -> None:
    eni = region.eni(eni_id)
    slots = len(eni.secondary) + len(eni.prefixes)
    if slots < PER_ENI and len(eni.prefixes if prefixes else eni.secondary) % 2 == 0:
        region.assign_private_ip_addresses(eni_id, Wanted(prefix_count=1) if prefixes else Wanted(count=1))
    elif prefixes:
        region.unassign_private_ip_addresses(eni_id, prefixes=eni.prefixes[-1:])
    else:
        region.unassign_private_ip_addresses(eni_id, addresses=eni.secondary[-1:])


def main() -> None:
    """In namespaces of its own, whatever it was started in."""
    if "inside" not in sys.argv:
        inside = ("unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child")
        argv = (*inside, sys.executable, __file__, "inside")
        raise SystemExit(subprocess.run(argv, env=dict(os.environ), check=False).returncode)
    print("| | first sync, ms | nothing changed | one changed |\n| --- | --- | --- | --- |")
    for prefixes in (False, True):
        for size in SIZES:
            print(asyncio.run(at(size, prefixes=prefixes)), flush=True)


if __name__ == "__main__":
    main()
