from __future__ import annotations

import pytest
from tests.region.conftest import refused

from vpclab.region import ApiError, Latency, Rate, Region


def admitted(region: Region, action: str, calls: int, now: float, *, whole: bool = False) -> int:
    passed, refusals = 0, set()
    for _ in range(calls):
        try:
            region.gate.admit(action, now, whole=whole)
            passed += 1
        except ApiError as error:
            refusals.add((error.code, error.status, f"ec2:{action}" in error.message))
    assert refusals <= {("RequestLimitExceeded", 503, True)}
    return passed


@pytest.mark.parametrize(
    ("action", "size", "refill"),
    [
        ("CreateNetworkInterface", 100, 5),
        ("AssignPrivateIpAddresses", 100, 5),
        ("AttachNetworkInterface", 50, 5),
        ("CreateTags", 100, 10),
        ("RunInstances", 5, 2),
        ("DescribeSubnets", 100, 20),
    ],
)
def test_buckets_have_awss_sizes(action: str, size: int, refill: int) -> None:
    region = Region()
    assert admitted(region, action, 300, 0.0) == size
    assert admitted(region, action, 300, 2.0) == min(size, 2 * refill)
    assert admitted(region, action, 300, 10_000.0) == size


def test_each_action_has_its_own_bucket_and_describing_everything_a_smaller_one() -> None:
    region = Region()
    assert admitted(region, "DescribeNetworkInterfaces", 300, 0.0, whole=True) == 50
    assert admitted(region, "DescribeNetworkInterfaces", 300, 0.0) == 100
    assert admitted(region, "DescribeInstances", 300, 0.0) == 100


def test_throttling_can_be_off_or_other() -> None:
    region = Region(throttle=False)
    assert admitted(region, "RunInstances", 500, 0.0) == 500
    region.gate.throttle = True
    region.gate.rates["RunInstances"] = Rate(1, 1)
    assert admitted(region, "RunInstances", 500, 0.0) == 1


def test_a_fault_hits_the_next_calls_of_its_action() -> None:
    region = Region()
    region.fault("AttachNetworkInterface", "UnauthorizedOperation", "no", status=403, count=2)
    region.gate.admit("DetachNetworkInterface", 0.0)
    for _ in range(2):
        with refused("UnauthorizedOperation", "no"):
            region.gate.admit("AttachNetworkInterface", 0.0)
    region.gate.admit("AttachNetworkInterface", 0.0)


def test_a_fault_with_a_rate_hits_about_that_share_until_cleared() -> None:
    region = Region(throttle=False)
    region.fault("*", "InternalError", status=500, rate=0.3)
    failed = 0
    for _ in range(1000):
        try:
            region.gate.admit("CreateTags", 0.0)
        except ApiError:
            failed += 1
    assert 200 < failed < 400
    region.clear_faults()
    region.gate.admit("CreateTags", 0.0)


def test_latency_is_per_action_or_for_all() -> None:
    gate = Region().gate
    assert gate.call_seconds("CreateTags") == 0
    gate.latency = Latency(every=(0.1, 0.2), by_action={"CreateTags": (1, 1)})
    assert gate.call_seconds("CreateTags") == 1
    assert 0.1 <= gate.call_seconds("DeleteTags") <= 0.2
