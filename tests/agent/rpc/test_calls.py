"""AddNetwork and DelNetwork by a client that is not ours, over the socket."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import grpc
import pytest

from tests.agent.rpc.callers import served, story, until
from vpccni.agent.cni_call import CniCall
from vpccni.agent.rpc.backend import AnnotationError
from vpccni.agent.rpc.rpc_pb2 import AddNetworkReply, IPAllocationMetadata
from vpccni.ipam.checkpoint import Given, JournalEntry, TakenBack
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import Address, Assignment, EniId, Pod, SandboxKey


def test_an_add_assigns_and_writes_down_and_wires_nothing(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path, external_snat=True) as (world, caller):
            reply = await caller.add("a")
            assert reply == AddNetworkReply(
                Success=True,
                IPAllocationMetadata=[
                    IPAllocationMetadata(IPv4Addr="10.0.1.0", DeviceNumber=0, RouteTableId=254)
                ],
                UseExternalSNAT=True,
                VPCv4CIDRs=["10.10.0.0/16"],
            )
            assert world.host.wired == {}
            [entry] = world.disk.entries
            assert isinstance(entry, Given)
            assert entry.assignment.pod == Pod("default", "a")
            assert world.agent.counters.adds == 1

    story(tell)


def test_exclusions_follow_the_vpcs_blocks_only_while_the_node_does_snat(tmp_path: Path) -> None:
    async def tell() -> None:
        exclusions = (IPv4Network("10.12.0.0/16"), IPv4Network("10.13.0.0/16"))
        for number, (external, expected) in enumerate(
            [(False, ["10.10.0.0/16", "10.12.0.0/16", "10.13.0.0/16"]), (True, ["10.10.0.0/16"])]
        ):
            run_dir = tmp_path / str(number)
            async with served(run_dir, external_snat=external, exclude_snat_cidrs=exclusions) as (_, caller):
                reply = await caller.add("a")
                assert (reply.UseExternalSNAT, list(reply.VPCv4CIDRs)) == (external, expected)

    story(tell)


def test_a_pod_on_another_eni_is_told_its_device_and_table(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path, network_policy_mode="strict") as (_, caller):
            replies = [await caller.add(str(n)) for n in range(3)]
            [last] = replies[-1].IPAllocationMetadata
            assert (last.DeviceNumber, last.RouteTableId) == (1, 2)
            assert {reply.NetworkPolicyMode for reply in replies} == {"strict"}
            gone = await caller.delete("2")
            assert gone.Success
            assert list(gone.IPAllocationMetadata) == [last]
            assert gone.NetworkPolicyMode == "strict"

    story(tell)


def test_a_repeated_add_gets_the_same_address_and_no_second_line_on_disk(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path) as (world, caller):
            replies = await asyncio.gather(*(caller.add("a") for _ in range(5)))
            assert all(reply == replies[0] for reply in replies)
            assert len(world.disk.entries) == 1

    story(tell)


@pytest.mark.parametrize("empty", ["ContainerID", "IfName", "NetworkName"])
def test_a_key_with_a_hole_is_no_success(tmp_path: Path, empty: str) -> None:
    async def tell() -> None:
        async with served(tmp_path) as (world, caller):
            assert await caller.add("a", **{empty: ""}) == AddNetworkReply()
            assert world.disk.entries == []

    story(tell)


def test_a_container_id_that_would_leave_its_directory_and_more_nics_than_one_are_no_success(
    tmp_path: Path,
) -> None:
    async def tell() -> None:
        async with served(tmp_path) as (world, caller):
            assert await caller.add("a", ContainerID="../../etc/x") == AddNetworkReply()
            assert await caller.add("a", IfName="a/b") == AddNetworkReply()
            assert await caller.add("a", RequiresMultiNICAttachment=True) == AddNetworkReply()
            assert world.disk.entries == []

    story(tell)


def test_no_address_is_an_empty_reply_without_a_grpc_error(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path, max_enis=1) as (world, caller):
            world.ec2.refusal = Refusal(Reason.SUBNET_FULL, "subnet-1")
            assert await caller.add("a") == AddNetworkReply()
            assert world.agent.counters.refused[Reason.SUBNET_FULL] == 1
            assert world.agent.counters.adds == 1

    story(tell)


def test_a_disk_that_is_full_is_no_success_and_nothing_is_assigned(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path) as (world, caller):
            world.disk.full = True
            assert await caller.add("a") == AddNetworkReply()
            assert world.agent.ipam.numbers.assigned == 0

    story(tell)


def test_the_version_must_be_the_very_one_if_there_is_one(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path, client_version="1.2.3") as (world, caller):
            for call in (caller.add, caller.delete):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call("a", ClientVersion="1.2.4")
                assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
                assert caught.value.details() == 'wrong client version "1.2.4" (!= "1.2.3")'
            assert world.disk.entries == []
            assert (await caller.add("a", ClientVersion="1.2.3")).Success
            assert (await caller.delete("a", ClientVersion="1.2.3")).Success

    story(tell)


def test_a_del_releases_once_and_then_does_not_know_the_pod(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path) as (world, caller):
            address = (await caller.add("a")).IPAllocationMetadata[0].IPv4Addr
            reply = await caller.delete("a", Reason="SetupNSFailed")
            assert reply.Success
            assert reply.IPAllocationMetadata[0].IPv4Addr == address
            assert [type(entry) for entry in world.disk.entries] == [Given, TakenBack]
            assert world.agent.counters.deletions == {"SetupNSFailed": 1}
            assert world.agent.ipam.numbers.cooling == 1
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await caller.delete("a")
            assert caught.value.code() is grpc.StatusCode.UNKNOWN
            assert caught.value.details() == "datastore: unknown pod"

    story(tell)


def test_a_reason_of_the_callers_own_makes_no_new_label(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path) as (world, caller):
            await caller.add("a")
            await caller.delete("a", Reason="because")
            assert world.agent.counters.deletions == {"PodDeleted": 1}

    story(tell)


def test_a_sandbox_from_before_keys_had_names_is_found(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path) as (world, caller):
            await caller.add("first")
            key = SandboxKey("_migrated-from-cri", "old", "unknown")
            world.agent.ipam.pool.restore(
                Assignment(key, Pod("default", "old"), IPv4Address("10.0.1.1"), EniId(""), 0.0)
            )
            assert (await caller.delete("old")).IPAllocationMetadata[0].IPv4Addr == "10.0.1.1"

    story(tell)


def test_an_add_by_one_way_and_a_del_by_the_other(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path) as (world, caller):
            theirs = (await caller.add("a")).IPAllocationMetadata[0].IPv4Addr
            assert await world.add("a") == f"{theirs}/32"  # the same sandbox asked for by our own plugin
            await world.delete("a")
            with pytest.raises(grpc.aio.AioRpcError, match="unknown pod"):
                await caller.delete("a")
            ours = await world.add("b")
            assert ours == f"{(await caller.delete('b')).IPAllocationMetadata[0].IPv4Addr}/32"
            assert world.agent.ipam.numbers.assigned == 0

    story(tell)


def test_many_at_once_by_both_ways_never_share_an_address(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path, max_enis=40) as (world, caller):

            async def life(number: int) -> str:
                name = f"pod{number}"
                if number % 2:
                    address = (await world.add(name)).removesuffix("/32")
                else:
                    address = (await caller.add(name)).IPAllocationMetadata[0].IPv4Addr
                assert address not in held
                held.add(address)
                await asyncio.sleep(0)
                held.remove(address)
                if number % 3:
                    assert (await caller.delete(name)).IPAllocationMetadata[0].IPv4Addr == address
                else:
                    await world.delete(name)
                return address

            held: set[str] = set()
            addresses = await asyncio.gather(*(life(number) for number in range(60)))
            assert len(set(addresses)) == 60  # what was given back cools
            assert world.agent.ipam.numbers.assigned == 0

    story(tell)


def test_calls_of_both_ways_about_one_pod_take_turns(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path, targets=WarmTargets(warm_eni=0)) as (world, caller):
            world.ec2.hold = asyncio.Event()
            add = asyncio.create_task(caller.add("a"))
            await until(lambda: world.ec2.asked != [])
            delete = asyncio.create_task(caller.delete("a"))
            ours = asyncio.create_task(
                world.agent.delete(CniCall("DEL", "1.0.0", "aws-cni", "a", "eth0", pod=Pod("default", "a")))
            )
            await asyncio.sleep(0)
            world.ec2.hold.set()
            address = (await add).IPAllocationMetadata[0].IPv4Addr
            assert address
            await ours
            done, _ = await asyncio.wait({delete})
            # one of the two released it, whichever came first; nothing is left
            assert (
                done.pop().exception() is not None
                or (await delete).IPAllocationMetadata[0].IPv4Addr == address
            )
            assert world.agent.ipam.numbers.assigned == 0
            assert sum(world.agent.counters.deletions.values()) == 1

    story(tell)


def test_a_caller_that_goes_away_leaves_no_address_assigned(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path) as (world, caller):
            await caller.add("first")
            on_disk = asyncio.Event()
            append = world.disk.append

            async def slow(entry: JournalEntry) -> None:
                if isinstance(entry, Given):
                    on_disk.set()
                    await asyncio.Event().wait()
                await append(entry)

            world.disk.append = slow  # type: ignore[method-assign] # a disk that takes its time
            add = asyncio.create_task(caller.add("a"))
            await on_disk.wait()
            add.cancel()
            await until(lambda: world.agent.ipam.numbers.cooling == 1)
            assert world.agent.ipam.find(SandboxKey("aws-cni", "a", "eth0")) is None

    story(tell)


class Pods:
    """An annotator whose API server may refuse."""

    def __init__(self) -> None:
        self.annotations: dict[str, str] = {}
        self.refuses = False

    async def given(self, pod: Pod, address: Address) -> None:
        if self.refuses:
            raise AnnotationError("pods is forbidden")
        self.annotations[pod.name] = str(address)

    async def taken_back(self, pod: Pod, address: Address) -> None:
        if self.annotations.get(pod.name) != str(address):
            raise AnnotationError(f"released IP {address} does not match existing annotation")
        self.annotations[pod.name] = ""


def test_an_annotation_that_fails_is_no_success_with_the_address_in_the_reply(tmp_path: Path) -> None:
    async def tell() -> None:
        pods = Pods()
        async with served(tmp_path, annotator=pods) as (_, caller):
            reply = await caller.add("a")
            assert pods.annotations == {"a": reply.IPAllocationMetadata[0].IPv4Addr}
            assert (await caller.delete("a")).Success
            assert pods.annotations == {"a": ""}
            pods.refuses = True
            refused = await caller.add("b")
            assert not refused.Success
            assert refused.IPAllocationMetadata[0].IPv4Addr
            with pytest.raises(grpc.aio.AioRpcError, match="does not match existing annotation"):
                await caller.delete("b")

    story(tell)
