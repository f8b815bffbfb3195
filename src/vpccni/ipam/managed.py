"""Which of the node's ENIs are ours to use (spec 6.10)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from vpccni.ipam.values import EniRole

NO_MANAGE = "node.k8s.amazonaws.com/no_manage"
INSTANCE = "node.k8s.amazonaws.com/instance_id"
ROLES = {"trunk": EniRole.TRUNK, "efa": EniRole.EFA, "efa-only": EniRole.EFA}


class Keeper(enum.Enum):
    """Who looks after an ENI."""

    US = "us"
    OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Sight:
    """An ENI of this node as EC2 describes it, in what decides whose it is."""

    primary: bool
    card: int
    interface_type: str
    tags: Mapping[str, str]


def keeper(
    sight: Sight, *, instance: str, untagged_are_ours: bool = True, cards: frozenset[int] = frozenset({0})
) -> Keeper:
    """Whose an ENI is. The primary is always ours, and nothing on a card that we do not manage is."""
    if sight.primary:
        return Keeper.US
    if sight.card not in cards or sight.interface_type == "efa-only":
        return Keeper.OTHERS
    if NO_MANAGE in sight.tags:
        return Keeper.OTHERS if sight.tags[NO_MANAGE] == "true" else Keeper.US
    if sight.tags.get(INSTANCE) == instance:
        return Keeper.US
    return Keeper.US if untagged_are_ours else Keeper.OTHERS


def role(interface_type: str) -> EniRole:
    """What an ENI of this type is for."""
    return ROLES.get(interface_type, EniRole.PLAIN)
