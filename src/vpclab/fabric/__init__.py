"""The VPC in packets: namespaces, links, routes, source check, security groups, 1:1 NAT.

A corner of the lab is a `Place`: a network namespace, perhaps a mount and a UTS namespace, and threads in it.

    place = Place.create(name, mount=None, hostname=None, workers=2)       # or, like a machine of its own:
    place = node_place(name, root, nameservers=(), workers=2)
    await place.call(fn, *args)                                            # in a thread inside
    await place.run(argv, input=None, env=None, check=True, timeout=30)    # -> Completed, or CommandError
    place.spawn(argv, **popen)                                             # -> subprocess.Popen
    await place.listen(address, port, kind=SOCK_STREAM)                    # -> non-blocking socket
    await place.ip(lines); await place.nft(script); await place.sysctl({"net/ipv4/ip_forward": 1})
    place.namespaces.nsenter(pid)                                          # how a process outside comes in
    place.close()

A region's VPCs are a `Fabric`, which follows whatever has their parts by id (`RegionView`; a `Region` is one): route
tables, internet and NAT gateways, Elastic IPs, peerings, VPN connections and network load balancers are carried.

    fabric = Fabric(); await fabric.start(region.vpcs.values())
    await fabric.add_instance(instance, place); await fabric.remove_instance(instance)
    await fabric.sync(region)                                              # level-triggered, as often as wished
    await fabric.follow(region, changes)                                   # sync after each item of an async iterable
    await configure_primary(place, eni, subnet, mtu=9001)                  # what eth0's boot does, after a sync
    await fabric.counters()                                                # -> Counters
    fabric.places["router" | "igw" | "internet"]                           # the first VPC's; others' "router-NAME", "igw-NAME",
                                                                           # NAT gateways by id, sites and balancers by name
    fabric.routers[vpc_id].place; await fabric.close()

IMDS is served by listening on `IMDS` (169.254.169.254) in a router's place: the peer's address is the node's primary
one, and hop limit is IP_TTL of that socket. The AWS API listens on `AWS_API` in the internet's place.

The world of every path (`vpclab.fabric.paths`; its region: `vpclab.region.paths`), and who tells what it saw
(`vpclab.fabric.witness`: `ask`, `capture`; a witness answers on TCP and UDP port 7007 of `CHECKIP` in every fabric):

    region, paths = paths_region(region)
    ends = await bring_up(fabric, region, paths, root)                     # with a fabric that was started
    async with paths_world(root) as world: ...                             # or all of it, without a lab
"""

from vpclab.fabric.commands import CommandError, Completed
from vpclab.fabric.eni import configure_primary
from vpclab.fabric.fabric import Counters, Fabric
from vpclab.fabric.internet import AWS_API, CHECKIP, CHECKIP6
from vpclab.fabric.ipv6 import IMDS6
from vpclab.fabric.namespaces import Namespaces, Place
from vpclab.fabric.node_place import node_place
from vpclab.fabric.router import IMDS
from vpclab.fabric.state import FabricState, RegionView, wanted

__all__ = [
    "AWS_API",
    "CHECKIP",
    "CHECKIP6",
    "IMDS",
    "IMDS6",
    "CommandError",
    "Completed",
    "Counters",
    "Fabric",
    "FabricState",
    "Namespaces",
    "Place",
    "RegionView",
    "configure_primary",
    "node_place",
    "wanted",
]
