"""Making an ENI and taking it away, call by call as vpccni.aws.eni_lifecycle does (tests/sim compares the two)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from vpccni.ipam.actions import AttachEni
from vpccni.ipam.reasons import Reason
from vpccni.ipam.values import EniId
from vpclab.region.values import AttachmentStatus, EniStatus, NetworkInterface
from vpclab.sim.client import NO_SUCH_ENI, CallError, NodeEc2
from vpclab.sim.events import Work

T = TypeVar("T")

FIRST_WAIT, LONGEST_WAIT, JITTER = 0.2, 10.0, 0.15
LETS_GO = 2.0
SHORT, LONG = 5, 12
GONE = frozenset({NO_SUCH_ENI, "InvalidAttachmentID.NotFound"})
PASSING = frozenset({Reason.THROTTLED, Reason.EC2_UNREACHABLE})


def attach_new_eni(
    ec2: NodeEc2, node: str, subnet: str, groups: tuple[str, ...], action: AttachEni
) -> Work[NetworkInterface]:
    """Create with addresses, attach, tie to the instance; what fails half-way is taken away again. Raises CallError."""
    created = yield from ec2.create_eni(subnet, groups, action.count, action.kind)
    eni = EniId(created.id)
    try:
        attachment = yield from _attach(ec2, node, eni, action)
        yield from _patiently(lambda: ec2.delete_on_termination(eni, attachment), ec2)
    except CallError:
        with contextlib.suppress(CallError):  # it stays, tagged as ours
            yield from remove_eni(ec2, eni)
        raise
    return created


def remove_eni(ec2: NodeEc2, eni: EniId) -> Work[None]:
    """Detach, wait until EC2 says that it is free, delete. Fine if part of that or all of it was done. Raises CallError."""
    found = yield from _patiently(lambda: ec2.describe_enis([eni]), ec2)
    attachment = found[0].attachment if found else None
    if attachment is not None:
        if attachment.status is not AttachmentStatus.DETACHING:
            try:
                yield from _patiently(lambda: ec2.detach(eni, attachment.id), ec2)
            except CallError as error:
                if error.code not in GONE | {"IncorrectState"}:
                    raise
        yield from _await_free(ec2, eni)
    yield from _patiently(
        lambda: ec2.delete_eni(eni),
        ec2,
        lambda error: _passing(error) or error.refusal.reason is Reason.EC2_ERROR,
        tries=LONG,
    )


def _attach(ec2: NodeEc2, node: str, eni: EniId, action: AttachEni) -> Work[str]:
    def once() -> Work[str]:
        try:
            return (yield from ec2.attach(eni, action.device_index, action.network_card))
        except CallError as error:
            if error.unsure:
                for found in (yield from ec2.describe_enis([eni])):
                    if found.attachment is not None and found.attachment.instance_id == node:
                        return found.attachment.id
            raise

    return (yield from _patiently(once, ec2, lambda error: _passing(error) or error.code == NO_SUCH_ENI))


def _await_free(ec2: NodeEc2, eni: EniId) -> Work[None]:
    yield ec2.jittered(LETS_GO, JITTER)
    for pause in _pauses(LONG):
        found = yield from _patiently(lambda: ec2.describe_enis([eni]), ec2)
        if not found or found[0].status is EniStatus.AVAILABLE:
            return
        yield ec2.jittered(pause, JITTER)


def _passing(error: CallError) -> bool:
    return error.unsure or error.refusal.reason in PASSING


def _patiently(
    call: Callable[[], Work[T]],
    ec2: NodeEc2,
    again: Callable[[CallError], bool] = _passing,
    *,
    tries: int = SHORT,
) -> Work[T]:
    for pause in _pauses(tries - 1):
        try:
            return (yield from call())
        except CallError as error:
            if not again(error):
                raise
        yield ec2.jittered(pause, JITTER)
    return (yield from call())


def _pauses(count: int) -> Iterator[float]:
    pause = FIRST_WAIT
    for _ in range(count):
        yield pause
        pause = min(pause * 2, LONGEST_WAIT)
