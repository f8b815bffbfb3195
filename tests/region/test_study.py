from __future__ import annotations

from ipaddress import IPv4Network

from vpclab.region import Query, SecurityGroupRule, launch_bastion, launch_node, study_region


def test_the_study_s_infrastructure() -> None:
    region, study = study_region()
    assert study.vpc.cidrs == (IPv4Network("192.168.0.0/16"),)
    assert [(s.zone[-1], str(s.cidr), s.public) for s in (*study.public, *study.private)] == [
        ("a", "192.168.1.0/24", True),
        ("b", "192.168.2.0/24", True),
        ("c", "192.168.3.0/24", True),
        ("a", "192.168.11.0/24", False),
        ("b", "192.168.12.0/24", False),
        ("c", "192.168.13.0/24", False),
    ]
    assert region.internet_gateway_of(study.vpc.id) == study.internet_gateway


def test_the_instances_of_the_study() -> None:
    region, study = study_region()
    bastion = launch_bastion(region, study)
    nodes = [launch_node(region, study, n) for n in range(4)]
    assert (bastion.name, str(region.primary_eni(bastion.id).primary)) == (
        "myeks-bastion-EC2",
        "192.168.1.100",
    )
    assert [(n.name, n.type, n.zone[-1]) for n in nodes] == [
        ("myeks-ng1-Node", "t3.medium", z) for z in "abca"
    ]
    publics = {region.primary_eni(i.id).public_ip for i in (bastion, *nodes)}
    assert None not in publics
    assert len(publics) == 5


def test_the_node_group_s_group_is_found_by_its_name_and_lets_only_itself_in() -> None:
    region, study = study_region()
    found = region.describe.security_groups(Query(filters={"group-name": ("*ng1*",)})).items
    assert [group.id for group in found] == [study.node_group]
    assert found[0].ingress == (SecurityGroupRule(group_id=study.node_group),)
