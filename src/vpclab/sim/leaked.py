"""The hourly look for ENIs that nodes left behind, as vpccni.agent.leaked_enis has it; vpccni.ipam.leaks judges them."""

from __future__ import annotations

import random

from vpccni.ipam.leaks import Maker, Stray, Verdict, dated, judge
from vpccni.ipam.managed import INSTANCE
from vpccni.ipam.values import EniId
from vpclab.region import Query
from vpclab.region.values import NetworkInterface
from vpclab.sim.client import CallError, NodeEc2
from vpclab.sim.events import Work

EVERY, FIRST_WITHIN = 3600.0, 300.0
"""Seconds between looks, and within which the first is, at each node's own moment."""


def look_for_leaked(ec2: NodeEc2, vpc: str, seed: int, maker: Maker) -> Work[None]:
    """For ever."""
    yield random.Random(f"leaked {seed}").uniform(0, FIRST_WITHIN)  # noqa: S311 -- each node's own moment
    while True:
        yield from _look(ec2, vpc, maker)
        yield EVERY


def _look(ec2: NodeEc2, vpc: str, maker: Maker) -> Work[None]:
    query = Query(
        filters={"status": ("available",), "vpc-id": (vpc,), "tag-key": (INSTANCE,)}, max_results=1000
    )
    try:
        found = yield from ec2.describe_enis_by(query)
        for seen in found:
            yield from _deal_with(ec2, seen, maker)
    except CallError:
        return  # another node may have been faster; the next look is in an hour


def _deal_with(ec2: NodeEc2, seen: NetworkInterface, maker: Maker) -> Work[None]:
    stray = Stray(EniId(seen.id), seen.status.value, seen.description, seen.tags)
    verdict = judge(stray, cluster="", now=ec2.now, maker=maker)
    if verdict is Verdict.DELETE:
        yield from ec2.delete_eni(stray.id)
    elif verdict is Verdict.DATE:
        yield from ec2.tag(stray.id, dict(dated(ec2.now)))
