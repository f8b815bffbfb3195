from __future__ import annotations

from tests.region.conftest import AT_ONCE, World, refused

from vpclab.region import Delays, Query, Wanted


def described(world: World, **filters: str) -> dict[str, tuple[str, int]]:
    asked = Query(filters={name.replace("_", "-"): (value,) for name, value in filters.items()})
    page = world.region.describe.network_interfaces(asked)
    return {eni.id: (eni.status.value, len(eni.secondary)) for eni in page.items}


def test_a_new_eni_is_unknown_to_those_that_name_it_for_a_while(world: World) -> None:
    region = world.region
    region.delays = Delays(attach=(0, 0), detach=(0, 0), unknown=(3, 3))
    node = region.run_instance("t3.medium", world.subnet).id
    region.advance(10.0)
    eni = region.create_network_interface(world.subnet).id
    assert eni not in described(world)
    for call in (
        lambda: region.describe.network_interfaces(Query(ids=(eni,))),
        lambda: region.attach_network_interface(eni, node, 1),
        lambda: region.modify_network_interface(eni, description="x"),
        lambda: region.assign_private_ip_addresses(eni, Wanted(count=1)),
    ):
        with refused("InvalidNetworkInterfaceID.NotFound", f"'{eni}'"):
            call()
    region.advance(12.9)
    assert eni not in described(world)
    region.advance(13.0)
    assert eni in described(world)
    region.attach_network_interface(eni, node, 1)


def test_describes_show_what_was_for_a_while_in_order(world: World) -> None:
    region = world.region
    eni = region.create_network_interface(world.subnet).id
    other = region.create_network_interface(world.elsewhere).id
    region.delays = Delays(attach=(0, 0), detach=(0, 0), stale=(5, 5))
    region.assign_private_ip_addresses(eni, Wanted(count=1))
    region.advance(2.0)
    region.assign_private_ip_addresses(eni, Wanted(count=2))
    born = region.create_network_interface(world.subnet).id
    assert described(world) == {eni: ("available", 0), other: ("available", 0)}
    assert described(world, subnet_id=world.subnet) == {eni: ("available", 0)}
    region.delete_network_interface(other)
    region.advance(5.0)
    assert described(world) == {eni: ("available", 1), other: ("available", 0)}
    region.advance(7.0)
    assert described(world) == {eni: ("available", 3), born: ("available", 0)}
    assert len(region.eni(eni).secondary) == 3  # the truth was never late


def test_a_shorter_lag_later_does_not_show_the_future_before_the_past(world: World) -> None:
    region = world.region
    eni = region.create_network_interface(world.subnet).id
    region.delays = Delays(stale=(10, 10))
    region.assign_private_ip_addresses(eni, Wanted(count=1))
    region.delays = AT_ONCE
    region.assign_private_ip_addresses(eni, Wanted(count=1))
    assert described(world) == {eni: ("available", 0)}
    region.advance(10.0)
    assert described(world) == {eni: ("available", 2)}


def test_pages_of_what_is_shown_go_by_creation(world: World) -> None:
    region = world.region
    enis = [region.create_network_interface(world.subnet).id for _ in range(7)]
    region.delays = Delays(stale=(5, 5))
    region.delete_network_interface(enis[4])
    first = region.describe.network_interfaces(Query(max_results=5))
    second = region.describe.network_interfaces(Query(max_results=5, next_token=first.next_token))
    assert [eni.id for eni in (*first.items, *second.items)] == enis
