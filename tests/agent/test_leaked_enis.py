from __future__ import annotations

from dataclasses import replace

from tests.agent.test_cloud import CIDRS, HOME, cloud
from vpccni.agent.leaked_enis import clean_up
from vpccni.aws.fake_ec2 import FakeEc2
from vpccni.aws.tags import CREATED_AT, eni_tags
from vpccni.aws.values import AVAILABLE, DescribedEni
from vpccni.ipam.leaks import Maker
from vpccni.ipam.values import EniId

NOW = 1_800_000_000.0


def stray(name: str, made: float, *, cluster: str = "study") -> DescribedEni:
    tags = dict(eni_tags("i-9", cluster, made))
    return DescribedEni(EniId(name), "02::", AVAILABLE, HOME, None, description="aws-K8S-i-9", tags=tags)


def test_what_a_node_left_behind_goes_and_nothing_else() -> None:
    ec2 = FakeEc2(CIDRS)
    for eni in (
        stray("old", NOW - 900),
        stray("young", NOW - 60),
        stray("theirs", NOW - 900, cluster="other"),
    ):
        ec2.add(eni)
    undated = stray("undated", NOW)
    ec2.add(replace(undated, tags={k: v for k, v in undated.tags.items() if k != CREATED_AT}))
    ec2.add(replace(stray("handmade", NOW - 900), description="a person's"))
    assert clean_up(cloud(ec2), "study", lambda: NOW) == ("old",)
    assert set(ec2.enis) == {"young", "theirs", "undated", "handmade"}
    assert clean_up(cloud(ec2), "study", lambda: NOW + 300.0) == ("young", "undated"), (
        "it was dated, and has aged"
    )


def test_after_a_restart_what_the_agent_before_was_making_goes_at_the_first_look() -> None:
    ec2 = FakeEc2(CIDRS)
    ec2.add(stray("half", NOW - 60))
    ec2.add(stray("on-its-way", NOW - 5))
    assert clean_up(cloud(ec2), "study", lambda: NOW, Maker("i-9", NOW - 30)) == ("half",)
    assert set(ec2.enis) == {"on-its-way"}


def test_one_that_cannot_be_deleted_does_not_keep_the_others() -> None:
    ec2 = FakeEc2(CIDRS)
    for name in ("a", "b"):
        ec2.add(stray(name, NOW - 900))
    ec2.fail("DeleteNetworkInterface", "InvalidParameterValue", "Interface a is currently in use.")
    assert clean_up(cloud(ec2), "study", lambda: NOW) == ("b",)
