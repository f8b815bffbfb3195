from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network

import pytest

from vpclab.region import ApiError, Delays, Region

AT_ONCE = Delays(attach=(0, 0), detach=(0, 0))


@dataclass(frozen=True)
class World:
    """One VPC with a roomy subnet in zone a, another in b, and the smallest possible one in a."""

    region: Region
    vpc: str
    subnet: str
    elsewhere: str
    tiny: str


def make_world(delays: Delays = AT_ONCE) -> World:
    region = Region(delays=delays)
    vpc = region.create_vpc(IPv4Network("10.0.0.0/16")).id
    cidrs = (("a", "10.0.1.0/24"), ("b", "10.0.2.0/24"), ("a", "10.0.3.0/28"))
    subnets = [region.create_subnet(vpc, region.name + zone, IPv4Network(cidr)).id for zone, cidr in cidrs]
    return World(region, vpc, *subnets)


@pytest.fixture
def world() -> World:
    return make_world()


@contextmanager
def refused(code: str, message: str = "") -> Iterator[None]:
    with pytest.raises(ApiError) as caught:
        yield
    assert (caught.value.code, message in caught.value.message) == (code, True), caught.value
