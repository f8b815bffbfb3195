from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from tests.region.conftest import World, refused

from vpclab.region import SecurityGroupRule as Rule

HERE = IPv4Network("10.0.1.4/32")


def test_a_new_group_lets_everything_out_and_nothing_in(world: World) -> None:
    group = world.region.create_security_group(world.vpc, "g", "d")
    assert (group.ingress, group.egress) == ((), (Rule(cidr=IPv4Network("0.0.0.0/0")),))
    with refused("InvalidGroup.Duplicate", "'g' already exists"):
        world.region.create_security_group(world.vpc, "g")


def test_rules_are_added_once_and_taken_once(world: World) -> None:
    group = world.region.create_security_group(world.vpc, "g").id
    world.region.authorize_ingress(group, [Rule("tcp", 22, 22, HERE), Rule("ICMP", cidr=HERE)])
    assert world.region.security_group(group).ingress == (
        Rule("tcp", 22, 22, HERE),
        Rule("icmp", -1, -1, HERE),
    )
    with refused("InvalidPermission.Duplicate", "peer: 10.0.1.4/32, TCP, from port: 22, to port: 22, ALLOW"):
        world.region.authorize_ingress(group, [Rule("udp", 1, 2, HERE), Rule("6", 22, 22, HERE)])
    assert len(world.region.security_group(group).ingress) == 2
    world.region.revoke_ingress(group, [Rule("tcp", 22, 22, HERE)])
    with refused("InvalidPermission.NotFound"):
        world.region.revoke_ingress(group, [Rule("tcp", 22, 22, HERE)])
    world.region.revoke_egress(group, [Rule(cidr=IPv4Network("0.0.0.0/0"))])
    assert world.region.security_group(group).egress == ()


def test_ports_of_a_rule_for_everything_mean_nothing(world: World) -> None:
    group = world.region.create_security_group(world.vpc, "g").id
    world.region.authorize_egress(group, [Rule("-1", 1, 2, HERE)])
    assert Rule(cidr=HERE) in world.region.security_group(group).egress


@pytest.mark.parametrize(
    "rule",
    [
        Rule("tcp", cidr=HERE),
        Rule("tcp", 9, 3, HERE),
        Rule("udp", 1, 70000, HERE),
        Rule("sctp", 1, 2, HERE),
        Rule("tcp", 1, 2),
    ],
)
def test_nonsense_is_refused(world: World, rule: Rule) -> None:
    group = world.region.create_security_group(world.vpc, "g").id
    with refused("InvalidParameterValue"):
        world.region.authorize_ingress(group, [rule])


def test_a_group_that_is_used_cannot_be_deleted(world: World) -> None:
    region = world.region
    used, referring, free = (region.create_security_group(world.vpc, name).id for name in "urf")
    eni = region.create_network_interface(world.subnet, groups=(used,))
    region.authorize_ingress(referring, [Rule(group_id=free), Rule(group_id=referring)])
    for group in (used, free):
        with refused("DependencyViolation", group):
            region.delete_security_group(group)
    region.delete_network_interface(eni.id)
    region.delete_security_group(referring)
    region.delete_security_group(free)
    region.delete_security_group(used)
    with refused("CannotDelete"):
        region.delete_security_group(next(iter(region.groups)))


def test_groups_of_another_vpc_are_unknown(world: World) -> None:
    other = world.region.create_vpc(IPv4Network("10.9.0.0/16"))
    group = world.region.create_security_group(other.id, "g").id
    with refused("InvalidGroup.NotFound", world.vpc):
        world.region.create_network_interface(world.subnet, groups=(group,))
