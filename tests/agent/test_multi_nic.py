"""Pods with an interface on each network card, through the agent's loop."""

import asyncio
import json
from dataclasses import replace

import pytest

from tests.agent.test_loop import NETWORK, REQUEST, Disk, Ec2, Host, story
from tests.ipam.builders import eni, ip
from vpccni.agent.cni_call import CniCall, CniError
from vpccni.agent.loop import Agent
from vpccni.ipam.cards import OTHER_CARDS
from vpccni.ipam.decide import Ipam
from vpccni.ipam.reasons import Reason
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import AttachedEni, Eni, Interface, Pod

LIMITS = NodeLimits(max_enis=2, slots_per_eni=2, max_pods=100)
SECOND = replace(eni(1), network_card=1, device_index=1)


class World:
    def __init__(self, *, multi_nic: bool = True, second: tuple[str, ...] = ("10.0.2.1", "10.0.2.2")) -> None:
        self.host, self.disk, self.other_disk, self.ec2 = Host(), Disk(), Disk(), Ec2()
        self.ec2.hold = asyncio.Event()  # what is there is all there is
        first = Ipam(LIMITS, WarmTargets(), cooldown=30.0)
        first.add_attached(AttachedEni(eni(0), (ip("10.0.1.1"), ip("10.0.1.2"))), 0.0)
        other = Ipam(LIMITS, OTHER_CARDS, cooldown=30.0, card=1)
        other.add_attached(AttachedEni(SECOND, tuple(map(ip, second))), 0.0)
        enis: dict[str, Eni] = {eni(0).id: eni(0), SECOND.id: SECOND}
        self.agent = Agent(
            first, enis, self.host, self.disk, self.ec2, asyncio.get_running_loop().time,  # type: ignore[arg-type]
            patience=0.2, more_cards={1: (other, self.other_disk)}, multi_nic=multi_nic,
        )  # fmt: skip

    def call(self, command: str, name: str, *, every_card: bool = True) -> CniCall:
        return CniCall(
            command, "1.0.0", NETWORK, name, "eth0", "/n", Pod("default", name), every_card=every_card
        )

    async def add(self, name: str, *, every_card: bool = True) -> list[str]:
        answer = await self.agent.add(REQUEST, self.call("ADD", name, every_card=every_card))
        return [entry["address"] for entry in json.loads(answer)["ips"]]


def test_a_pod_gets_an_address_of_each_card_and_keeps_them() -> None:
    async def tell() -> None:
        world = World()
        got = await world.add("a")
        assert got == ["10.0.1.1/32", "10.0.2.1/32"]
        assert await world.add("a") == got
        held = world.agent.cards.find(world.call("ADD", "a").key)
        assert [a.interface for a in held] == [Interface(0, 2), Interface(1, 2)]
        assert (len(world.disk.entries), len(world.other_disk.entries)) == (1, 1), "a file for each card"
        await world.agent.delete(world.call("DEL", "a"))
        assert world.host.wired == {}
        assert not world.agent.cards.find(world.call("ADD", "a").key)

    story(tell)


def test_an_ordinary_pod_takes_what_the_first_card_has_and_then_the_next_cards() -> None:
    async def tell() -> None:
        world = World()
        got = [(await world.add(str(n), every_card=False))[0] for n in range(4)]
        assert got == ["10.0.1.1/32", "10.0.1.2/32", "10.0.2.1/32", "10.0.2.2/32"]
        held = world.agent.cards.find(world.call("ADD", "3").key)
        assert [a.interface for a in held] == [Interface()], (
            "its only interface is eth0, whichever card it is on"
        )
        with pytest.raises(CniError):
            await world.add("5", every_card=False)

    story(tell)


def test_a_pod_that_cannot_have_all_its_interfaces_has_none() -> None:
    async def tell() -> None:
        world = World(second=())
        with pytest.raises(CniError, match=Reason.POOL_REFILLING.value):
            await world.add("a")
        assert not world.agent.cards.find(world.call("ADD", "a").key)
        assert world.agent.ipam.numbers.cooling == 1

    story(tell)


def test_a_pod_that_asks_for_every_card_is_refused_where_that_is_off() -> None:
    async def tell() -> None:
        with pytest.raises(CniError, match="ENABLE_MULTI_NIC is off"):
            await World(multi_nic=False).add("a")

    story(tell)


def test_a_failure_on_the_second_interface_takes_the_first_down_again() -> None:
    async def tell() -> None:
        world = World()
        wire, calls = world.host.wire, list[str]()

        async def second_fails(*args: object) -> str:
            calls.append("wire")
            world.host.fails = len(calls) == 2
            try:
                return await wire(*args)  # type: ignore[arg-type]
            finally:
                world.host.fails = False

        world.host.wire = second_fails  # type: ignore[method-assign, assignment]
        with pytest.raises(CniError, match="HostSetupFailed"):
            await world.add("a")
        assert world.host.wired == {}
        assert not world.agent.cards.find(world.call("ADD", "a").key)

    story(tell)
