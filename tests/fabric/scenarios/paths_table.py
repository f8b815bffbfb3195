"""Every pair of ends, TCP, UDP and ICMP: the source address that the far end sees, or silence."""

from tests.fabric.scenarios.ways import play, seen, silent

from vpclab.fabric.devices import NODE_END, VPN, device
from vpclab.fabric.paths import PathsWorld
from vpclab.region.paths import FAR_CIDR, PEER_CIDR

ENDS = ("neighbour", "private", "peer", "far", "onprem", "internet")
OWN = {
    # Its own address, all the way: inside a VPC, across a peering and by a VPN nothing is translated.
    *(("neighbour", to) for to in ("private", "peer", "onprem")),
    *(("private", to) for to in ("neighbour", "peer", "onprem")),
    *(("peer", to) for to in ("neighbour", "private", "far")),
    ("far", "peer"),
    *(("onprem", to) for to in ("neighbour", "private")),
}
BEYOND = (PEER_CIDR, FAR_CIDR, "198.51.100.0/24")
PUBLIC = {("neighbour", "internet"), ("private", "internet"), ("peer", "internet")}
"""Its own public address, or the NAT gateway's for the private one."""


async def told(world: PathsWorld) -> None:
    ends = world.ends
    # The site sends all of these networks into its VPN; the VPC has no way on for it.
    link = device(VPN, world.paths.vpn.id)
    await ends.places["onprem"].ip(
        tuple(
            f"route add {cidr} via {NODE_END} dev {link} onlink src {ends.addresses['onprem']}"
            for cidr in BEYOND
        )
    )
    for one in ENDS:
        for other in ENDS:
            if one == other:
                continue
            pair, address = (one, other), ends.addresses[other]
            if pair in OWN | PUBLIC:
                expected = (ends.public if pair in PUBLIC else ends.addresses)[one]
                for protocol in ("tcp", "udp", "icmp"):
                    saw = await seen(ends.places[one], ends.places[other], protocol, address)
                    assert saw == str(expected), (pair, protocol, saw)
            else:
                assert await silent(ends.places[one], address), f"{pair}: not silent"
    counted = await world.fabric.counters()
    assert counted.no_route > 0, "far has no way to the internet"
    assert counted.not_transitive > 0, "far and onprem came through a VPC that is not theirs"
    assert counted.spoofed == 0

    # From the internet: to public addresses, as who one is there; the NAT gateway's is nobody's to reach.
    internet = ends.places["internet"]
    for name in ("neighbour", "peer"):
        for protocol in ("tcp", "udp", "icmp"):
            saw = await seen(internet, ends.places[name], protocol, ends.public[name])
            assert saw == str(ends.public["internet"]), (name, protocol)
    assert await silent(internet, ends.public["private"])
    assert (await world.fabric.counters()).unsolicited > 0
    # Between public addresses of two VPCs: out by one gateway and in by the other.
    for protocol in ("tcp", "udp", "icmp"):
        saw = await seen(ends.places["neighbour"], ends.places["peer"], protocol, ends.public["peer"])
        assert saw == str(ends.public["neighbour"]), protocol


play(told)
