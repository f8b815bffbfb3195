import pytest

from vpclab.fabric.state import wanted
from vpclab.region import ApiError, study_region
from vpclab.region.values import EniStatus


def test_a_control_plane_has_an_eni_in_each_subnet_that_is_in_use_and_nobodys() -> None:
    region, study = study_region()
    group = region.create_security_group(study.vpc.id, "sg", "x").id
    free = region.free_addresses(study.public[0].id)
    enis = region.connect_control_plane("myeks", [s.id for s in study.public[:2]], (group,))
    assert [(e.subnet_id, e.groups, e.status, e.attachment) for e in enis] == [
        (subnet.id, (group,), EniStatus.IN_USE, None) for subnet in study.public[:2]
    ]
    assert enis[0].description == "Amazon EKS myeks"
    assert enis[0].source_dest_check
    assert region.free_addresses(study.public[0].id) == free - 1
    with pytest.raises(ApiError, match="in use"):
        region.delete_network_interface(enis[0].id)


def test_the_fabric_plugs_them_into_the_control_planes_place() -> None:
    region, study = study_region()
    group = region.create_security_group(study.vpc.id, "sg", "x").id
    enis = region.connect_control_plane("myeks", [s.id for s in study.public[:2]], (group,))
    links = wanted(region, study.vpc.id, {"myeks"}).links.values()
    assert sorted((link.instance_id, link.device, link.eni_id) for link in links) == [
        ("myeks", "eth0", enis[0].id),
        ("myeks", "eth1", enis[1].id),
    ]


def test_subnets_that_are_not_there_change_nothing() -> None:
    region, study = study_region()
    before = dict(region.enis)
    with pytest.raises(ApiError, match="subnet-none"):
        region.connect_control_plane("myeks", [study.public[0].id, "subnet-none"], ())
    assert dict(region.enis) == before
