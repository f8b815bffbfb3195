"""Ten thousand ENIs: a call that names one looks at few. (bench/ec2_scale.py has the figures.)"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest

from vpclab.region import Query, Region
from vpclab.region.tables import Tables
from vpclab.region.values import NetworkInterface


class Counted(dict[str, NetworkInterface]):
    """A table that counts what is walked over and what is looked up."""

    walked = 0
    looked_up = 0

    def __iter__(self) -> Iterator[str]:
        for key in super().__iter__():
            self.walked += 1
            yield key

    def values(self) -> Any:
        for value in super().values():
            self.walked += 1
            yield value

    def __getitem__(self, key: str) -> NetworkInterface:
        self.looked_up += 1
        return super().__getitem__(key)


@pytest.mark.parametrize("many", [10, 3000])
def test_naming_one_walks_over_none(many: int) -> None:
    region = Region()
    vpc = region.create_vpc(IPv4Network("10.0.0.0/16")).id
    subnet = region.create_subnet(vpc, region.zones[0], IPv4Network("10.0.0.0/17")).id
    empty = region.create_subnet(vpc, region.zones[0], IPv4Network("10.0.128.0/24")).id
    instance = region.run_instance("t3.medium", subnet).id
    ids = [region.create_network_interface(subnet).id for _ in range(many)]
    tables: Tables = region._tables
    counted = Counted(tables.enis)
    tables.enis = counted
    shown = [
        Query(ids=(ids[many // 2],)),
        Query(filters={"network-interface-id": (ids[3],)}),
        Query(filters={"attachment.instance-id": (instance,)}),
        Query(filters={"subnet-id": (empty,)}),
    ]
    assert [len(region.describe.network_interfaces(query).items) for query in shown] == [1, 1, 1, 0]
    assert counted.walked == 0
    assert counted.looked_up < 20
