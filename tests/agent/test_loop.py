"""The agent's loop with a host, a store and an EC2 of the test's."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address

import pytest

from tests.ipam.builders import eni, ip
from vpccni.agent.cni_call import CniCall, CniError, PreviousResult
from vpccni.agent.loop import Agent
from vpccni.agent.ports import HostError
from vpccni.agent.wire import PluginRequest
from vpccni.ipam.actions import Action, AssignAddresses, Assigned, Attached, AttachEni, Failed, Outcome
from vpccni.ipam.checkpoint import Given, JournalEntry, TakenBack
from vpccni.ipam.decide import Ipam
from vpccni.ipam.reasons import Refusal
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import Assignment, AttachedEni, BlockKind, Eni, Pod

REQUEST = PluginRequest({}, b"")
NETWORK = "aws-cni"


class Host:
    def __init__(self) -> None:
        self.wired: dict[str, str] = {}
        self.kept_links: list[bool] = []
        self.fails = False

    async def wire(self, request: PluginRequest, call: CniCall, assignment: Assignment, eni: Eni) -> str:
        await asyncio.sleep(0)
        if self.fails:
            raise HostError("add veth: No buffer space available")
        self.wired[str(assignment.address)] = call.container_id
        return "eni0123456789a"

    async def unwire(self, pod: Pod, assignment: Assignment, eni: Eni | None, *, keep_link: bool) -> None:
        await asyncio.sleep(0)
        if self.fails:
            raise HostError("delete rule: Operation not permitted")
        self.wired.pop(str(assignment.address), None)
        self.kept_links.append(keep_link)

    async def mend(self, assignment: Assignment, eni: Eni) -> None:
        await asyncio.sleep(0)
        self.wired[str(assignment.address)] = eni.id

    async def check(
        self, request: PluginRequest, call: CniCall, assignment: Assignment, eni: Eni
    ) -> list[str]:
        return ["the default route is missing"] if self.fails else []


class Disk:
    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []
        self.full = False

    async def append(self, entry: JournalEntry) -> None:
        await asyncio.sleep(0)
        if self.full:
            raise OSError(28, "No space left on device")
        self.entries.append(entry)


class Ec2:
    """Gives what is asked, after `hold` is set."""

    def __init__(self) -> None:
        self.asked: list[Action] = []
        self.refusal: Refusal | None = None
        self.hold: asyncio.Event | None = None

    async def __call__(self, action: Action) -> Outcome:
        self.asked.append(action)
        taken = len(self.asked)
        await (self.hold.wait() if self.hold else asyncio.sleep(0))
        if self.refusal is not None:
            return Failed(action, self.refusal)
        if isinstance(action, AssignAddresses):
            return Assigned(action, tuple(ip(f"10.0.{taken}.{n}") for n in range(action.count)))
        assert isinstance(action, AttachEni)
        blocks = tuple(ip(f"10.0.{taken}.{n}") for n in range(action.count))
        return Attached(action, AttachedEni(eni(action.device_index), blocks))


class World:
    def __init__(
        self, targets: WarmTargets | None = None, *, max_enis: int = 3, patience: float = 5.0
    ) -> None:
        self.host, self.disk, self.ec2 = Host(), Disk(), Ec2()
        limits = NodeLimits(max_enis=max_enis, slots_per_eni=2, max_pods=100)
        ipam = Ipam(limits, targets or WarmTargets(), cooldown=30.0)
        ipam.add_attached(AttachedEni(eni(0)), 0.0)
        loop = asyncio.get_running_loop()
        self.agent = Agent(
            ipam, {eni(0).id: eni(0)}, self.host, self.disk, self.ec2, loop.time, patience=patience
        )

    async def add(self, name: str, pod: str = "") -> str:
        call = CniCall("ADD", "0.4.0", NETWORK, name, "eth0", "/n", Pod("default", pod or name))
        result = json.loads(await self.agent.add(REQUEST, call))
        return str(result["ips"][0]["address"])

    async def delete(self, name: str, pod: str = "", previous: PreviousResult | None = None) -> None:
        call = CniCall(
            "DEL",
            "0.4.0",
            NETWORK,
            name,
            "eth0",
            pod=Pod("default", pod or name),
            previous=(previous,) if previous else (),
        )
        await self.agent.delete(call)


def story(tell: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(20):
            await tell()

    asyncio.run(within())


def test_a_wiring_that_fails_gives_the_address_back_to_cool() -> None:
    async def tell() -> None:
        world = World()
        world.host.fails = True
        with pytest.raises(CniError, match="HostSetupFailed: add veth"):
            await world.add("a")
        assert world.agent.ipam.pool.cooling_count == 1
        assert [type(e) for e in world.disk.entries] == [Given, TakenBack]
        assert world.agent.counters.deletions["SetupNSFailed"] == 1

    story(tell)


def test_a_del_is_done_once_and_repeated_without_harm() -> None:
    async def tell() -> None:
        world = World()
        await world.add("a")
        await world.delete("a")
        await world.delete("a")
        await world.delete("never heard of")
        assert world.host.wired == {}
        assert world.agent.counters.deletions == {"PodDeleted": 1}
        assert world.agent.ipam.pool.cooling_count == 1

    story(tell)


def test_the_late_del_of_an_old_sandbox_does_not_touch_the_pods_new_one() -> None:
    async def tell() -> None:
        world = World()
        await world.add("old", pod="web")
        await world.add("new", pod="web")
        await world.delete("old", pod="web")
        assert world.host.kept_links == [True]
        assert world.host.wired == {"10.0.1.1": "new"}
        # and of one that the pool has forgotten, whose address is somebody else's by now
        await world.delete("older", pod="web", previous=PreviousResult("eni0", IPv4Address("10.0.1.1"), 254))
        assert world.host.wired == {"10.0.1.1": "new"}

    story(tell)


def test_a_failed_del_keeps_the_assignment_for_the_next_try() -> None:
    async def tell() -> None:
        world = World()
        await world.add("a")
        world.host.fails = True
        with pytest.raises(CniError, match="failed on tear down"):
            await world.delete("a")
        world.host.fails = False
        await world.delete("a")
        assert world.agent.ipam.pool.assigned[BlockKind.SECONDARY_IP] == 0

    story(tell)


def test_check_and_gc() -> None:
    async def tell() -> None:
        world = World()
        await world.add("a")
        await world.add("b")
        check = CniCall("CHECK", "1.0.0", NETWORK, "a", "eth0", pod=Pod("default", "a"))
        assert await world.agent.check(REQUEST, check) == b""
        world.host.fails = True
        with pytest.raises(CniError, match="the default route is missing"):
            await world.agent.check(REQUEST, check)
        world.host.fails = False
        unknown = CniCall("CHECK", "1.0.0", NETWORK, "x", "eth0")
        with pytest.raises(CniError) as caught:
            await world.agent.check(REQUEST, unknown)
        assert caught.value.code == 3
        gc = CniCall("GC", "1.1.0", NETWORK, valid=frozenset({("b", "eth0")}))
        await world.agent.collect_garbage(gc)
        assert list(world.host.wired.values()) == ["b"]

    story(tell)
