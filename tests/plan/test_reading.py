"""A scenario is read strictly: what is wrong with it is said with its line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpclab.plan.reading import read_scenario, scenario_of
from vpclab.plan.scenario import CountChange, Manager, ScenarioError, Shape
from vpclab.plan.yaml_fields import seconds

WHOLE = """\
name: whole
seed: 7
duration: 1h30m
warm_up: 2m
ec2: {delays: none, throttle: false, rates: {CreateNetworkInterface: {size: 10, refill: 1}}}
subnets:
  - {name: a, zone: x, cidr: 10.0.0.0/24, used: 20, tags: {kubernetes.io/role/cni: 1}, for_prefixes: [10.0.0.64/26]}
  - {name: b, zone: y, cidr: 10.0.1.0/24, left: 40}
nodes:
  - {name: web, type: m5.large, count: 3, subnets: [a], changes: [{at: 30m, count: 5}], max_pods: 20}
pods:
  - {name: p, shape: poisson, per_hour: 60, life: 5m}
  - {name: q, shape: bursts, count: 5, every: 10m, life: always 60}
policies:
  - {name: one}
  - {name: two, env: {WARM_IP_TARGET: 2, ENABLE_PREFIX_DELEGATION: true}}
  - {name: three, agent: original}
"""


def test_everything_is_read() -> None:
    read = scenario_of(WHOLE)
    assert (read.name, read.seed, read.seconds, read.warm_up) == ("whole", 7, 5400.0, 120.0)
    assert not read.real_delays
    assert not read.throttle
    assert read.rates["CreateNetworkInterface"].size == 10
    assert read.subnets[0].tags == {"kubernetes.io/role/cni": "1"}
    assert read.subnets[1].left == 40
    assert read.nodes[0].changes == (CountChange(1800.0, 5),)
    assert [p.shape for p in read.pods] == [Shape.POISSON, Shape.BURSTS]
    assert (read.pods[1].life, read.pods[1].same_life) == (60.0, True)
    assert read.pods[0].nodes == ("web",)
    assert read.policies[1].env == {"WARM_IP_TARGET": "2", "ENABLE_PREFIX_DELEGATION": "true"}
    assert read.policies[2].manager is Manager.ORIGINAL


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed: 7", "sead: 7", "s:2: sead: there is no such field; did you mean seed?"),
        ("seed: 7", "seed: -1", "s:2: seed: -1 is below 0"),
        ("seed: 7", "seed: [", "s:"),
        ("duration: 1h30m", "duration: long", "s:3: duration: 'long' is not a duration"),
        ("duration: 1h30m", "duration: 0", "s:3: duration: 0 is not above 0"),
        ("type: m5.large", "type: m5.huge", "s:10: nodes[0].type: 'm5.huge' is not in the list"),
        ("subnets: [a]", "subnets: [z]", "s:10: nodes[0].subnets: there is no subnet 'z'; there are a, b"),
        ("cidr: 10.0.1.0/24", "cidr: 10.0.0.128/25", "s:8: subnets[1]: 10.0.0.128/25 overlaps a"),
        ("cidr: 10.0.1.0/24", "cidr: 10.0.1.1/24", "s:8: subnets[1].cidr: '10.0.1.1/24' is not an IPv4 CIDR"),
        ("used: 20", "used: 20, left: 3", "s:7: subnets[0].left: is given beside `used`"),
        ("used: 20", "used: 249", "s:7: subnets[0]: has 251 addresses: not enough for 249 and the 3 nodes"),
        ("shape: poisson", "shape: bursts", "s:12: pods[0].per_hour: there is no such field"),
        ("per_hour: 60, ", "", "s:12: pods[0]: per_hour is missing"),
        ("name: two", "name: one", "s:16: policies[1]: another one has the name 'one'"),
        ("WARM_IP_TARGET: 2", "WARM_IP_TARGET: many", "s:16: policies[1].env.WARM_IP_TARGET: WARM_IP_TARGET='many'"),
        ("WARM_IP_TARGET: 2", "AWS_VPC_ENI_MTU: 1500", "s:16: policies[1].env.AWS_VPC_ENI_MTU: AWS_VPC_ENI_MTU does not change"),
        ("agent: original", "agent: azur", "s:17: policies[2].agent: 'azur' is none of vpc-cni, original, azure, cilium"),
        ("refill: 1", "refill: 0", "s:5: ec2.rates.CreateNetworkInterface.refill: 0 is not above 0"),
        ("seed: 7", "name: again", "s:2: name: is there twice"),
        ("at: 30m", "at: soon", "s:10: nodes[0].changes[0].at: 'soon' is not a duration"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(old: str, new: str, said: str) -> None:
    assert old in WHOLE
    with pytest.raises(ScenarioError) as error:
        scenario_of(WHOLE.replace(old, new, 1), "s")
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("text", ["", "[]", "just words", "name: x\n\tseed: 1"])
def test_what_is_no_scenario_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError):
        scenario_of(text)


@pytest.mark.parametrize(
    ("said", "found"), [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172800), (7, 7)]
)
def test_durations(said: object, found: float) -> None:
    assert seconds(said) == found


def test_a_trace_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("arrive,leave\n0,10\n5,9 # short\n")
    there = tmp_path / "s.yaml"
    there.write_text(WHOLE.replace("shape: poisson, per_hour: 60, life: 5m", "shape: file, file: t.csv"))
    assert len(read_scenario(there).pods[0].spans) == 2
    (tmp_path / "t.csv").write_text("3,1\n")
    with pytest.raises(ScenarioError, match=r"pods\[0\].file: .*t.csv:1: a pod cannot come at 3.0"):
        read_scenario(there)


def test_a_large_cluster_starts_as_slowly_as_ec2_lets_it() -> None:
    said, unsaid = scenario_of(WHOLE), scenario_of(WHOLE.replace("warm_up: 2m\n", ""))
    assert said.scaled(2000).warm_up_seconds == 120
    assert unsaid.warm_up_seconds == unsaid.scaled(300).warm_up_seconds == 600
    assert unsaid.scaled(2000).warm_up_seconds == 4000  # 6,000 nodes, three a second, in the first half of it
