"""Managed node groups: which nodes come, which go, when, and what is said when it does not work."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.eks.conftest import CLUSTER, GROUP, ROLE, World, make_world, refused
from vpclab.eks import EksDelays, Scaling, Status
from vpclab.eks.scaling import Member, to_end, to_launch
from vpclab.region import Delays


def scale(world: World, desired: int) -> str:
    return world.eks.update_nodegroup_config(CLUSTER, GROUP, scaling={"desiredSize": desired}).id


def test_a_group_has_its_nodes_over_the_zones_with_ekss_tags_and_groups(world: World) -> None:
    assert (world.group.status, world.zones) == (Status.ACTIVE, {"a": 1, "b": 1, "c": 1})
    node = world.nodes[0]
    cluster = world.eks.cluster(CLUSTER)
    eni = world.region.primary_eni(node.id)
    assert eni.groups == (cluster.cluster_security_group_id,)
    assert eni.public_ip is not None
    assert eni.tags == {"eks:cluster-name": CLUSTER, "eks:nodegroup-name": GROUP}
    assert node.tags["kubernetes.io/cluster/myeks"] == "owned"
    assert node.tags["aws:autoscaling:groupName"] == world.group.asg_name
    assert "/etc/eks/bootstrap.sh myeks" in node.user_data


def test_scaling_up_and_down_balances_the_zones(world: World) -> None:
    first = {one.id for one in world.nodes}
    update = scale(world, 5)
    assert world.zones == {"a": 2, "b": 2, "c": 1}
    assert world.eks.update(CLUSTER, update, nodegroup=GROUP).status == "Successful"
    scale(world, 3)
    assert world.zones == {"a": 1, "b": 1, "c": 1}
    assert {one.id for one in world.nodes} == first, "the newest of the fullest zone go"
    scale(world, 1)
    assert world.zones == {"a": 1}


def test_a_node_that_goes_is_drained_first() -> None:
    world = make_world(attended=True)
    update = scale(world, 2)
    (leaving,) = world.eks.leaving
    assert world.region.instance(leaving).zone[-1] == "c"
    assert len(world.nodes) == 2
    assert world.group.status is Status.UPDATING
    world.eks.look()
    assert list(world.eks.leaving) == [leaving], "one look more changes nothing"
    world.eks.drained(leaving)
    assert world.region.instance(leaving).state.value == "terminated"
    assert (world.group.status, dict(world.eks.leaving)) == (Status.ACTIVE, {})
    assert world.eks.update(CLUSTER, update, nodegroup=GROUP).status == "Successful"


def test_pods_that_do_not_go_are_told_of_and_the_node_ends_all_the_same() -> None:
    world = make_world(attended=True)
    scale(world, 2)
    (leaving,) = world.eks.leaving
    world.eks.drained(leaving, "pod default/web does not end")
    assert world.region.instance(leaving).state.value == "terminated"
    (issue,) = world.group.issues
    assert (world.group.status, issue.code, issue.resource_ids) == (
        Status.DEGRADED, "PodEvictionFailure", (leaving,),
    )  # fmt: skip


def test_a_terminated_node_is_replaced_in_its_zone_after_a_while() -> None:
    world = make_world(delays=EksDelays(replace=(5.0, 5.0)))
    lost = next(one for one in world.nodes if one.zone.endswith("b"))
    world.region.terminate_instance(lost.id)
    world.eks.look()
    world.eks.look()
    assert world.zones == {"a": 1, "c": 1}
    world.region.advance(4.9)
    assert len(world.nodes) == 2
    world.region.advance(5.0)
    assert world.zones == {"a": 1, "b": 1, "c": 1}
    assert world.group.status is Status.ACTIVE


def test_a_stopped_node_stays_a_node(world: World) -> None:
    world.region.stop_instance(world.nodes[0].id)
    world.eks.look()
    assert world.zones == {"a": 1, "b": 1, "c": 1}


def test_a_group_is_creating_until_its_nodes_are_ready() -> None:
    world = make_world(
        delays=EksDelays(nodegroup=(2.0, 2.0)), instances=Delays(attach=(0, 0), detach=(0, 0), launch=(1, 1))
    )
    assert (world.group.status, world.nodes) == (Status.CREATING, [])
    world.region.advance(2.0)
    assert len(world.nodes) == 3
    world.eks.look()
    assert world.group.status is Status.CREATING
    world.unready.add(world.nodes[0].id)
    world.region.advance(3.0)
    world.eks.look()
    assert world.group.status is Status.CREATING
    with refused("ResourceInUseException", "not in Active State"):
        scale(world, 4)
    world.unready.clear()
    world.eks.look()
    assert world.group.status.value == "ACTIVE"


def test_a_full_subnet_is_a_health_issue_until_there_is_room() -> None:
    world = make_world(bits=28)
    subnet = world.study.public[0].id
    taken = [
        world.region.create_network_interface(subnet).id for _ in range(world.region.free_addresses(subnet))
    ]
    update = scale(world, 4)
    (issue,) = world.group.issues
    assert (issue.code, issue.resource_ids) == ("InsufficientFreeAddresses", (subnet,))
    assert "Launching EC2 instance failed" in issue.message
    assert world.group.status is Status.DEGRADED
    assert world.eks.update(CLUSTER, update, nodegroup=GROUP).status == "Failed"
    for eni in taken:
        world.region.delete_network_interface(eni)
    world.region.advance(10.0)
    assert (world.group.status, world.group.issues, len(world.nodes)) == (Status.ACTIVE, (), 4)


def test_another_version_replaces_the_nodes_one_by_one_and_never_has_fewer() -> None:
    world = make_world(attended=True)
    world.eks.update_cluster_version(CLUSTER, "1.30")
    old = {one.id for one in world.nodes}
    update = world.eks.update_nodegroup_version(CLUSTER, GROUP)
    while world.group.status is Status.UPDATING:
        assert len(world.nodes) >= 3
        assert len(world.nodes) + len(world.eks.leaving) <= 4
        for one in tuple(world.eks.leaving):
            world.eks.drained(one)
        world.eks.look()
    assert not old & {one.id for one in world.nodes}
    assert (world.group.version, world.group.release[:5]) == ("1.30", "1.30.")
    assert world.eks.update(CLUSTER, update.id, nodegroup=GROUP).status == "Successful"
    assert world.zones == {"a": 1, "b": 1, "c": 1}


def test_a_deleted_group_drains_all_its_nodes() -> None:
    world = make_world(attended=True)
    with refused("ResourceInUseException", "nodegroups attached"):
        world.eks.delete_cluster(CLUSTER)
    assert world.eks.delete_nodegroup(CLUSTER, GROUP).status is Status.DELETING
    assert len(world.eks.leaving) == 3
    for one in tuple(world.eks.leaving):
        world.eks.drained(one)
    with refused("ResourceNotFoundException", "No node group found for name: ng1."):
        world.eks.nodegroup(CLUSTER, GROUP)
    world.eks.delete_cluster(CLUSTER)
    assert not world.eks.clusters
    assert not [g for g in world.region.groups.values() if g.name.startswith("eks-cluster-sg")]


def test_what_no_group_can_be_is_refused_with_nothing_changed(world: World) -> None:
    before = world.group
    subnet = world.study.public[0].id
    for sizes, words in (
        ({"minSize": 4}, "Minimum capacity 4 can't be greater than desired size 3"),
        ({"desiredSize": 7}, "desired capacity 7 can't be greater than max size 6"),
        ({}, "No changes"),
    ):
        with refused("InvalidParameterException", words):
            world.eks.update_nodegroup_config(CLUSTER, GROUP, scaling=sizes)
    with refused("ResourceInUseException", "already exists with name ng1"):
        world.eks.create_nodegroup(CLUSTER, GROUP, ROLE, [subnet])
    with refused("InvalidParameterException", "t9.huge"):
        world.eks.create_nodegroup(CLUSTER, "x", ROLE, [subnet], instance_types=["t9.huge"])
    with refused("InvalidParameterException", "subnet-1"):
        world.eks.create_nodegroup(CLUSTER, "x", ROLE, ["subnet-1"])
    with refused("InvalidParameterException", "greater than cluster version"):
        world.eks.create_nodegroup(CLUSTER, "x", ROLE, [subnet], version="1.31")
    with refused("ResourceNotFoundException", "No cluster found for name: other."):
        world.eks.create_nodegroup("other", "x", ROLE, [subnet])
    assert (world.group, len(world.nodes)) == (before, 3)


def test_labels_and_taints_are_kept(world: World) -> None:
    taint = ("dedicated", "gpu", "NO_SCHEDULE")
    world.eks.update_nodegroup_config(CLUSTER, GROUP, add_labels={"a": "1", "b": "2"}, add_taints=[taint])
    assert (world.group.labels, world.group.taints) == ({"a": "1", "b": "2"}, (taint,))
    world.eks.update_nodegroup_config(CLUSTER, GROUP, remove_labels=["a"], remove_taints=[taint])
    assert (world.group.labels, world.group.taints) == ({"b": "2"}, ())


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(0, 9), st.integers(0, 9))
def test_zones_never_differ_by_more_than_before_or_one(zones: list[str], more: int, fewer: int) -> None:
    members = [Member(f"i-{n}", zone, float(n)) for n, zone in enumerate(zones)]

    def spread(of: list[Member]) -> int:
        counts = [sum(one.subnet_id == zone for one in of) for zone in "abc"]
        return max(counts) - min(counts)

    launched = members + [
        Member(f"n-{n}", zone, 99.0) for n, zone in enumerate(to_launch(members, list("abc"), more))
    ]
    assert len(launched) == len(members) + more
    assert spread(launched) <= max(1, spread(members))
    ended = to_end(launched, fewer)
    left = [one for one in launched if one.instance_id not in ended]
    assert len(left) == max(0, len(launched) - fewer)
    assert spread(left) <= max(1, spread(launched))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.integers(1, 6), st.sampled_from(["lose", "drain"])), max_size=12))
def test_any_story_ends_with_the_nodes_that_were_wanted(story: list[int | str]) -> None:
    world = make_world(attended=True)
    wanted = 3
    for step in story:
        if isinstance(step, int):
            if world.group.status is Status.ACTIVE:
                scale(world, step)
                wanted = step
        elif step == "lose" and world.nodes:
            world.region.terminate_instance(world.nodes[-1].id)
        elif step == "drain" and world.eks.leaving:
            world.eks.drained(next(iter(world.eks.leaving)))
        world.eks.look()
        assert len(world.nodes) == wanted
    while world.eks.leaving:
        world.eks.drained(next(iter(world.eks.leaving)))
    world.eks.look()
    assert (len(world.nodes), world.group.status) == (wanted, Status.ACTIVE)
    assert world.group.scaling == Scaling(1, 6, wanted)
