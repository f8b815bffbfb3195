"""What the simulation repeats of the agent, since it may not import it, is what the agent has: call by call, number by number."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network
from typing import TypeVar, cast

import pytest

from vpccni.agent import carry_out, leaked_enis, loop, pool_owner, reconciler, startup
from vpccni.aws import client as aws_client
from vpccni.aws import eni_lifecycle
from vpccni.aws.errors import NO_SUCH_ENI, Ec2Error, failure
from vpccni.aws.port import Ec2Port
from vpccni.aws.values import CreatedEni, DescribedEni, EniAttachment, NewEni
from vpccni.ipam.actions import AttachEni
from vpccni.ipam.values import BlockKind, EniId, SubnetId
from vpclab.plan.manners import OURS
from vpclab.region import Query, Wanted
from vpclab.region.values import ApiError
from vpclab.sim import client, eni_steps, leaked, looking, node, performing
from vpclab.sim.client import CallError, blocks_of
from vpclab.sim.events import Work
from vpclab.sim.world import World

T = TypeVar("T")


def test_the_numbers_are_the_agents() -> None:
    assert node.PATIENCE == loop.PATIENCE
    assert node.THREADS == carry_out.THREADS
    assert node.START_DEVICE_WAIT == startup.START_DEVICE_WAIT
    assert (client.ATTEMPTS, client.JITTER) == (aws_client.ATTEMPTS, aws_client.JITTER)
    assert client.REPEATABLE == aws_client.REPEATABLE
    assert client.NO_SUCH_ENI == NO_SUCH_ENI
    assert looking.LOOK_EVERY == reconciler.LOOK_EVERY
    assert looking.AGAIN_AFTER == reconciler.AGAIN_AFTER
    assert looking.SOONEST == reconciler.SOONEST
    assert looking.UNDERSTOOD == pool_owner.UNDERSTOOD
    assert (leaked.EVERY, leaked.FIRST_WITHIN) == (leaked_enis.EVERY, leaked_enis.FIRST_WITHIN)
    for name in ("LETS_GO", "FIRST_WAIT", "LONGEST_WAIT", "JITTER", "SHORT", "LONG", "GONE", "PASSING"):
        assert getattr(eni_steps, name) == getattr(eni_lifecycle, name), name
    assert performing.DEVICE_WAIT == 60.0


class Blocking:
    """Of an Ec2Port what making and removing an ENI needs, over a region, whose time goes on only while the agent's own code sleeps."""

    def __init__(self, world: World, instance: str) -> None:
        self.world, self.instance = world, instance
        self.called: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.world.run_until(self.world.events.now + seconds)

    def _call(self, action: str, effect: Callable[[], T]) -> T:
        self.called.append(action)
        try:
            self.world.region.gate.admit(action, self.world.events.now)
            return effect()
        except ApiError as error:
            raise failure(action, error.code, error.message, status=error.status) from error

    def create_eni(self, new: NewEni) -> CreatedEni:
        made = self._call(
            "CreateNetworkInterface",
            lambda: self.world.region.create_network_interface(new.subnet, wanted=Wanted(count=new.count)),
        )
        return CreatedEni(EniId(made.id), made.mac, made.primary, blocks_of(made.secondary, made.prefixes))

    def attach(self, eni: EniId, instance: str, device_index: int, network_card: int) -> str:
        region = self.world.region
        return self._call(
            "AttachNetworkInterface", lambda: region.attach_network_interface(eni, instance, device_index).id
        )

    def delete_on_termination(self, eni: EniId, attachment: str) -> None:
        region = self.world.region
        self._call(
            "ModifyNetworkInterfaceAttribute",
            lambda: region.modify_network_interface(eni, delete_on_termination=(attachment, True)),
        )

    def detach(self, attachment: str) -> None:
        region = self.world.region
        self._call("DetachNetworkInterface", lambda: region.detach_network_interface(attachment))

    def delete_eni(self, eni: EniId) -> None:
        try:
            self._call("DeleteNetworkInterface", lambda: self.world.region.delete_network_interface(eni))
        except Ec2Error as error:
            if error.code != NO_SUCH_ENI:
                raise

    def describe_enis(
        self, ids: Sequence[EniId] | None = None, *, instance: str | None = None
    ) -> tuple[DescribedEni, ...]:
        query = Query(filters={"network-interface-id": tuple(ids or ())})
        found = self._call(
            "DescribeNetworkInterfaces", lambda: self.world.region.describe.network_interfaces(query).items
        )
        return tuple(
            DescribedEni(
                EniId(eni.id),
                eni.mac,
                eni.status.value,
                SubnetId(eni.subnet_id),
                eni.primary,
                attachment=None
                if eni.attachment is None
                else EniAttachment(
                    eni.attachment.id,
                    eni.attachment.instance_id,
                    eni.attachment.device_index,
                    0,
                    eni.attachment.status.value,
                ),
            )
            for eni in found
        )


