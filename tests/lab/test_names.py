"""What machines are called, and which of them are nodes."""

from __future__ import annotations

from vpclab.lab.names import also_called, cluster_of, name_for
from vpclab.region import launch_bastion, launch_node, study_region


def test_nodes_are_numbered_and_others_have_their_own_names() -> None:
    region, study = study_region()
    taken: list[str] = []
    made = [launch_bastion(region, study), *(launch_node(region, study, n) for n in range(3))]
    subnet = study.public[0].id
    made += [
        region.run_instance("t3.nano", subnet, name="web"),
        region.run_instance("t3.nano", subnet, name="web"),
        region.run_instance("t3.nano", subnet, name="no host name"),
        region.run_instance("t3.nano", subnet),
    ]
    for instance in made:
        taken.append(name_for(instance, taken))
    assert taken == ["bastion", "node1", "node2", "node3", "web", made[5].id, made[6].id, made[7].id]
    taken.remove("node2")
    assert name_for(launch_node(region, study, 0), taken) == "node2"


def test_an_instance_is_a_node_by_its_tags_or_its_user_data() -> None:
    region, study = study_region()
    subnet = study.public[0].id
    assert cluster_of(launch_node(region, study, 0)) == "myeks"
    assert cluster_of(launch_bastion(region, study)) is None
    tagged = region.run_instance("t3.nano", subnet, tags={"kubernetes.io/cluster/other": "owned"})
    assert cluster_of(tagged) == "other"
    script = "#!/bin/bash\nset -o xtrace\n/etc/eks/bootstrap.sh mine --kubelet-extra-args ''\n"
    assert cluster_of(region.run_instance("t3.nano", subnet, user_data=script)) == "mine"


def test_a_bastion_that_replaces_another_is_found_by_its_name_when_that_one_ends() -> None:
    region, study = study_region()
    old = launch_bastion(region, study)
    subnet = study.public[0].id
    new = region.run_instance("t3.small", subnet, name=old.name)
    web = region.run_instance("t3.nano", subnet, name="no host name")
    node = launch_node(region, study, 0)
    names: dict[str, str] = {}
    for one in (old, new, web, node):
        names[one.id] = name_for(one, names.values())
    assert [names[one.id] for one in (old, new, web, node)] == ["bastion", new.id, web.id, "node1"]
    assert also_called(region.instances, names) == {}
    region.terminate_instance(old.id)
    assert also_called(region.instances, names)["bastion"] == new.id
    region.advance(region.now + 3600)
    del names[old.id]  # as the lab does when the machine is gone
    assert also_called(region.instances, names)["bastion"] == new.id
    later = launch_bastion(region, study)
    names[later.id] = name_for(later, names.values())
    assert names[later.id] == "bastion"
    assert "bastion" not in also_called(region.instances, names)
