"""What the fabric wants, from the real region."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from vpclab.fabric.devices import ENI, IGW_DEVICE, NOWHERE, PEERING, VPN, device, number
from vpclab.fabric.state import FabricState, Outlook, wanted
from vpclab.region.claims import Wanted
from vpclab.region.paths import launch_plain, paths_region
from vpclab.region.region import Region
from vpclab.region.study import ANYWHERE
from vpclab.region.values import Delays, Instance, SecurityGroupRule

AT_ONCE = Delays(attach=(0, 0), detach=(0, 0))


class Small:
    """A VPC with a public and a private subnet, and an instance in each."""

    def __init__(self) -> None:
        self.region = Region(delays=AT_ONCE)
        self.vpc = self.region.create_vpc(IPv4Network("10.0.0.0/16"))
        self.region.create_internet_gateway(self.vpc.id)
        self.public = self.region.create_subnet(
            self.vpc.id,
            self.region.zones[0],
            IPv4Network("10.0.1.0/24"),
            public=True,
            map_public_ip_on_launch=True,
        )
        self.private = self.region.create_subnet(
            self.vpc.id, self.region.zones[0], IPv4Network("10.0.2.0/24")
        )
        self.one = self.region.run_instance("m5.large", self.public.id)
        self.two = self.region.run_instance("m5.large", self.private.id)
        self.region.advance(1)

    def state(self, *instances: Instance) -> FabricState:
        here = {instance.id for instance in instances or (self.one, self.two)}
        return wanted(self.region, self.vpc.id, here)


@pytest.fixture
def small() -> Small:
    return Small()


def test_links_routes_and_public_addresses_of_running_instances(small: Small) -> None:
    state = small.state()
    one, two = (small.region.enis_of(instance.id)[0] for instance in (small.one, small.two))
    by_eni = {link.eni_id: link for link in state.links.values()}
    assert {(eni, link.device, link.table) for eni, link in by_eni.items()} == {
        (one.id, "eth0", number(small.region.route_table_of(small.public.id).id)),
        (two.id, "eth0", number(small.region.route_table_of(small.private.id).id)),
    }
    assert state.held == {
        by_eni[one.id].name: {IPv4Network(one.primary)},
        by_eni[two.id].name: {IPv4Network(two.primary)},
    }
    assert state.public == {one.primary: one.public_ip}
    assert state.gateways == {IPv4Address("10.0.1.1"), IPv4Address("10.0.2.1")}
    assert state.cidrs == {IPv4Network("10.0.0.0/16")}
    assert all(len(name) <= 15 for name in state.links), "longer than a device name may be"


def test_only_instances_that_have_a_place_count(small: Small) -> None:
    (link,) = small.state(small.two).links.values()
    assert link.instance_id == small.two.id


def test_an_eni_counts_while_it_is_attached(small: Small) -> None:
    region = small.region
    region.delays = replace(AT_ONCE, attach=(2, 2), detach=(2, 2))
    eni = region.create_network_interface(small.private.id)
    attachment = region.attach_network_interface(eni.id, small.two.id, 1)

    def there() -> bool:
        return eni.id in {link.eni_id for link in small.state().links.values()}

    assert not there()
    region.advance(4)
    assert there()
    region.detach_network_interface(attachment.id)
    assert not there()


def test_secondary_addresses_and_prefixes_are_delivered_to_their_eni(small: Small) -> None:
    eni = small.region.primary_eni(small.two.id)
    before = small.state().held
    small.region.assign_private_ip_addresses(eni.id, Wanted(count=2))
    small.region.assign_private_ip_addresses(eni.id, Wanted(prefix_count=1))
    eni = small.region.primary_eni(small.two.id)
    new = {name: held - before[name] for name, held in small.state().held.items() if held != before[name]}
    assert list(new.values()) == [{*map(IPv4Network, eni.secondary), *eni.prefixes}]
    assert all(IPv4Network(eni.primary) in before[name] for name in new)
    small.region.unassign_private_ip_addresses(eni.id, addresses=eni.secondary, prefixes=eni.prefixes)
    assert small.state().held == before


def test_what_is_remembered_is_what_a_fresh_look_gives() -> None:
    """Whatever changes, in any order; and what has not changed is the same object, so that nothing compares it."""
    region, paths = paths_region()
    plain = launch_plain(region, paths)
    machines = {*(one.id for one in plain.by_name().values()), paths.nat_gateway.id, *paths.balancer.enis}
    outlook = Outlook(paths.study.vpc.id)
    eni = region.primary_eni(plain.private.id).id
    only = region.create_security_group(paths.study.vpc.id, "only", "members")
    table = region.route_table_of(paths.study.private[0].id).id
    before = outlook.wanted(region, machines)
    for change in (
        lambda: region.assign_private_ip_addresses(eni, Wanted(count=1)),
        lambda: region.assign_private_ip_addresses(eni, Wanted(prefix_count=1)),
        lambda: region.modify_network_interface(eni, groups=(only.id,)),
        lambda: region.authorize_ingress(only.id, (SecurityGroupRule(group_id=only.id),)),
        lambda: region.associate_vpc_cidr(paths.study.vpc.id, IPv4Network("100.64.0.0/16")),
        lambda: region.delete_route(table, ANYWHERE),
        lambda: region.create_route(table, ANYWHERE, eni),
        lambda: region.modify_network_interface(eni, source_dest_check=False),
        lambda: region.delete_peering(paths.peering.id),
        lambda: region.delete_vpn_connection(paths.vpn.id),
        lambda: region.delete_nat_gateway(paths.nat_gateway.id),
        lambda: region.delete_load_balancer(paths.balancer.id),
        lambda: region.terminate_instance(plain.private.id),
    ):
        change()
        after = outlook.wanted(region, machines)
        assert after == wanted(region, paths.study.vpc.id, machines)
        assert after != before
        untouched = [name for name in after.held if after.held[name] == before.held.get(name)]
        assert all(after.held[name] is before.held[name] for name in untouched)
        before = after
    assert outlook.wanted(region, machines).security is before.security


def test_routes_lead_to_devices_and_nowhere_when_their_targets_are_gone() -> None:
    region, paths = paths_region()
    machines = {paths.nat_gateway.id}

    def routes() -> dict[str, str]:
        state = wanted(region, paths.study.vpc.id, machines)
        table = number(region.route_table_of(paths.study.private[0].id).id)
        return {str(network): to for network, to in state.tables[table].items()}

    assert routes() == {
        "0.0.0.0/0": device(ENI, paths.nat_gateway.eni_id),
        "10.20.0.0/16": device(PEERING, paths.peering.id),
        "10.30.0.0/16": device(PEERING, paths.peering.id),
        "10.50.0.0/16": device(VPN, paths.vpn.id),
    }
    public = number(region.route_table_of(paths.study.public[0].id).id)
    state = wanted(region, paths.study.vpc.id, machines)
    assert state.tables[public][ANYWHERE] == IGW_DEVICE
    region.delete_nat_gateway(paths.nat_gateway.id)
    region.delete_peering(paths.peering.id)
    region.delete_vpn_connection(paths.vpn.id)
    assert set(routes().values()) == {NOWHERE}
    assert "10.50.0.0/16" not in routes()


def test_another_vpc_is_not_carried(small: Small) -> None:
    before = small.state()
    vpc = small.region.create_vpc(IPv4Network("10.9.0.0/16"))
    subnet = small.region.create_subnet(vpc.id, small.region.zones[0], IPv4Network("10.9.1.0/24"))
    stranger = small.region.run_instance("m5.large", subnet.id)
    assert small.state(small.one, small.two, stranger) == before


def test_the_end_of_an_instance_is_the_end_of_its_links(small: Small) -> None:
    small.region.terminate_instance(small.one.id)
    small.region.advance(10)
    assert {link.instance_id for link in small.state().links.values()} == {small.two.id}