SCRIPTS: list[list[tuple[str, str, int]]] = [
    [],
    [("CreateNetworkInterface", "InsufficientFreeAddressesInSubnet", 1)],
    [("AttachNetworkInterface", "RequestLimitExceeded", 2)],
    [("AttachNetworkInterface", "InvalidNetworkInterfaceID.NotFound", 1)],
    [("AttachNetworkInterface", "AttachmentLimitExceeded", 1)],
    [("AttachNetworkInterface", "RequestLimitExceeded", 9)],
    [("ModifyNetworkInterfaceAttribute", "UnauthorizedOperation", 1)],
    [("ModifyNetworkInterfaceAttribute", "RequestLimitExceeded", 1)],
    [("DetachNetworkInterface", "IncorrectState", 1)],
    [("DetachNetworkInterface", "RequestLimitExceeded", 3), ("DeleteNetworkInterface", "InvalidParameterValue", 2)],
    [("DeleteNetworkInterface", "UnauthorizedOperation", 1)],
    [("DescribeNetworkInterfaces", "RequestLimitExceeded", 2)],
    [("ModifyNetworkInterfaceAttribute", "UnauthorizedOperation", 1), ("DetachNetworkInterface", "UnauthorizedOperation", 1)],
]  # fmt: skip


def world_with(script: list[tuple[str, str, int]]) -> tuple[World, str]:
    world = World(keep_calls=True, throttle=False)
    world.region.gate.latency.every = (0.0, 0.0)
    world.region.gate.latency.by_action.clear()
    instance = world.launch("m5.large")
    for action, code, count in script:
        world.region.fault(action, code, count=count)
    return world, instance.id


@pytest.mark.parametrize(
    "script", SCRIPTS, ids=lambda script: " ".join(f"{a[:6]}-{c[:9]}" for a, c, _ in script)
)
def test_an_eni_is_made_and_removed_by_the_same_calls(script: list[tuple[str, str, int]]) -> None:
    real_world, instance = world_with(script)
    real = Blocking(real_world, instance)
    ended: list[str] = []
    new = NewEni(SubnetId(real_world.subnets[0].id), (), "", (), count=3, kind=BlockKind.SECONDARY_IP)
    try:
        port = cast("Ec2Port", real)
        made = eni_lifecycle.attach_new_eni(
            port, new, instance=instance, device_index=1, network_card=0,
            subnet_cidr=IPv4Network("10.0.0.0/16"), sleep=real.sleep,
        )  # fmt: skip
        real.sleep(60.0)
        eni_lifecycle.remove_eni(port, made.eni.id, sleep=real.sleep)
    except Ec2Error as error:
        ended.append(error.code)

    world, instance = world_with(script)
    machine = world.region.instance(instance)
    ec2 = world.client(machine, OURS)
    action = AttachEni(1, 3, BlockKind.SECONDARY_IP)

    def both() -> Work[str | None]:
        try:
            made = yield from eni_steps.attach_new_eni(ec2, instance, machine.subnet_id, (), action)
            yield 60.0
            yield from eni_steps.remove_eni(ec2, EniId(made.id))
        except CallError as error:
            return error.code
        return None

    said: list[str | None] = []
    world.events.start(both(), said.append)
    world.run_until(1000.0)
    assert [code for code in said if code] == ended
    ours = [call.action for call in world.endpoint.calls.history]
    # how often a free ENI is asked for depends on jitter, not that it is
    assert _once(ours) == _once(real.called)


def _once(actions: list[str]) -> str:
    return re.sub(r"(DescribeNetworkInterfaces )+", "DescribeNetworkInterfaces ", " ".join([*actions, ""]))
