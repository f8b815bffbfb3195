"""Security groups open and close live, are stateful, and know each other's members."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Network

from tests.fabric.scenarios.world import World, group, play

from vpclab.fabric.security_groups import Way
from vpclab.region.values import SecurityGroupRule

PING = SecurityGroupRule("icmp", -1, -1, IPv4Network("10.0.1.0/24"))
TARGET = "10.0.2.10"


async def told(world: World) -> None:
    plan = world.plan
    await world.serve("i-2", TARGET, 80)
    await world.serve("i-2", TARGET, 81)
    await world.serve("i-1", "10.0.1.10", 80)
    assert await world.ask("i-1", TARGET, 80) == "10.0.1.10", "without groups nothing is filtered"

    plan.groups["sg-closed"] = group("sg-closed")
    plan.change("eni-2", groups=("sg-closed",))
    await world.sync()
    assert await world.silent("i-1", TARGET)
    assert await world.refused("i-1", TARGET, 80)
    # The closed one may begin, and its answers come in: stateful. The router is always there.
    assert await world.ask("i-2", "10.0.1.10", 80) == TARGET
    assert await world.ping("i-2", "10.0.1.10")
    assert await world.ping("i-2", "10.0.2.1")
    assert await world.ping("i-2", "169.254.169.254")
    refused = (await world.fabric.counters()).groups
    assert refused[Way.IN, "eni-2"] > 0
    assert refused[Way.OUT, "eni-2"] == 0

    # Rules: a protocol from a network, a port from a network.
    plan.groups["sg-closed"] = group("sg-closed", PING)
    await world.sync()
    assert await world.ping("i-1", TARGET)
    assert await world.silent("i-3", TARGET), "outside of the rule's network"
    assert await world.refused("i-1", TARGET, 80)
    plan.groups["sg-closed"] = group(
        "sg-closed", SecurityGroupRule("tcp", 80, 80, IPv4Network("10.0.1.10/32"))
    )
    await world.sync()
    assert await world.ask("i-1", TARGET, 80) == "10.0.1.10"
    assert await world.refused("i-1", TARGET, 81)
    assert await world.silent("i-1", TARGET), "the rule is gone"

    # A group as the source: its members' addresses, secondary ones and prefixes too, as they come and go.
    plan.groups["sg-peers"] = group("sg-peers")
    plan.groups["sg-closed"] = group("sg-closed", SecurityGroupRule(group_id="sg-peers"))
    plan.change("eni-1", groups=("sg-peers",))
    await world.sync()
    assert await world.ping("i-1", TARGET)
    assert await world.silent("i-3", TARGET)
    await world.nodes["i-1"].ip(("addr add 10.0.1.20/32 dev lo", "addr add 10.0.1.97/32 dev lo"))
    plan.change("eni-1", secondary=world.addresses("10.0.1.20"), prefixes=world.networks("10.0.1.96/28"))
    await world.sync()
    assert await world.ping("i-1", TARGET, "-I", "10.0.1.20")
    assert await world.ping("i-1", TARGET, "-I", "10.0.1.97")
    plan.change("eni-1", groups=("sg-closed",))
    await world.sync()
    assert await world.silent("i-1", TARGET)
    plan.change("eni-1", groups=("sg-closed", "sg-peers"))
    await world.sync()
    assert await world.ping("i-1", TARGET), "any of an ENI's groups may allow"

    # Egress has its own say, on the way out of the ENI that begins.
    everything = SecurityGroupRule(cidr=IPv4Network("0.0.0.0/0"))
    only_81 = (SecurityGroupRule("tcp", 81, 81, IPv4Network("10.0.2.0/24")),)
    plan.groups["sg-closed"] = group("sg-closed", everything)
    plan.groups["sg-tight"] = group("sg-tight", egress=only_81)
    plan.change("eni-1", groups=("sg-tight",))
    await world.sync()
    assert await world.ask("i-1", TARGET, 81) == "10.0.1.10"
    assert await world.refused("i-1", TARGET, 80)
    assert (await world.fabric.counters()).groups[Way.OUT, "eni-1"] > 0
    assert await world.refused("i-2", "10.0.1.10", 80), "no ingress"

    # An open connection outlives the rule that let it in; a new one does not begin.
    plan.change("eni-1", groups=())
    await world.sync()
    ping = world.nodes["i-1"].spawn(("ping", "-q", "-i", "0.05", "-c", "20", TARGET), stdout=-1)
    reader = asyncio.get_running_loop().run_in_executor(None, ping.communicate)
    await world.until_tracked("10.0.1.10", TARGET)
    plan.groups["sg-closed"] = group("sg-closed")
    await world.sync()
    assert " 0% packet loss" in (await reader)[0].decode()
    assert await world.silent("i-1", TARGET)

    # No groups any more: all chains go.
    plan.enis.update({id_: replace(eni, groups=()) for id_, eni in plan.enis.items()})
    await world.sync()
    assert await world.ping("i-1", TARGET)
    left = (await world.fabric.router.place.run(("nft", "list", "table", "ip", "groups"))).stdout
    assert "chain" not in left


play(told)
