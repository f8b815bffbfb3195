"""A network load balancer: clients keep their address, and what a target answers goes back through the balancer."""

from ipaddress import IPv4Address

from tests.fabric.scenarios.ways import SHORT, play, seen

from vpclab.fabric.devices import FABRIC_MAC
from vpclab.fabric.paths import PathsWorld
from vpclab.fabric.witness import PORT, ask, capture
from vpclab.region.paths import node_port
from vpclab.region.routing import Listener
from vpclab.region.values import SecurityGroupRule


async def told(world: PathsWorld) -> None:
    region, paths, fabric, ends = world.region, world.paths, world.fabric, world.ends
    private, neighbour = ends.addresses["private"], ends.addresses["neighbour"]
    places = ends.places

    # The target is in a private subnet: by its own routes it could not answer the internet as anybody but the NAT gateway.
    public = node_port(region, paths, 80, PORT, [private])
    await fabric.sync(region)
    for protocol in ("tcp", "udp"):
        async with capture(places["private"], "eth0") as watched:
            saw = await seen(places["internet"], places["private"], protocol, public, port=80)
        client = ends.public["internet"]
        assert saw == str(client), protocol
        assert watched.sources(protocol, private) == {client}
        assert {(p.source, p.target) for p in watched.packets if p.outgoing and p.protocol == protocol} == {
            (private, client)
        }
    # From inside the VPC, from a peered one and from on premises, at the private address.
    for name in ("neighbour", "peer", "onprem"):
        for protocol in ("tcp", "udp"):
            saw = await seen(places[name], places["private"], protocol, ends.balancer, port=80)
            assert saw == str(ends.addresses[name]), (name, protocol)
    # What it does not listen to it does not answer; nor does a target that is the client itself get its own packet.
    assert await ask(places["internet"], "tcp", public, port=81, wait=SHORT) == ""
    assert await ask(places["private"], "tcp", ends.balancer, port=80, wait=SHORT) == ""

    # Two targets get flows each; then none.
    node_port(region, paths, 80, PORT, [private, neighbour])
    await fabric.sync(region)
    hit: set[IPv4Address] = set()
    while hit != {private, neighbour}:  # bounded by the test's own timeout
        async with capture(places["private"], "eth0") as watched:
            assert await ask(places["internet"], "udp", public, port=80) == str(ends.public["internet"])
        hit.add(private if watched.sources("udp", private) else neighbour)
    # Security groups see the client, not the balancer.
    eni = region.eni_with(paths.study.private[0].id, private)
    assert eni is not None
    closed = region.create_security_group(paths.study.vpc.id, "closed", "onprem only")
    region.authorize_ingress(closed.id, (SecurityGroupRule(cidr=paths.site),))
    region.modify_network_interface(eni.id, groups=(closed.id,))
    node_port(region, paths, 80, PORT, [private])
    await fabric.sync(region)
    assert await ask(places["internet"], "tcp", public, port=80, wait=SHORT) == ""
    assert await ask(places["onprem"], "tcp", ends.balancer, port=80) == str(ends.addresses["onprem"])
    region.modify_network_interface(eni.id, groups=(paths.open_group,))

    # An answer by another ENI than the one it was asked by is a packet with a wrong source: lost, and counted.
    second = region.create_network_interface(paths.study.private[0].id, groups=(paths.open_group,))
    assert eni.attachment is not None
    region.attach_network_interface(second.id, eni.attachment.instance_id, 1)
    region.advance(region.now + 60)
    await fabric.sync(region)
    gateway = paths.study.private[0].gateway
    await places["private"].ip(
        (
            "link set eth1 up",
            f"neigh add {gateway} lladdr {FABRIC_MAC} dev eth1 nud permanent",
            f"route add {ends.public['internet']} via {gateway} dev eth1 onlink",
        )
    )
    before = (await fabric.counters()).spoofed
    assert await ask(places["internet"], "udp", public, port=80, wait=SHORT) == ""
    assert (await fabric.counters()).spoofed > before
    await places["private"].ip(("link del eth1",))

    # Without client addresses kept, targets see the balancer.
    region.delete_load_balancer(paths.balancer.id)
    other = region.create_load_balancer(
        "plain", [paths.study.public[0].id], internet_facing=True, preserve_client_ip=False
    )
    region.set_listeners(other.id, region_listeners(private))
    await fabric.sync(region)
    node = region.eni(other.enis[0])
    assert node.public_ip is not None
    for protocol in ("tcp", "udp"):
        assert await ask(places["internet"], protocol, node.public_ip, port=80) == str(node.primary)
    assert "nlb-ap-northeast-2a" not in fabric.places, "the balancer that was deleted is still there"


def region_listeners(target: IPv4Address) -> tuple[Listener, ...]:
    return tuple(Listener(protocol, 80, ((target, PORT),)) for protocol in ("tcp", "udp"))


play(told)
