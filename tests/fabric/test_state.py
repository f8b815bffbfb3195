"""What the fabric wants, from the real region."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from vpclab.fabric.devices import number
from vpclab.fabric.state import FabricState, wanted
from vpclab.region.claims import Wanted
from vpclab.region.region import Region
from vpclab.region.values import Delays, Instance

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
