"""Scenarios from what is there: each kind of source makes one that can be run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vpclab.plan.reading import scenario_of
from vpclab.plan.scenario import Scenario, ScenarioError
from vpclab.plan.sources import Json, as_scenario, of_bundle, of_cluster, of_lab, scenario_from


def read(counts: Json) -> Scenario:
    return scenario_of(json.dumps(as_scenario(counts, "s")), "s")


def test_counts_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "counts.json"
    file.write_text(
        '{"subnets": [{"name": "a", "cidr": "10.0.0.0/24", "used": 40}], "nodes": [{"type": "m5.large", "count": 12}],'
        ' "pods": 140, "settings": {"WARM_IP_TARGET": "2", "AWS_VPC_ENI_MTU": "9001"}}'
    )
    made = scenario_from(str(file))
    assert made.pods[0].count + made.pods[1].per_hour == 140
    assert dict(made.policies[0].env) == {"WARM_IP_TARGET": "2"}
    file.write_text('{"subnets": [], "nodes": [], "pods": 1, "poods": 1}')
    with pytest.raises(ScenarioError, match="poods: the counts are of"):
        scenario_from(str(file))
    file.write_text('{"subnets": [{"cidr": "10.0.0.0/24"}], "nodes": [], "pods": 1}')
    with pytest.raises(ScenarioError, match="nodes: is empty"):
        scenario_from(str(file))
    with pytest.raises(ScenarioError, match="neither lab:NAME nor cluster"):
        scenario_from("nothing-of-that-name")


def test_a_lab() -> None:
    made = read(
        of_lab(
            {
                "name": "x",
                "subnets": [{"id": "subnet-1", "zone": "z", "cidr": "192.168.1.0/24", "free": 200}],
                "machines": [
                    {"name": "bastion", "type": "t3.small", "enis": [{"primary": "192.168.1.100"}]},
                    {
                        "name": "node1",
                        "type": "t3.medium",
                        "agent": {"env": {"WARM_IP_TARGET": "2"}},
                        "enis": [{"primary": "192.168.1.4", "secondary": ["192.168.1.5"], "prefixes": []}],
                    },
                ],
                "pods": [{}],
            }
        )
    )
    assert made.subnets[0].used == 251 - 200 - 2
    assert (made.nodes[0].type, made.nodes[0].count) == ("t3.medium", 1)


def test_a_cluster() -> None:
    node = {
        "metadata": {"name": "n1", "labels": {"node.kubernetes.io/instance-type": "m5.large"}},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.9"}]},
    }
    pods: list[dict[str, Any]] = [
        {"spec": {}, "status": {"phase": "Running", "podIP": "10.0.0.20"}},
        {"spec": {"hostNetwork": True}, "status": {"phase": "Running", "podIP": "10.0.0.9"}},
        {"spec": {}, "status": {"phase": "Succeeded"}},
    ]
    container = {
        "name": "aws-node",
        "env": [{"name": "WARM_ENI_TARGET", "value": "1"}, {"name": "MY_NODE_NAME"}],
    }
    agents = [{"spec": {"template": {"spec": {"containers": [container]}}}}]
    subnets = [
        {
            "SubnetId": "subnet-a",
            "CidrBlock": "10.0.0.0/24",
            "AvailabilityZone": "z",
            "AvailableIpAddressCount": 240,
        }
    ]
    made = read(of_cluster([node], pods, agents, subnets))
    assert made.subnets[0].used == 251 - 240 - 2
    assert made.nodes[0].subnets == ("subnet-a",)
    assert dict(made.policies[0].env) == {"WARM_ENI_TARGET": "1"}
    with pytest.raises(ScenarioError, match=r"10\.0\.0\.9 is in none of the subnets"):
        of_cluster([node], pods, agents, [])


def test_a_node_s_bundle() -> None:
    status = {
        "node": "n1",
        "pools": [
            {
                "numbers": {"total": 18, "assigned": 7, "enis": 2, "most_enis": 3, "slots_per_eni": 9},
                "targets": {"warm_eni": 1, "warm_ip": 0, "minimum_ip": 10},
            }
        ],
    }
    made = read(of_bundle(status, [{"subnet": "subnet-a", "cidr": "10.0.0.0/24", "available": 100}]))
    assert (made.nodes[0].type, made.nodes[0].count) == ("m5.large", 1)
    assert made.subnets[0].used == 251 - 100 - 20
    assert made.policies[0].env["MINIMUM_IP_TARGET"] == "10"
