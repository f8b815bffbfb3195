from __future__ import annotations

import pytest
from tests.region.conftest import World, refused

from vpclab.region import Query, Wanted


def test_wildcards_and_tags_filter(world: World) -> None:
    region = world.region
    one = region.create_network_interface(world.subnet, description="aws-K8S-i-1", tags={"cluster": "a"})
    two = region.create_network_interface(
        world.subnet, description="aws-K8S-i-22", tags={"cluster": "b", "x": ""}
    )
    region.create_network_interface(world.subnet, description="other*")

    def found(**filters: str) -> list[str]:
        spelled = {name.replace("__", ":").replace("_", "-"): (value,) for name, value in filters.items()}
        return [eni.id for eni in region.describe.network_interfaces(Query(filters=spelled)).items]

    assert found(description="aws-K8S-*") == [one.id, two.id]
    assert found(description="aws-K8S-i-?") == [one.id]
    assert len(found(description="other\\*")) == 1
    assert found(description="oth\\*") == []
    assert found(tag__cluster="b") == [two.id]
    assert found(tag_key="x") == [two.id]
    assert found(status="in-use") == []
    assert found(vpc_id=world.vpc, mac_address=one.mac) == [one.id]


def test_values_are_or_and_filters_are_and(world: World) -> None:
    instance = world.region.run_instance("t3.medium", world.subnet)
    eni = world.region.create_network_interface(world.subnet, wanted=Wanted(count=1))
    world.region.attach_network_interface(eni.id, instance.id, 1)
    describe = world.region.describe
    both = {"attachment.device-index": ("0", "1"), "attachment.instance-id": (instance.id,)}
    assert len(describe.network_interfaces(Query(filters=both)).items) == 2
    one = {**both, "private-ip-address": (str(eni.secondary[0]),)}
    assert [e.id for e in describe.network_interfaces(Query(filters=one)).items] == [eni.id]
    by_eni = {"network-interface.private-ip-address": (str(eni.secondary[0]),)}
    assert [i.id for i in describe.instances(Query(filters=by_eni)).items] == [instance.id]
    running = {"instance-state-name": ("running",), "instance.group-name": ("default",)}
    assert [i.id for i in describe.instances(Query(filters=running)).items] == [instance.id]


@pytest.mark.parametrize(
    "kind", ["vpcs", "subnets", "internet_gateways", "security_groups", "instances", "network_interfaces"]
)
def test_an_unknown_filter_or_id_is_refused(world: World, kind: str) -> None:
    describe = getattr(world.region.describe, kind)
    with refused("InvalidParameterValue", "The filter 'colour' is invalid"):
        describe(Query(filters={"colour": ("red",)}))
    with pytest.raises(Exception, match="nothing-of-this-id"):
        describe(Query(ids=("nothing-of-this-id",)))
    with refused("InvalidParameterValue", "1001"):
        describe(Query(max_results=1001))
    with refused("InvalidParameterCombination"):
        describe(Query(ids=("x",), max_results=5))
    with refused("InvalidParameterValue", "token"):
        describe(Query(max_results=5, next_token="bogus"))


def test_pages_cover_everything_once_although_things_change_meanwhile(world: World) -> None:
    region = world.region
    enis = [region.create_network_interface(world.subnet).id for _ in range(17)]
    seen: list[str] = []
    token = None
    while True:
        page = region.describe.network_interfaces(Query(max_results=5, next_token=token))
        seen += [eni.id for eni in page.items]
        token = page.next_token
        if token is None:
            break
        region.delete_network_interface(seen[-1])  # also the one that the token points after
        region.modify_network_interface(enis[0], description="changed") if enis[0] in region.enis else None
    assert seen == enis


def test_filters_by_index_give_the_same_order_and_pages(world: World) -> None:
    region = world.region
    for _ in range(3):
        region.create_network_interface(world.elsewhere)
        region.create_network_interface(world.subnet)
    query = Query(filters={"subnet-id": (world.subnet, world.elsewhere)})
    by_index = region.describe.network_interfaces(query).items
    assert list(by_index) == list(region.enis.values())


def test_what_a_whole_query_is() -> None:
    assert Query().whole
    assert not any(q.whole for q in (Query(ids=("x",)), Query(filters={"a": ("b",)}), Query(max_results=5)))
