"""The agent's looks at EC2, over the fake one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.agent.test_cloud import HOME, PRIMARY, cloud
from tests.agent.test_cloud import ec2 as ec2  # noqa: PLC0414 -- a fixture
from tests.agent.test_loop import Disk, Host, story
from tests.ipam.builders import key, pod
from vpccni.agent.loop import Agent
from vpccni.agent.reconciler import Reconciler
from vpccni.agent.threads import Threads
from vpccni.aws.errors import Ec2Error
from vpccni.aws.fake_ec2 import FakeEc2
from vpccni.aws.imds import ImdsError
from vpccni.aws.tags import INSTANCE
from vpccni.aws.values import DescribedEni, EniAttachment
from vpccni.ipam.actions import AssignAddresses, Assigned, AttachEni, DetachEni, Outcome
from vpccni.ipam.checkpoint import TakenBack
from vpccni.ipam.decide import Ipam
from vpccni.ipam.managed import NO_MANAGE
from vpccni.ipam.sightings import SETTLED
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import Assignment, AttachedEni, Block, BlockKind, Eni, EniId

SIP = BlockKind.SECONDARY_IP
LOOK, MODIFY = "DescribeNetworkInterfaces", "ModifyNetworkInterfaceAttribute"


class Wiring:
    def __init__(self) -> None:
        self.up: list[EniId] = []
        self.down: list[EniId] = []
        self.fails = False

    def set_up(self, eni: Eni) -> None:
        if self.fails:
            raise OSError("no device")
        self.up.append(eni.id)

    def tear_down(self, eni: Eni) -> None:
        self.down.append(eni.id)


class World:
    """Two ENIs that the pool knows; metadata says what the test lets it say."""

    def __init__(self, ec2: FakeEc2, *, imds_only: bool = False) -> None:
        self.ec2, self.now, self.wiring, self.disk = ec2, 1000.0, Wiring(), Disk()
        self.cloud = cloud(ec2)
        ipam = Ipam(NodeLimits(3, 5, 100), WarmTargets(warm_ip=1), cooldown=30.0)
        ipam.state.provisioning = False  # this is about looking: nothing else is to be asked of EC2
        ipam.add_attached(AttachedEni(PRIMARY, self.cloud.assign(PRIMARY.id, 2, SIP)), self.now)
        second = self.cloud.attach(AttachEni(1, 2, SIP))
        ipam.add_attached(second, self.now)
        self.second = second.eni
        enis = {PRIMARY.id: PRIMARY, second.eni.id: second.eni}

        async def perform(_: object) -> Outcome:
            raise AssertionError("nothing is to be done")

        self.agent = Agent(ipam, enis, Host(), self.disk, perform, lambda: self.now)
        self.metadata: tuple[AttachedEni, ...] | ImdsError = ()
        self.metadata_follows()
        self.reconciler = Reconciler(
            self.agent.owner, self.read, None if imds_only else self.cloud, self.wiring, Threads(1, "test"),
            lambda: self.now, self.cloud.whose, may_tag=not imds_only,
        )  # fmt: skip
        self.now += SETTLED + 1
        ec2.actions.clear()

    def alone(self, ipam: Ipam) -> Reconciler:
        """Of an agent with this pool, and just the primary ENI."""

        async def perform(_: object) -> Outcome:
            raise AssertionError("nothing is to be done")

        agent = Agent(ipam, {PRIMARY.id: PRIMARY}, Host(), self.disk, perform, lambda: self.now)
        self.metadata = (AttachedEni(PRIMARY),)
        return Reconciler(
            agent.owner, self.read, self.cloud, self.wiring, Threads(1, "test"),
            lambda: self.now, self.cloud.whose, may_tag=True,
        )  # fmt: skip

    @property
    def ipam(self) -> Ipam:
        return self.agent.ipam

    def metadata_follows(self) -> None:
        self.metadata = self.cloud.enis([AttachedEni(PRIMARY)]).sighting.attached

    def read(self) -> tuple[AttachedEni, ...]:
        if isinstance(self.metadata, ImdsError):
            raise self.metadata
        return self.metadata

    async def look(self, *, asked: bool = False) -> None:
        await self.reconciler.look(asked=asked)

    def pod_on(self, eni: EniId) -> Assignment:
        for number in range(4):
            got = self.ipam.assign(key(str(number)), pod(str(number)), self.now)
            assert isinstance(got, Assignment)
            if got.eni == eni:
                return got
        return pytest.fail("no address on it")


def tell(ec2: FakeEc2, what: Callable[[World], Awaitable[None]], *, imds_only: bool = False) -> None:
    async def told() -> None:
        await what(World(ec2, imds_only=imds_only))

    story(told)


def test_a_look_costs_nothing_while_metadata_agrees(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        await world.look()
        ec2.actions.clear()
        for _ in range(5):
            await world.look()
        assert ec2.actions == []

    tell(ec2, what)


def test_what_ec2_has_not_confirmed_at_the_start_is_asked_about_until_it_does(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        ec2.fail(LOOK, "UnauthorizedOperation", times=2)
        for _ in range(2):
            with pytest.raises(Ec2Error):
                await world.look()
        assert ec2.actions == [LOOK] * 2
        await world.look()
        assert ec2.actions.count(LOOK) == 3
        await world.look()
        assert ec2.actions.count(LOOK) == 3, "it is known now"

    tell(ec2, what)


def test_a_node_with_its_own_eni_alone_need_not_be_confirmed(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        ipam = Ipam(NodeLimits(3, 5, 100), WarmTargets(warm_ip=1))
        ipam.add_attached(AttachedEni(PRIMARY), world.now)
        await world.alone(ipam).look(asked=False)
        assert ec2.actions == []

    tell(ec2, what)


def test_what_was_changed_behind_our_back_is_taken_in_with_one_call(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        extra = Block.of_address(IPv4Address("10.0.1.200"))
        there = ec2.enis[world.second.id]
        ec2.enis[world.second.id] = replace(
            there, blocks=(*there.blocks[1:], extra), tags=dict(world.cloud.wanted_tags)
        )
        ec2.enis[PRIMARY.id] = replace(ec2.enis[PRIMARY.id], tags=dict(world.cloud.wanted_tags))
        world.metadata_follows()
        ec2.actions.clear()
        await world.look()
        assert ec2.actions == [LOOK]
        assert set(world.ipam.blocks(world.second.id)) == {*there.blocks[1:], extra}

    tell(ec2, what)


def test_metadata_that_lags_takes_nothing_from_a_pod(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        had = world.pod_on(world.second.id)
        world.metadata = (AttachedEni(PRIMARY),)
        for _ in range(3):
            await world.look()
            world.now += 60
        assert world.ipam.find(had.key) == had
        assert world.ipam.pool.eni(world.second.id).usable

    tell(ec2, what)


def test_an_eni_that_is_gone_is_given_up_at_the_second_look(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        had = world.pod_on(world.second.id)
        del ec2.enis[world.second.id]
        world.metadata = (AttachedEni(PRIMARY, ec2.enis[PRIMARY.id].blocks),)
        await world.look()
        assert world.ipam.find(had.key) == had
        assert not world.ipam.pool.eni(world.second.id).usable
        world.now += 10
        await world.look()
        assert world.ipam.find(had.key) is None
        assert world.wiring.down == [world.second.id]
        assert [e.key for e in world.disk.entries if isinstance(e, TakenBack)] == [had.key]
        assert world.second.id not in world.agent.enis

    tell(ec2, what)


def test_an_eni_that_somebody_attached_is_set_up_and_used(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        at = EniAttachment("eni-attach-7", "i-1", 2, 0, "attached")
        block = Block.of_address(IPv4Address("10.0.1.77"))
        new = DescribedEni(
            EniId("eni-7"), "02:00:00:00:00:07", "in-use", HOME, IPv4Address("10.0.1.70"), (block,), at
        )
        ec2.add(new)
        world.metadata_follows()
        world.wiring.fails = True
        await world.look()
        assert not world.ipam.pool.has_eni(new.id), "its device is not there yet"
        world.wiring.fails = False
        await world.look()
        assert world.wiring.up == [new.id]
        assert world.ipam.blocks(new.id) == (block,)
        assert ec2.enis[new.id].tags[INSTANCE] == "i-1", "it is tagged as ours"

    tell(ec2, what)


def test_an_eni_that_is_not_ours_takes_a_place_and_is_asked_about_once(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        at = EniAttachment("eni-attach-8", "i-1", 2, 0, "attached")
        theirs = DescribedEni(EniId("eni-8"), "02:00:00:00:00:08", "in-use", HOME, IPv4Address("10.0.1.80"),
                              attachment=at, tags={NO_MANAGE: "true"})  # fmt: skip
        ec2.add(theirs)
        world.metadata = (*world.cloud.enis([AttachedEni(PRIMARY)]).sighting.attached, AttachedEni(
            replace(PRIMARY, id=theirs.id, mac=theirs.mac, device_index=2, is_primary=False)))  # fmt: skip
        await world.look()
        limits = world.ipam.state.limits
        assert (limits.unmanaged_enis, limits.unmanaged_device_indexes) == (1, frozenset({2}))
        ec2.actions.clear()
        await world.look()
        assert ec2.actions == []
        assert world.wiring.up == []

    tell(ec2, what)


def test_tagging_that_is_denied_is_tried_once_and_harms_nothing(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        ec2.fail("CreateTags", "UnauthorizedOperation", times=9)
        await world.look(asked=True)
        await world.look(asked=True)
        assert ec2.actions.count("CreateTags") == 1

    tell(ec2, what)


def test_tagging_that_is_throttled_is_tried_again(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        ec2.fail("CreateTags", "RequestLimitExceeded")
        await world.look(asked=True)
        await world.look(asked=True)
        assert ec2.enis[PRIMARY.id].tags == world.cloud.wanted_tags

    tell(ec2, what)


def test_an_eni_that_becomes_somebody_elses_keeps_its_pods_and_is_let_go_after_them(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        had = world.pod_on(world.second.id)
        elsewhere = [a for a in world.ipam.pool.assignments() if a.eni != world.second.id]
        ec2.enis[world.second.id] = replace(ec2.enis[world.second.id], tags={NO_MANAGE: "true"})
        for _ in range(3):
            await world.look(asked=True)
            world.now += 60
        assert world.ipam.find(had.key) == had
        assert world.wiring.down == []
        assert not world.ipam.pool.eni(world.second.id).usable
        assert world.ipam.state.limits.unmanaged_enis == 0, "it is counted once"
        world.ipam.state.provisioning = True
        world.ipam.state.targets = WarmTargets(warm_ip=1)
        for assignment in (had, *elsewhere):
            world.ipam.release(assignment.key, world.now)
        world.now += 3600
        assert all(
            getattr(action, "eni", None) != world.second.id for action in world.ipam.plan(world.now)
        ), "it is not ours to give back"
        await world.look()
        assert not world.ipam.pool.has_eni(world.second.id)
        assert world.second.id not in world.agent.enis
        assert world.wiring.down == [world.second.id]
        limits = world.ipam.state.limits
        assert (limits.unmanaged_enis, limits.unmanaged_device_indexes) == (1, frozenset({1}))
        assert world.second.id in ec2.enis

    tell(ec2, what)


def test_an_eni_that_becomes_ours_again_serves_pods_again(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        world.pod_on(world.second.id)
        ours = ec2.enis[world.second.id]
        ec2.enis[world.second.id] = replace(ours, tags={NO_MANAGE: "true"})
        await world.look(asked=True)
        assert not world.ipam.pool.eni(world.second.id).usable
        ec2.enis[world.second.id] = ours
        await world.look(asked=True)
        assert world.ipam.pool.eni(world.second.id).usable

    tell(ec2, what)


@pytest.mark.parametrize("made_here", [True, False])
def test_an_eni_that_was_left_half_made_is_tied_to_the_instance(ec2: FakeEc2, *, made_here: bool) -> None:
    async def what(world: World) -> None:
        there = ec2.enis[world.second.id]
        assert there.attachment is not None
        ec2.enis[there.id] = replace(
            there,
            attachment=replace(there.attachment, tied=False),
            description=there.description if made_here else "a person's",
        )
        ec2.fail(MODIFY, "RequestLimitExceeded")
        for _ in range(2):
            await world.look(asked=True)
        assert (there.attachment.id in ec2.tied) is made_here
        assert ec2.actions.count(MODIFY) == (2 if made_here else 0)

    tell(ec2, what)


def test_ec2_that_does_not_answer_changes_nothing(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        had = world.pod_on(world.second.id)
        ec2.fail(LOOK, "Unreachable")
        with pytest.raises(Ec2Error):
            await world.look(asked=True)
        assert world.ipam.find(had.key) == had

    tell(ec2, what)


def test_metadata_that_is_away_does_not_keep_us_from_asking_ec2(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        world.metadata = ImdsError("/", None, "does not answer", "")
        await world.look(asked=True)
        assert LOOK in ec2.actions
        with pytest.raises(ImdsError):
            await world.look()

    tell(ec2, what)


def test_where_only_metadata_may_be_asked_ec2_is_not(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        block = Block.of_address(IPv4Address("10.0.1.222"))
        assert not isinstance(world.metadata, ImdsError)
        first, second = world.metadata
        world.metadata = (first, replace(second, blocks=(*second.blocks, block)))
        await world.look(asked=True)
        assert block in world.ipam.blocks(world.second.id), "others give this node its addresses"
        assert ec2.actions == []

    tell(ec2, what, imds_only=True)


def test_metadata_alone_takes_no_eni_from_its_pods_before_the_kernel_has_lost_it_too(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        had = world.pod_on(world.second.id)
        assert not isinstance(world.metadata, ImdsError)
        both, world.metadata = world.metadata, world.metadata[:1]
        for _ in range(5):
            await world.look()
            world.now += 60
        assert world.ipam.find(had.key) == had
        assert not world.ipam.pool.eni(world.second.id).usable
        world.metadata = both
        await world.look()
        assert world.ipam.pool.eni(world.second.id).usable
        world.metadata = both[:1]
        world.reconciler.device_gone(world.second.id)
        await world.look()
        assert world.ipam.find(had.key) is None
        assert ec2.actions == []

    tell(ec2, what, imds_only=True)


def test_a_device_that_goes_because_we_detach_its_eni_is_no_news(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        await world.look()
        ec2.actions.clear()
        detach = DetachEni(world.second.id)
        world.ipam.state.under_way.begin(detach)
        assert not isinstance(world.metadata, ImdsError)
        world.metadata = world.metadata[:1]
        world.reconciler.device_gone(world.second.id)
        await world.look()
        assert ec2.actions == []
        assert not world.ipam.state.placement.missing
        world.ipam.state.under_way.end(detach)
        world.reconciler.device_gone(world.second.id)
        await world.look()
        assert LOOK in ec2.actions

    tell(ec2, what)


def test_an_answer_that_was_overtaken_by_our_own_change_is_not_believed(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        seen = world.cloud.enis([AttachedEni(PRIMARY)])
        asked_at = world.now
        world.now += 1
        world.ipam.state.provisioning = True
        for action in world.ipam.plan(world.now, waiting=5):
            if isinstance(action, AssignAddresses):
                blocks = world.cloud.assign(action.eni, action.count, SIP)
                world.ipam.apply(Assigned(action, blocks), world.now)
        world.ipam.state.provisioning = False
        held = {eni: set(world.ipam.blocks(eni)) for eni in (PRIMARY.id, world.second.id)}
        await world.reconciler.take_in(seen, asked_at)
        assert {eni: set(world.ipam.blocks(eni)) for eni in held} == held

    tell(ec2, what)


def test_looking_goes_on_by_itself_and_at_once_when_asked(ec2: FakeEc2) -> None:
    async def told() -> None:
        world = World(ec2)
        task = asyncio.create_task(world.reconciler.run())
        world.reconciler.ask()
        async with asyncio.timeout(10):
            await world.reconciler.seen.wait()
        assert LOOK in ec2.actions
        task.cancel()

    story(told)


def test_a_glance_takes_what_metadata_shows_and_asks_ec2_only_then(
    ec2: FakeEc2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpccni.agent.reconciler.SOONEST", 0.01)

    async def told() -> None:
        world = World(ec2)
        looks = 0

        def read() -> tuple[AttachedEni, ...]:
            nonlocal looks
            looks += 1
            return world.read()

        reconciler = Reconciler(
            world.agent.owner, read, world.cloud, world.wiring, Threads(1, "test"),
            lambda: world.now, world.cloud.whose, may_tag=False,
        )  # fmt: skip
        await reconciler.look(asked=True)  # EC2 has said once what there is
        ec2.actions.clear()
        task = asyncio.create_task(reconciler.run())

        async def glanced() -> None:
            before = looks
            world.now += 1
            world.agent.owner.unprovided()
            async with asyncio.timeout(10):
                while looks == before:
                    await asyncio.sleep(0.01)

        world.agent.owner.unprovided = reconciler.glance
        await glanced()
        assert ec2.actions == [], "metadata shows nothing new"
        world.cloud.assign(world.second.id, 1, SIP)
        world.metadata_follows()
        ec2.actions.clear()
        reconciler.seen.clear()
        await glanced()
        async with asyncio.timeout(10):
            await reconciler.seen.wait()
        assert ec2.actions == [LOOK]
        task.cancel()

    story(told)


def test_nothing_that_goes_wrong_ends_the_looking(ec2: FakeEc2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpccni.agent.reconciler.SOONEST", 0.01)

    async def told() -> None:
        world = World(ec2)
        failed = asyncio.Event()

        def learn(*_: object) -> None:
            if not failed.is_set():
                failed.set()
                raise ZeroDivisionError

        reconciler = Reconciler(
            world.agent.owner, world.read, world.cloud, world.wiring, Threads(1, "test"),
            asyncio.get_running_loop().time, world.cloud.whose, may_tag=False, learn=learn,
        )  # fmt: skip
        task = asyncio.create_task(reconciler.run())
        reconciler.ask()
        async with asyncio.timeout(20):
            await failed.wait()
            while not reconciler.seen.is_set():
                reconciler.ask()
                await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()

    story(told)
