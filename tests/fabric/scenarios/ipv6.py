"""IPv6 goes as AWS lets it: by address and by prefix, checked, grouped, to the internet and back, or only out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network

from tests.fabric.scenarios.world import Plan, World, group, plan, play

from vpclab.fabric import CHECKIP6
from vpclab.fabric.ipv6 import SPOOFED
from vpclab.fabric.security_groups import Way
from vpclab.fabric.witness import ask, capture
from vpclab.region.routing import EgressOnlyGateway, Route, RouteTable
from vpclab.region.values import SecurityGroupRule

ANYWHERE = IPv6Network("::/0")
ONE, TWO, THREE = (f"2001:db8:0:10{n}::10" for n in (1, 2, 3))
PREFIX, POD = IPv6Network("2001:db8:0:102:1::/80"), "2001:db8:0:102:1::7"


@dataclass
class DualStack(Plan):
    """Public subnets by the internet gateway, the private one by an egress-only one."""

    @property
    def route_tables(self) -> dict[str, RouteTable]:
        given = super().route_tables
        out = {"rtb-1": Route(ANYWHERE, "eigw-1"), "rtb-2": Route(ANYWHERE, "igw-1")}
        return {id_: replace(table, routes=(*table.routes, out[id_])) for id_, table in given.items()}


def dual_stack() -> DualStack:
    v4 = plan()
    made = DualStack(
        {"vpc-1": replace(v4.vpcs["vpc-1"], ipv6_cidrs=(IPv6Network("2001:db8:0:100::/56"),))},
        {
            id_: replace(one, ipv6_cidr=IPv6Network(f"2001:db8:0:10{id_[-1]}::/64"))
            for id_, one in v4.subnets.items()
        },
        enis=v4.enis,
        egress_only_gateways={"eigw-1": EgressOnlyGateway("eigw-1", "vpc-1")},
    )
    for number, address in enumerate((ONE, TWO, THREE), start=1):
        made.change(f"eni-{number}", ipv6=(IPv6Address(address),))
    return made


async def told(world: World) -> None:
    plan, nodes = world.plan, world.nodes
    assert await world.ping("i-1", TWO)
    assert await world.ping("i-1", TWO, "-t", "1"), "the router is no hop"
    assert await world.ping("i-1", "fd00:ec2::254")

    # A prefix is delivered as a whole, and only while it is on the ENI.
    await nodes["i-2"].ip((f"addr add {POD}/128 dev lo nodad",))
    assert await world.silent("i-1", POD), "no ENI holds it"
    plan.change("eni-2", ipv6_prefixes=(PREFIX,))
    await world.sync()
    async with capture(nodes["i-2"], "eth0") as seen:
        assert await world.ping("i-1", POD)
    assert seen.sources("icmp", IPv6Address(POD)) == {IPv6Address(ONE)}, "nothing is translated"

    # The internet knows the addresses as they are.
    assert await ask(nodes["i-2"], "tcp", CHECKIP6, source=IPv6Address(POD)) == POD
    await world.serve("i-2", POD, 80)
    assert await _asked(world, "internet", POD) == "2001:db8:ffff::1"
    # By an egress-only gateway: out, and nothing in.
    assert await ask(nodes["i-3"], "tcp", CHECKIP6) == THREE
    await world.serve("i-3", THREE, 80)
    assert await _asked(world, "internet", THREE) == ""
    assert await _asked(world, "i-1", THREE) == ONE, "within the VPC it is reached"

    # A wrong source is dropped and counted; connection tracking (the groups below) changes nothing.
    for _ in range(2):
        before = (await world.fabric.counters()).spoofed
        await nodes["i-1"].ip(("addr replace 2001:db8:0:102:1::99/128 dev lo nodad",))
        assert await world.silent("i-1", TWO, "-I", "2001:db8:0:102:1::99")
        assert (await world.fabric.counters()).spoofed == before + 1, SPOOFED
        plan.groups["sg-all"] = group(
            "sg-all",
            SecurityGroupRule(cidr=ANYWHERE),
            egress=(SecurityGroupRule(cidr=ANYWHERE),),
        )
        plan.change("eni-1", groups=("sg-all",))
        await world.sync()

    # Groups: rules of the family, icmpv6, members by address and by prefix.
    plan.groups["sg-some"] = group(
        "sg-some",
        SecurityGroupRule("icmpv6", -1, -1, ANYWHERE),
        SecurityGroupRule("tcp", 80, 80, group_id="sg-all"),
    )
    plan.change("eni-2", groups=("sg-some",))
    await world.sync()
    assert await world.ping("i-3", POD)
    assert await _asked(world, "i-1", POD) == ONE
    assert await _asked(world, "i-3", POD) == ""
    assert (await world.fabric.counters()).groups[Way.IN, "eni-2"] > 0
    plan.change("eni-3", groups=("sg-all",), ipv6_prefixes=(IPv6Network("2001:db8:0:103:5::/80"),))
    await nodes["i-3"].ip(("addr add 2001:db8:0:103:5::5/128 dev lo nodad",))
    await world.sync()
    assert (
        await ask(nodes["i-3"], "tcp", IPv6Address(POD), port=80, source=IPv6Address("2001:db8:0:103:5::5"))
        != ""
    )

    # What goes leaves nothing; what is unplugged and plugged in again works as before.
    plan.change("eni-2", ipv6_prefixes=(), groups=())
    await world.sync()
    assert await world.silent("i-1", POD)
    eni = plan.enis.pop("eni-3")
    await world.sync()
    assert "e3" not in (await world.fabric.router.place.run(("ip", "-6", "rule"))).stdout
    plan.change("eni-1", ipv6=())
    await world.sync()
    routes = (await world.fabric.router.place.run(("ip", "-6", "route", "show", "dev", "e1"))).stdout
    assert ONE not in routes
    plan.enis["eni-3"] = eni
    plan.change("eni-1", ipv6=(IPv6Address(ONE),))
    await world.sync()
    assert await world.ping("i-1", TWO)


async def _asked(world: World, who: str, address: str) -> str:
    place = world.fabric.internet.place if who == "internet" else world.nodes[who]
    return (await ask(place, "tcp", IPv6Address(address), port=80, wait=1.0)).strip()


play(told, dual_stack())
