"""Ways out that come, change and go; what AWS drops is dropped, and counted with its reason."""

from ipaddress import IPv4Network

from tests.fabric.scenarios.ways import SHORT, play, seen, silent

from vpclab.fabric.paths import PathsWorld
from vpclab.fabric.witness import ask
from vpclab.region import Wanted
from vpclab.region.paths import FAR_CIDR
from vpclab.region.study import ANYWHERE
from vpclab.region.values import SecurityGroupRule


async def told(world: PathsWorld) -> None:
    region, paths, fabric, ends = world.region, world.paths, world.fabric, world.ends
    places, addresses, internet = ends.places, ends.addresses, ends.addresses["internet"]
    neighbour = region.eni_with(paths.study.public[1].id, addresses["neighbour"])
    private = region.eni_with(paths.study.private[0].id, addresses["private"])
    assert neighbour is not None
    assert private is not None

    # A secondary address has no public one of its own in a public subnet; with an Elastic IP address it has.
    secondary = region.assign_private_ip_addresses(neighbour.id, Wanted(count=1)).addresses[0]
    prefix = region.assign_private_ip_addresses(neighbour.id, Wanted(prefix_count=1)).prefixes[0]
    await fabric.sync(region)
    await places["neighbour"].ip((f"addr add {secondary}/32 dev lo", f"addr add {prefix[3]}/32 dev lo"))
    for address in (secondary, prefix[3]):
        before = (await fabric.counters()).no_public_address
        assert await silent(places["neighbour"], internet, source=address)
        assert (await fabric.counters()).no_public_address > before
        for protocol in ("tcp", "udp", "icmp"):  # inside, and by peering and VPN, it is as good as any
            for name in ("private", "peer", "onprem"):
                saw = await seen(places["neighbour"], places[name], protocol, addresses[name], source=address)
                assert saw == str(address), (name, protocol)
    elastic = region.allocate_address()
    elastic = region.associate_address(elastic.id, neighbour.id, secondary)
    await fabric.sync(region)
    for protocol in ("tcp", "udp", "icmp"):
        saw = await seen(places["neighbour"], places["internet"], protocol, internet, source=secondary)
        assert saw == str(elastic.public_ip), protocol
    region.disassociate_address(elastic.association)
    # A secondary address of a private subnet's goes out by the NAT gateway like any.
    second = region.assign_private_ip_addresses(private.id, Wanted(count=1)).addresses[0]
    await fabric.sync(region)
    await places["private"].ip((f"addr add {second}/32 dev lo",))
    for protocol in ("tcp", "udp", "icmp"):
        saw = await seen(places["private"], places["internet"], protocol, internet, source=second)
        assert saw == str(ends.public["private"]), protocol
    assert await ask(places["neighbour"], "tcp", internet, source=secondary, wait=SHORT) == ""

    # An ENI's groups hold for all of its addresses and prefixes, both ways.
    await ends.witness.listen(places["neighbour"], secondary)
    await ends.witness.listen(places["neighbour"], prefix[3])
    only = region.create_security_group(paths.study.vpc.id, "peer-only", "from the peered VPC")
    region.authorize_ingress(
        only.id, (SecurityGroupRule("udp", 7007, 7007, cidr=IPv4Network("10.20.0.0/16")),)
    )
    region.modify_network_interface(neighbour.id, groups=(only.id,))
    await fabric.sync(region)
    for address in (addresses["neighbour"], secondary, prefix[3]):
        assert await ask(places["peer"], "udp", address) == str(addresses["peer"])
        assert await ask(places["peer"], "tcp", address, wait=SHORT) == ""
        assert await silent(places["private"], address)
        assert await ask(places["neighbour"], "tcp", addresses["private"], source=address) == str(address)
    assert (await fabric.counters()).refused_by_groups > 0
    # A group as peer: its members' secondary addresses and prefixes are meant too.
    member = region.create_security_group(paths.study.vpc.id, "member", "is let in")
    region.authorize_ingress(only.id, (SecurityGroupRule(group_id=member.id),))
    region.modify_network_interface(private.id, groups=(member.id,))
    more = region.assign_private_ip_addresses(private.id, Wanted(prefix_count=1)).prefixes[0]
    await fabric.sync(region)
    await places["private"].ip((f"addr add {more[5]}/32 dev lo",))
    for source in (addresses["private"], second, more[5]):
        saw = await ask(places["private"], "tcp", secondary, source=source)
        assert saw == str(source)
    assert await ask(places["onprem"], "tcp", secondary, wait=SHORT) == ""
    for one in (neighbour, private):
        region.modify_network_interface(one.id, groups=(paths.open_group,))

    # A NAT gateway that is deleted leaves a black hole; another one is another address.
    region.delete_nat_gateway(paths.nat_gateway.id)
    await fabric.sync(region)
    before = (await fabric.counters()).no_route
    assert await silent(places["private"], internet)
    assert (await fabric.counters()).no_route > before
    assert paths.nat_gateway.id not in fabric.places
    nat = region.create_nat_gateway(paths.study.public[2].id, region.allocate_address().id)
    table = region.route_table_of(paths.study.private[0].id)
    region.replace_route(table.id, ANYWHERE, nat.id)
    await fabric.sync(region)
    assert nat.public_ip != paths.nat_gateway.public_ip
    for protocol in ("tcp", "udp", "icmp"):
        saw = await seen(places["private"], places["internet"], protocol, internet)
        assert saw == str(nat.public_ip), protocol

    # The longest prefix wins; what a table no longer says does not hold.
    region.create_route(table.id, IPv4Network("198.51.100.0/24"), paths.peering.id)
    await fabric.sync(region)
    before = (await fabric.counters()).not_transitive
    assert await silent(places["private"], internet), "the peered VPC's internet gateway is not ours"
    assert (await fabric.counters()).not_transitive > before
    region.delete_route(table.id, IPv4Network("198.51.100.0/24"))
    await fabric.sync(region)
    assert await ask(places["private"], "tcp", internet) == str(nat.public_ip)
    # Without an association of its own, a subnet has the main table, which leads to the peered VPC alone.
    region.disassociate_route_table(
        region.route_table_of(paths.study.private[0].id).subnets[paths.study.private[0].id]
    )
    await fabric.sync(region)
    assert await silent(places["private"], internet)
    assert await silent(places["private"], addresses["onprem"])
    assert await ask(places["private"], "tcp", addresses["peer"]) == str(addresses["private"])
    region.delete_peering(paths.peering.id)
    await fabric.sync(region)
    for asker, other in (("private", "peer"), ("peer", "private")):
        assert await silent(places[asker], addresses[other])

    # The VPN's end; and a VPC that comes while everything runs.
    assert await ask(places["neighbour"], "tcp", addresses["onprem"]) == str(addresses["neighbour"])
    region.delete_vpn_connection(paths.vpn.id)
    late = region.create_vpc(IPv4Network("10.40.0.0/16"), tags={"Name": "late"})
    await fabric.sync(region)
    assert await silent(places["neighbour"], addresses["onprem"])
    assert "router-late" in fabric.places
    assert late.id in fabric.routers
    assert FAR_CIDR in {r.destination for r in region.route_table_of(paths.study.public[0].id).routes}


play(told)
