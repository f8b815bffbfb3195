"""What the map shows agrees with the region, address by address."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vpclab.page.picture import AWS, COOLING, FREE, HELD, LEAVING, POD, PREFIX, PRIMARY, WARM, picture
from vpclab.region import ApiError, Region, Wanted

NODE = "node1"


class World:
    """A VPC with one subnet and an ENI that is said to be a node's."""

    def __init__(self, cidr: str = "10.0.1.0/24", wanted: Wanted | None = None) -> None:
        self.region = Region(now=0.0, throttle=False)
        vpc = self.region.create_vpc(IPv4Network("10.0.0.0/16"))
        self.subnet = self.region.create_subnet(vpc.id, "ap-northeast-2a", IPv4Network(cidr))
        self.eni = self.region.create_network_interface(self.subnet.id, wanted=wanted or Wanted(count=3))

    def machine(self) -> dict[str, Any]:
        eni = self.region.eni(self.eni.id)
        return {
            "name": NODE, "instanceId": "i-1", "type": "t3.medium", "zone": "ap-northeast-2a", "privateIp": str(eni.primary),
            "publicIp": None, "agent": {"starts": 1}, "pods": 0,
            "enis": [{"id": eni.id, "device": "eth0", "status": "in-use", "primary": str(eni.primary),
                      "secondary": [str(a) for a in eni.secondary], "prefixes": [str(p) for p in eni.prefixes]}],
        }  # fmt: skip

    def told(self, *slots: dict[str, Any], room: int = 5) -> dict[str, Any]:
        eni = {"id": self.eni.id, "content": list(slots), "slots": room, "slots_used": len(slots), "under_way": None,
               "route_table": 254}  # fmt: skip
        pool = {
            "numbers": {}, "targets": {"in_force": "WARM_ENI_TARGET=1", "short": 0, "surplus": 0}, "under_way": [],
            "blocker": None, "enis": [eni],
        }  # fmt: skip
        return {
            "version": "v1",
            "readiness": {"ready": True, "condition": "serving", "because": []},
            "pools": [pool],
        }

    def drawn(self, *pods: str, status: dict[str, Any] | None = None) -> dict[str, Any]:
        listed = [
            {"namespace": "default", "name": f"p{n}", "node": NODE, "ip": ip} for n, ip in enumerate(pods)
        ]
        return picture(self.region, [self.machine()], listed, {NODE: status})


def slot(block: str, kind: str = "secondary-ip", **changes: Any) -> dict[str, Any]:
    return {"block": block, "kind": kind, "assigned": 0, "cooling": 0, "leaving": False, **changes}


def test_each_address_is_what_it_is() -> None:
    world = World(wanted=Wanted(count=4))
    one, two, three, four = world.region.eni(world.eni.id).secondary
    status = world.told(
        slot(f"{one}/32", assigned=1), slot(f"{two}/32"), slot(f"{three}/32", cooling=1), slot(f"{four}/32", leaving=True)
    )  # fmt: skip
    [subnet] = world.drawn(str(one), status=status)["subnets"]
    cells = {str(IPv4Address("10.0.1.0") + offset): kind for offset, kind in enumerate(subnet["cells"])}
    primary = str(world.region.eni(world.eni.id).primary)
    assert [cells[str(a)] for a in (primary, one, two, three, four)] == [PRIMARY, POD, WARM, COOLING, LEAVING]
    assert [cells[f"10.0.1.{n}"] for n in (0, 1, 2, 3, 255)] == [AWS] * 5
    assert subnet["cells"].count(FREE) == subnet["free"] == world.region.free_addresses(world.subnet.id)
    assert subnet["freeBlocks"] == 14


def test_what_no_agent_tells_of_is_somebodys() -> None:
    [subnet] = World().drawn()["subnets"]
    assert subnet["counts"][HELD] == 3


def test_a_prefix_is_sixteen_cells_and_one_place() -> None:
    world = World(wanted=Wanted(prefix_count=1))
    [prefix] = world.region.eni(world.eni.id).prefixes
    pod = str(prefix[3])
    drawn = world.drawn(pod, status=world.told(slot(str(prefix), "prefix", assigned=1, cooling=2)))
    [subnet], [machine] = drawn["subnets"], drawn["machines"]
    assert (subnet["counts"][PREFIX], subnet["counts"][POD]) == (15, 1)
    [eni] = machine["enis"]
    assert eni["places"] == [
        {"kind": PREFIX, "block": str(prefix), "assigned": 1, "cooling": 2, "leaving": False}
    ]
    assert eni["empty"] == 4


def test_a_large_subnet_is_drawn_by_the_block() -> None:
    world = World("10.0.16.0/20", Wanted(prefix_count=1))
    [subnet] = world.drawn()["subnets"]
    assert subnet["cells"] is None
    assert len(subnet["blocks"]) == 256
    assert subnet["blocks"].count("x") == 1
    assert subnet["blocks"][0] == "5", "AWS's four and the ENI's own"


def test_an_agent_that_is_silent_is_shown_as_one() -> None:
    [machine] = World().drawn()["machines"]
    assert machine["agent"] == {"answers": False, "ready": False, "condition": "silent", "starts": 1}
    assert machine["pool"] == []


@given(st.integers(0, 40), st.integers(0, 8), st.integers(22, 26))
def test_the_cells_count_what_ec2_counts(addresses: int, prefixes: int, length: int) -> None:
    world = World(f"10.0.8.0/{length}", Wanted())
    room = world.region.free_addresses(world.subnet.id)
    if addresses and addresses + 1 <= room:
        world.region.create_network_interface(world.subnet.id, wanted=Wanted(count=addresses))
    for _ in range(prefixes):
        with suppress(ApiError):  # a small subnet has no room for all of them
            world.region.create_network_interface(world.subnet.id, wanted=Wanted(prefix_count=1))
    [subnet] = world.drawn()["subnets"]
    assert sum(subnet["counts"].values()) == world.subnet.cidr.num_addresses
    assert subnet["counts"].get(FREE, 0) == subnet["free"]
