"""What the decisions ask to be done, and what came of it (design, idea 1).

The agent carries an `Action` out against EC2 and the host and reports exactly one `Outcome` for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from vpccni.ipam.reasons import Refusal
from vpccni.ipam.values import AttachedEni, Block, BlockKind, EniId, SubnetId, SubnetOffer


@dataclass(frozen=True, slots=True)
class AssignAddresses:
    """Ask EC2 for `count` more blocks on an ENI; if that many are not to be had, for one."""

    eni: EniId
    count: int
    kind: BlockKind


@dataclass(frozen=True, slots=True)
class AttachEni:
    """Create an ENI that holds `count` blocks from the start, attach it and set it up on the host."""

    device_index: int
    count: int
    kind: BlockKind
    network_card: int = 0
    subnet: SubnetId | None = None
    """None: the primary ENI's."""


@dataclass(frozen=True, slots=True)
class ReleaseAddresses:
    """Give blocks without assigned or cooling addresses back to the subnet."""

    eni: EniId
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class DetachEni:
    """Take an ENI without assigned or cooling addresses off the node and delete it."""

    eni: EniId


@dataclass(frozen=True, slots=True)
class FindSubnets:
    """Ask EC2 which subnets new ENIs may be put into, and which give pods no addresses (spec 6.11)."""


Action = AssignAddresses | AttachEni | ReleaseAddresses | DetachEni | FindSubnets


@dataclass(frozen=True, slots=True)
class Assigned:
    """EC2 gave these blocks to the ENI."""

    action: AssignAddresses
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Attached:
    """The ENI is attached, its device is up with its address, routes and rule."""

    action: AttachEni
    attached: AttachedEni


@dataclass(frozen=True, slots=True)
class Released:
    """EC2 took the blocks back."""

    action: ReleaseAddresses


@dataclass(frozen=True, slots=True)
class Detached:
    """The ENI is gone."""

    action: DetachEni


@dataclass(frozen=True, slots=True)
class FoundSubnets:
    """What EC2 said of the zone's subnets."""

    action: FindSubnets
    offers: tuple[SubnetOffer, ...]
    """The one to be tried first comes first."""
    excluded: frozenset[SubnetId] = frozenset()
    """Those whose ENIs give pods no addresses."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing came of the action, for this reason."""

    action: Action
    refusal: Refusal


Outcome = Assigned | Attached | Released | Detached | FoundSubnets | Failed
