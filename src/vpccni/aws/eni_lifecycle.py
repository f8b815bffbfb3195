"""Making an ENI and taking it away: several calls that must not leave half an ENI behind (spec 6.9)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network

from vpccni.aws.ec2 import Ec2, NewEni
from vpccni.aws.errors import Ec2Error
from vpccni.ipam.reasons import Reason
from vpccni.ipam.values import AttachedEni, Eni, EniId

log = logging.getLogger(__name__)
Sleep = Callable[[float], None]

FIRST_WAIT, LONGEST_WAIT, TRIES = 0.2, 10.0, 12
"""Seconds between looks at an ENI that is being detached (spec 6.9: 200 ms, doubled, twelve times)."""


def attach_new_eni(
    ec2: Ec2, new: NewEni, *, instance: str, device_index: int, network_card: int, subnet_cidr: IPv4Network
) -> AttachedEni:
    """Create with addresses, attach, tie to the instance. What fails half-way is taken away again. Raises Ec2Error."""
    created = ec2.create_eni(new)
    try:
        attachment = ec2.attach(created.id, instance, device_index, network_card)
    except Ec2Error:
        _try(lambda: ec2.delete_eni(created.id), f"{created.id} was created, could not be attached")
        raise
    try:
        ec2.delete_on_termination(created.id, attachment)
    except Ec2Error:
        _try(lambda: remove_eni(ec2, created.id), f"{created.id} could not be tied to the instance")
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


def remove_eni(ec2: Ec2, eni: EniId, *, sleep: Sleep = time.sleep) -> None:
    """Detach, wait until EC2 says that it is free, delete. Raises Ec2Error."""
    state = ec2.state(eni)
    if state is None:
        return
    if state.attachment_id is not None and state.status != "detaching":
        ec2.detach(state.attachment_id)
    for pause in _pauses():
        state = ec2.state(eni)
        if state is None:
            return
        if state.status == "available":
            break
        sleep(pause)
    for pause in _pauses():
        try:
            ec2.delete_eni(eni)
        except Ec2Error as error:
            # EC2 may still call it in use for a moment after it has said that it is available
            if error.refusal.reason not in {Reason.EC2_ERROR, Reason.THROTTLED}:
                raise
            last = error
            sleep(pause)
        else:
            return
    raise last


def _pauses() -> Iterator[float]:
    pause = FIRST_WAIT
    for _ in range(TRIES):
        yield pause
        pause = min(pause * 2, LONGEST_WAIT)


def _try(cleanup: Callable[[], None], what: str) -> None:
    try:
        cleanup()
    except Ec2Error:
        log.exception("%s and could not be deleted; it stays, tagged as ours", what)
