"""Route tables and what they lead to: what AWS refuses, what becomes a black hole, what makes a subnet public."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from vpclab.region import ApiError, Delays, EniStatus, Region, Resource, Wanted, study_region
from vpclab.region.paths import PEER_CIDR, SITE, launch_plain, launch_private_node, node_port, paths_region
from vpclab.region.routing import LOCAL, Listener, NatState, Origin, PeeringState, Route, routes_of
from vpclab.region.study import ANYWHERE

VPC = IPv4Network("10.0.0.0/16")


@pytest.fixture
def region() -> Region:
    return Region(delays=Delays(attach=(0, 0), detach=(0, 0)))


def refused(error: "pytest.ExceptionInfo[ApiError]") -> str:
    return error.value.code


def test_a_new_vpc_has_a_main_table_with_its_own_cidrs(region: Region) -> None:
    vpc = region.create_vpc(VPC)
    region.associate_vpc_cidr(vpc.id, IPv4Network("100.64.0.0/16"))
    subnet = region.create_subnet(vpc.id, region.zones[0], IPv4Network("10.0.1.0/24"))
    table = region.route_table_of(subnet.id)
    assert table.main
    assert [(r.target, r.origin, r.active) for r in routes_of(region, table)] == [
        (LOCAL, Origin.TABLE, True)
    ] * 2
    assert not subnet.public


def test_a_subnet_is_public_while_its_table_leads_to_the_internet_gateway(region: Region) -> None:
    vpc = region.create_vpc(VPC)
    gateway = region.create_internet_gateway(vpc.id)
    subnet = region.create_subnet(vpc.id, region.zones[0], IPv4Network("10.0.1.0/24"))
    table = region.create_route_table(vpc.id)
    region.create_route(table.id, ANYWHERE, gateway.id)
    assert not region.subnet(subnet.id).public
    association = region.associate_route_table(table.id, subnet.id)
    region.drain_changes()
    assert region.subnet(subnet.id).public
    region.disassociate_route_table(association)
    assert not region.subnet(subnet.id).public
    assert {(c.resource, c.id) for c in region.drain_changes()} == {
        (Resource.ROUTE_TABLE, table.id),
        (Resource.SUBNET, subnet.id),
    }
    main = region.route_table_of(subnet.id)
    region.create_route(main.id, ANYWHERE, gateway.id)
    assert region.subnet(subnet.id).public
    region.delete_route(main.id, ANYWHERE)
    assert not region.subnet(subnet.id).public


@pytest.mark.parametrize("gateway_first", [True, False])
def test_public_subnets_share_a_table_whichever_came_first(region: Region, *, gateway_first: bool) -> None:
    vpc = region.create_vpc(VPC)
    if gateway_first:
        region.create_internet_gateway(vpc.id)
    made = [
        region.create_subnet(vpc.id, region.zones[0], IPv4Network(f"10.0.{n}.0/24"), public=True)
        for n in (1, 2)
    ]
    if not gateway_first:
        assert not region.subnet(made[0].id).public
        region.create_internet_gateway(vpc.id)
    assert all(region.subnet(subnet.id).public for subnet in made)
    assert len({region.route_table_of(subnet.id).id for subnet in made}) == 1


def test_routes_that_aws_refuses(region: Region) -> None:
    made, study = study_region(region)
    other = region.create_vpc(VPC)
    elsewhere = region.create_internet_gateway(other.id)
    table = region.route_table_of(study.public[0].id)
    for destination, target, code in (
        (ANYWHERE, study.internet_gateway.id, "RouteAlreadyExists"),
        (IPv4Network("192.168.7.0/24"), study.internet_gateway.id, "InvalidParameterValue"),
        (IPv4Network("10.9.0.0/16"), elsewhere.id, "InvalidParameterValue"),
        (IPv4Network("10.9.0.0/16"), "nat-0123", "NatGatewayNotFound"),
        (IPv4Network("10.9.0.0/16"), "pcx-0123", "InvalidVpcPeeringConnectionID.NotFound"),
        (IPv4Network("10.9.0.0/16"), "tgw-0123", "InvalidParameterValue"),
    ):
        with pytest.raises(ApiError) as error:
            region.create_route(table.id, destination, target)
        assert refused(error) == code, (destination, target)
    with pytest.raises(ApiError) as error:
        region.delete_route(table.id, IPv4Network("10.9.0.0/16"))
    assert refused(error) == "InvalidRoute.NotFound"
    with pytest.raises(ApiError) as error:
        region.delete_route(table.id, study.vpc.cidrs[0])
    assert refused(error) == "InvalidParameterValue"
    with pytest.raises(ApiError) as error:
        region.associate_route_table(region.create_route_table(study.vpc.id).id, study.public[0].id)
    assert refused(error) == "Resource.AlreadyAssociated"
    with pytest.raises(ApiError) as error:
        region.associate_route_table(region.create_route_table(other.id).id, study.public[0].id)
    assert refused(error) == "InvalidParameterValue"
    for wrong in (table.id, region.route_table_of(study.private[0].id).id):
        with pytest.raises(ApiError) as error:
            region.delete_route_table(wrong)
        assert refused(error) == "DependencyViolation"
    assert made.route_table(table.id) == table, "something has changed"


def test_a_nat_gateway_takes_time_and_leaves_a_black_hole(region: Region) -> None:
    region.delays = Delays(nat_gateway=(60, 60))
    _, study = study_region(region)
    address = region.allocate_address()
    free = region.free_addresses(study.public[0].id)
    nat = region.create_nat_gateway(study.public[0].id, address.id)
    table = region.create_route_table(study.vpc.id)
    region.create_route(table.id, ANYWHERE, nat.id)

    def active() -> bool:
        return routes_of(region, region.route_table(table.id))[-1].active

    assert (nat.state, active()) == (NatState.PENDING, False)
    region.advance(61)
    assert (region.nat_gateways[nat.id].state, active()) == (NatState.AVAILABLE, True)
    eni = region.eni(nat.eni_id)
    assert (eni.status, eni.interface_type, eni.groups) == (EniStatus.IN_USE, "nat_gateway", ())
    assert (eni.source_dest_check, eni.public_ip) == (False, address.public_ip)
    with pytest.raises(ApiError) as error:
        region.delete_network_interface(eni.id)
    assert refused(error) == "InvalidParameterValue"
    with pytest.raises(ApiError) as error:
        region.create_nat_gateway(study.public[0].id, address.id)
    assert refused(error) == "Resource.AlreadyAssociated"
    region.delete_nat_gateway(nat.id)
    assert not active()
    assert region.free_addresses(study.public[0].id) == free
    region.release_address(address.id)


def test_an_elastic_address_goes_where_it_is_told_and_back(region: Region) -> None:
    _, study = study_region(region)
    instance = region.run_instance("t3.medium", study.public[0].id)
    eni = region.primary_eni(instance.id)
    came_with = eni.public_ip
    address = region.allocate_address()
    one = region.associate_address(address.id, eni.id)
    assert region.primary_eni(instance.id).public_ip == address.public_ip != came_with
    assert region.allocate_address().public_ip == came_with, "the one that it came with is not free again"
    with pytest.raises(ApiError) as error:
        region.release_address(address.id)
    assert refused(error) == "InvalidIPAddress.InUse"
    secondary = region.assign_private_ip_addresses(eni.id, Wanted(count=1)).addresses[0]
    two = region.associate_address(address.id, eni.id, secondary)
    assert one.association != two.association
    assert region.primary_eni(instance.id).public_ip is None
    with pytest.raises(ApiError) as error:
        region.associate_address(address.id, eni.id, IPv4Address("192.168.1.250"))
    assert refused(error) == "InvalidParameterValue"
    region.unassign_private_ip_addresses(eni.id, addresses=(secondary,))
    assert not region.elastic_addresses[address.id].association, "it stays with an address that is gone"
    region.associate_address(address.id, eni.id)
    region.terminate_instance(instance.id)
    assert not region.elastic_addresses[address.id].association
    region.release_address(address.id)
    assert address.id not in region.elastic_addresses


def test_peering_is_asked_for_accepted_and_ended(region: Region) -> None:
    one, other = (region.create_vpc(IPv4Network(f"10.{n}.0.0/16")) for n in (1, 2))
    asked = region.create_peering(one.id, other.id)
    main = next(t for t in region.route_tables.values() if t.vpc_id == one.id)
    region.create_route(main.id, other.cidrs[0], asked.id)

    def route() -> Route:
        return routes_of(region, region.route_table(main.id))[-1]

    assert (asked.state, route().active) == (PeeringState.PENDING, False)
    region.accept_peering(asked.id)
    assert route().active
    with pytest.raises(ApiError) as error:
        region.create_peering(other.id, one.id)
    assert refused(error) == "VpcPeeringConnectionAlreadyExists"
    region.delete_peering(asked.id)
    assert not route().active
    with pytest.raises(ApiError) as error:
        region.accept_peering(asked.id)
    assert refused(error) == "InvalidStateTransition"
    same = region.create_vpc(IPv4Network("10.1.0.0/17"))
    assert region.create_peering(one.id, same.id).state is PeeringState.FAILED
    rejected = region.create_peering(other.id, same.id)
    assert region.reject_peering(rejected.id).state is PeeringState.REJECTED


def test_vpn_routes_show_where_they_are_propagated_and_yield_to_others(region: Region) -> None:
    vpc = region.create_vpc(VPC)
    gateway = region.create_vpn_gateway()
    main = next(iter(region.route_tables.values()))
    with pytest.raises(ApiError) as error:
        region.propagate_vpn_routes(main.id, gateway.id)
    assert refused(error) == "Gateway.NotAttached"
    region.attach_vpn_gateway(gateway.id, vpc.id)
    customer = region.create_customer_gateway(IPv4Address("198.51.100.200"))
    connection = region.create_vpn_connection(customer.id, gateway.id)
    for network in ("10.0.5.0/24", "10.50.0.0/16", "10.60.0.0/16"):
        region.create_vpn_connection_route(connection.id, IPv4Network(network))
    region.create_route(main.id, IPv4Network("10.60.0.0/16"), gateway.id)
    region.propagate_vpn_routes(main.id, gateway.id)
    assert {(str(r.destination), r.origin) for r in routes_of(region, region.route_table(main.id))} == {
        ("10.0.0.0/16", Origin.TABLE),
        ("10.50.0.0/16", Origin.PROPAGATED),
        ("10.60.0.0/16", Origin.CREATED),
    }, "a propagated route inside the VPC, or over one made by hand"
    region.propagate_vpn_routes(main.id, gateway.id, enable=False)
    assert len(routes_of(region, region.route_table(main.id))) == 2
    region.detach_vpn_gateway(gateway.id)
    assert not routes_of(region, region.route_table(main.id))[-1].active


def test_a_load_balancer_has_a_node_a_subnet_and_takes_its_addresses_along(region: Region) -> None:
    _, study = study_region(region)
    made = region.create_load_balancer("nlb", [s.id for s in study.public])
    nodes = [region.eni(eni_id) for eni_id in made.enis]
    assert [n.subnet_id for n in nodes] == [s.id for s in study.public]
    assert all(n.public_ip and not n.source_dest_check for n in nodes)
    twice = Listener("tcp", 80, ()), Listener("tcp", 80, ())
    with pytest.raises(ApiError) as error:
        region.set_listeners(made.id, twice)
    assert refused(error) == "InvalidParameterValue"
    region.delete_load_balancer(made.id)
    assert not region.elastic_addresses
    assert not region.enis


def test_the_world_of_every_path() -> None:
    region, paths = paths_region()
    plain = launch_plain(region, paths)
    node = launch_private_node(region, paths, 1)
    assert region.primary_eni(node.id).public_ip is None
    assert region.primary_eni(plain.neighbour.id).public_ip is not None
    private = region.route_table_of(paths.study.private[2].id)
    assert {(r.destination, r.target) for r in routes_of(region, private) if r.active} >= {
        (ANYWHERE, paths.nat_gateway.id),
        (PEER_CIDR, paths.peering.id),
        (SITE, paths.vpn.vpn_gateway_id),
    }
    public = node_port(region, paths, 80, 30080, [region.primary_eni(node.id).primary])
    assert {listener.protocol for listener in region.load_balancers[paths.balancer.id].listeners} == {
        "tcp",
        "udp",
    }
    assert region.instance_at(public) is None
    again, _ = paths_region()
    assert set(again.route_tables) <= set(region.route_tables), "the same seed makes another world"


def test_a_subnet_that_is_deleted_leaves_its_table(region: Region) -> None:
    vpc = region.create_vpc(VPC)
    subnet = region.create_subnet(vpc.id, region.zones[0], IPv4Network("10.0.1.0/24"))
    table = region.create_route_table(vpc.id)
    region.associate_route_table(table.id, subnet.id)
    region.delete_subnet(subnet.id)
    assert not region.route_table(table.id).subnets
    region.delete_route_table(table.id)
