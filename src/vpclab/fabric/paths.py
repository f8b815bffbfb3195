"""The world of every path in packets: plain instances and servers that tell which address they saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from vpclab.fabric.customer import server_of
from vpclab.fabric.eni import configure_primary
from vpclab.fabric.fabric import Fabric
from vpclab.fabric.internet import CHECKIP, SOMEBODY
from vpclab.fabric.namespaces import Place
from vpclab.fabric.node_place import node_place
from vpclab.fabric.witness import Witness
from vpclab.region.paths import Paths, Plain, launch_plain, paths_region
from vpclab.region.region import Region


@dataclass(frozen=True, slots=True)
class Ends:
    """Where packets of this world come from and go to besides the lab's own nodes and pods."""

    places: Mapping[str, Place]
    """neighbour, private, peer, far, onprem, internet."""
    addresses: Mapping[str, IPv4Address]
    """By the same names: where the witness answers, port 7007, TCP and UDP."""
    public: Mapping[str, IPv4Address]
    """As the internet sees them: neighbour and peer by their own, private by the NAT gateway's."""
    nat_gateway: IPv4Address
    """The NAT gateway's private address."""
    balancer: IPv4Address
    """The load balancer's private address, which clients within the VPC use."""
    witness: Witness

    async def close(self) -> None:
        """Stop the witness and end the instances' places (the fabric's own are the fabric's)."""
        self.witness.close()
        for name in ("neighbour", "private", "peer", "far"):
            self.places[name].close()


async def bring_up(fabric: Fabric, region: Region, paths: Paths, root: Path) -> Ends:
    """Plain instances and witnesses for a fabric that has been started with this region's VPCs.

    Args:
        fabric: started; its region is synced here.
        region: as made by `paths_region`.
        paths: likewise.
        root: a directory in which each instance gets one for its files.

    Raises:
        CommandError: a step failed.
        OSError: a place could not be made.
    """
    plain = launch_plain(region, paths)
    machines = {name: node_place(name, root / name) for name in plain.by_name()}
    await fabric.add_instances({one.id: machines[name] for name, one in plain.by_name().items()})
    await fabric.sync(region)
    await asyncio.gather(*(_boot(region, machines[name], one.id) for name, one in plain.by_name().items()))
    return await witnessed(fabric, region, paths, plain, machines)


async def witnessed(
    fabric: Fabric, region: Region, paths: Paths, plain: Plain, machines: Mapping[str, Place]
) -> Ends:
    """Witnesses on plain instances that are up, on site and in the internet.

    Args:
        fabric: that carries them.
        region: as for `bring_up`.
        paths: likewise.
        plain: the instances.
        machines: their places by their names in `plain`.

    Raises:
        OSError: an address is not there.
    """
    places = {**machines, "onprem": fabric.places["onprem"], "internet": fabric.internet.place}
    addresses = {name: region.primary_eni(one.id).primary for name, one in plain.by_name().items()}
    addresses["onprem"] = server_of(paths.site)
    witness = Witness()
    for name, address in addresses.items():
        await witness.listen(places[name], address)
    return Ends(
        places=places,
        addresses={**addresses, "internet": CHECKIP},
        public=_public(region, paths, plain),
        nat_gateway=paths.nat_gateway.private_ip,
        balancer=region.eni(paths.balancer.enis[0]).primary,
        witness=witness,
    )


@dataclass(frozen=True, slots=True)
class PathsWorld:
    """All of it together."""

    region: Region
    paths: Paths
    fabric: Fabric
    ends: Ends


@asynccontextmanager
async def paths_world(root: Path, region: Region | None = None) -> AsyncIterator[PathsWorld]:
    """The world by itself, without a lab: region, fabric, instances, servers.

    Raises:
        CommandError: a step failed.
    """
    made, paths = paths_region(region)
    fabric = Fabric()
    try:
        await fabric.start(made.vpcs.values())
        ends = await bring_up(fabric, made, paths, root)
        try:
            yield PathsWorld(made, paths, fabric, ends)
        finally:
            await ends.close()
    finally:
        await fabric.close()


async def _boot(region: Region, place: Place, instance_id: str) -> None:
    eni = region.primary_eni(instance_id)
    await configure_primary(place, eni, region.subnet(eni.subnet_id))


def _public(region: Region, paths: Paths, plain: Plain) -> dict[str, IPv4Address]:
    found = {"private": paths.nat_gateway.public_ip, "internet": SOMEBODY}
    for name, instance in plain.by_name().items():
        address = region.primary_eni(instance.id).public_ip
        if address is not None:
            found[name] = address
    balancer = region.eni(paths.balancer.enis[0]).public_ip
    return found if balancer is None else found | {"balancer": balancer}
