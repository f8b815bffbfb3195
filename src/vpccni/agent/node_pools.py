"""The pools of this node's network cards, from its settings and its type's limits (spec 6.1, 6.6)."""

from __future__ import annotations

import logging
from pathlib import Path
from zlib import crc32

from vpccni.agent.max_pods import listed_max_pods, max_pods
from vpccni.agent.node_enis import NodeEnis
from vpccni.agent.settings import Settings, WarmMode
from vpccni.ipam.adaptive import Adaptive
from vpccni.ipam.cards import OTHER_CARDS
from vpccni.ipam.decide import Ipam
from vpccni.ipam.limits import InstanceLimits
from vpccni.ipam.placement import Placement
from vpccni.ipam.targets import NodeLimits
from vpccni.ipam.values import BlockKind, EniId

log = logging.getLogger(__name__)


def managed_cards(settings: Settings, limits: InstanceLimits, seen: NodeEnis | None) -> frozenset[int]:
    """The default card; with ENABLE_MULTI_NIC every one, those excepted that have nothing but ENIs of others."""
    default = limits.network_cards[0].index
    if not settings.multi_nic:
        return frozenset({default})
    taken: set[int] = set()
    if seen is not None:
        ours = {entry.eni.network_card for entry in seen.sighting.attached}
        taken = {other.card for other in seen.others} - ours
    return frozenset(card.index for card in limits.network_cards) - (taken - {default})


def node_pools(
    settings: Settings, limits: InstanceLimits, primary: EniId, cards: frozenset[int]
) -> dict[int, Ipam]:
    """An empty pool for each card, the default card's first."""
    kind = _kind(settings, limits)
    custom, listed = settings.custom_networking, settings.max_pods or listed_max_pods(limits.type)
    pods = max_pods(None, limits, kind, custom_networking=custom, listed=listed)
    seed = crc32(primary.encode())  # each node's own: after a throttling they must not all come back together
    pools: dict[int, Ipam] = {}
    adaptive = settings.warm_mode is WarmMode.ADAPTIVE
    for card in limits.network_cards:
        if card.index not in cards:
            continue
        first = not pools
        most = min(card.max_enis, settings.max_enis or card.max_enis)
        if settings.ipv6:
            most = 1  # the primary's /80 is enough for all pods; another ENI would be for nothing
        node = NodeLimits(
            max_enis=most,
            slots_per_eni=limits.slots_per_eni,
            max_pods=pods,
            trunk_place=first and settings.pod_eni and limits.trunk,
        )
        discovery = (
            first
            and settings.subnet_discovery
            and settings.provisioning
            and not settings.custom_networking
            and not settings.ipv6
        )
        placement = Placement(discovery=discovery, seed=seed, primary_for_pods=not settings.custom_networking)
        placement.awaited = settings.custom_networking
        targets = settings.warm if first else OTHER_CARDS
        ipam = Ipam(
            node,
            targets,
            kind=kind,
            cooldown=settings.cooldown,
            seed=seed,
            placement=placement,
            card=card.index,
            surplus_lasts=settings.surplus_lasts,
            warmth=Adaptive(targets, settings.wait_probability) if adaptive and first else None,
        )
        ipam.state.provisioning = settings.provisioning
        pools[card.index] = ipam
    return pools


def checkpoint_of(path: Path, card: int, default: int) -> Path:
    """The checkpoint of a card's pool: ipam.json, and beside it ipam-nic-1.json, … (spec 6.4)."""
    return path if card == default else path.with_name(f"{path.stem}-nic-{card}{path.suffix}")


def _kind(settings: Settings, limits: InstanceLimits) -> BlockKind:
    if not settings.prefix_delegation:
        return BlockKind.SECONDARY_IP
    if limits.supports_prefixes:
        return BlockKind.IPV6_PREFIX if settings.ipv6 else BlockKind.PREFIX
    if settings.ipv6:
        # the original ends, too (spec 6.6): there is no other way for such a node to give pods IPv6
        log.critical("ENABLE_IPv6 needs prefixes, and %s is not a Nitro type: use another one", limits.type)
        raise SystemExit(1)
    log.warning(
        "ENABLE_PREFIX_DELEGATION is set, but %s is not a Nitro type: it takes no prefixes, pods get single addresses",
        limits.type,
    )
    return BlockKind.SECONDARY_IP
