"""Making an ENI and taking it away: several calls that must not leave half an ENI behind (spec 6.9)."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import TypeVar

from vpccni.aws.errors import NO_SUCH_ENI, Ec2Error
from vpccni.aws.port import Ec2Port
from vpccni.aws.values import AVAILABLE, CreatedEni, NewEni
from vpccni.ipam.reasons import Reason
from vpccni.ipam.values import AttachedEni, Eni, EniId

log = logging.getLogger(__name__)
Sleep = Callable[[float], None]
T = TypeVar("T")

FIRST_WAIT, LONGEST_WAIT, JITTER = 0.2, 10.0, 0.15
"""Seconds between tries: doubled each time, and up to 15 % more (spec 6.9)."""
LETS_GO = 2.0
"""Seconds that an ENI takes to let go of its instance, as seen in practice: to ask sooner is a call for nothing (spec 6.9)."""
SHORT, LONG = 5, 12
"""Tries: of a call that just was unlucky (6 s in all); of waiting for an ENI that lets go of its instance (70 s)."""
GONE = frozenset({NO_SUCH_ENI, "InvalidAttachmentID.NotFound"})
PASSING = frozenset({Reason.THROTTLED, Reason.EC2_UNREACHABLE})


def attach_new_eni(
    ec2: Ec2Port,
    new: NewEni,
    *,
    instance: str,
    device_index: int,
    network_card: int,
    subnet_cidr: IPv4Network,
    sleep: Sleep = time.sleep,
) -> AttachedEni:
    """Create with addresses, attach, tie to the instance. What fails half-way is taken away again. Raises Ec2Error."""
    created = ec2.create_eni(new)
    try:
        attachment = _attach(ec2, created, instance, device_index, network_card, sleep)
    except Ec2Error:
        # not simply deleted: an answer that was lost may have attached it
        _clean_up(
            lambda: remove_eni(ec2, created.id, sleep=sleep),
            f"{created.id} was created and could not be attached",
        )
        raise
    try:
        _patiently(lambda: ec2.delete_on_termination(created.id, attachment), sleep)
    except Ec2Error:
        _clean_up(
            lambda: remove_eni(ec2, created.id, sleep=sleep),
            f"{created.id} could not be tied to the instance's life",
        )
        raise
    eni = Eni(
        id=created.id,
        mac=created.mac,
        device_index=device_index,
        subnet_id=new.subnet,
        subnet_cidr=subnet_cidr,
        primary_address=created.primary_address,
        network_card=network_card,
    )
    return AttachedEni(eni, created.blocks)


def remove_eni(ec2: Ec2Port, eni: EniId, *, sleep: Sleep = time.sleep) -> None:
    """Detach, wait until EC2 says that it is free, delete. Fine if part of that or all of it was done. Raises Ec2Error."""
    found = _patiently(lambda: ec2.describe_enis([eni]), sleep)
    attachment = found[0].attachment if found else None
    if attachment is not None:
        if attachment.status != "detaching":
            _detach(ec2, attachment.id, sleep)
        _await_free(ec2, eni, sleep)
    _delete(ec2, eni, sleep)


def _attach(
    ec2: Ec2Port, created: CreatedEni, instance: str, device_index: int, network_card: int, sleep: Sleep
) -> str:
    """Attach; the attachment's id."""

    def once() -> str:
        try:
            return ec2.attach(created.id, instance, device_index, network_card)
        except Ec2Error as error:
            done = _attached_to(ec2, created.id, instance) if error.unsure else None
            if done is None:
                raise
            return done

    # an ENI may be unknown for a moment after EC2 has made it
    return _patiently(once, sleep, lambda error: _passing(error) or error.code == NO_SUCH_ENI)


def _attached_to(ec2: Ec2Port, eni: EniId, instance: str) -> str | None:
    """The attachment, if an answer that was lost would have told of one."""
    for found in ec2.describe_enis([eni]):
        if found.attachment is not None and found.attachment.instance == instance:
            return found.attachment.id
    return None


def _detach(ec2: Ec2Port, attachment: str, sleep: Sleep) -> None:
    try:
        _patiently(lambda: ec2.detach(attachment), sleep)
    except Ec2Error as error:
        # somebody else was faster, or an answer was lost: what counts is that it gets free
        if error.code not in GONE | {"IncorrectState"}:
            raise


def _await_free(ec2: Ec2Port, eni: EniId, sleep: Sleep) -> None:
    """Return when the ENI is free or gone, or after a minute: then deleting it tells what is wrong."""
    sleep(LETS_GO * (1 + JITTER * random.random()))  # noqa: S311 -- spreads calls, hides nothing
    for pause in pauses(LONG):
        found = _patiently(lambda: ec2.describe_enis([eni]), sleep)
        if not found or found[0].status == AVAILABLE:
            return
        sleep(pause)


def _delete(ec2: Ec2Port, eni: EniId, sleep: Sleep) -> None:
    # EC2 may call it in use for a moment after it has said that it is available, with codes that are not documented
    _patiently(
        lambda: ec2.delete_eni(eni),
        sleep,
        lambda error: _passing(error) or error.refusal.reason is Reason.EC2_ERROR,
        tries=LONG,
    )


def _passing(error: Ec2Error) -> bool:
    return error.unsure or error.refusal.reason in PASSING


def _patiently(
    call: Callable[[], T], sleep: Sleep, again: Callable[[Ec2Error], bool] = _passing, *, tries: int = SHORT
) -> T:
    """Call until it works, pausing between tries; the last failure, or one that will not pass, is raised."""
    for pause in pauses(tries - 1):
        try:
            return call()
        except Ec2Error as error:
            if not again(error):
                raise
            log.debug("%s; again in %.1f s", error, pause)
        sleep(pause)
    return call()


def pauses(count: int) -> Iterator[float]:
    """Seconds to wait between tries, jittered upwards only (spec 9.1)."""
    pause = FIRST_WAIT
    for _ in range(count):
        yield pause * (1 + JITTER * random.random())  # noqa: S311 -- spreads calls, hides nothing
        pause = min(pause * 2, LONGEST_WAIT)


def _clean_up(undo: Callable[[], None], what: str) -> None:
    try:
        undo()
    except Ec2Error as error:
        log.error("%s, and could not be deleted: %s. It stays, tagged as ours", what, error)
    else:
        log.warning("%s; it was deleted again", what)
