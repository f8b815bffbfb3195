"""Which subnets new ENIs may be put into, by their tags (spec 6.11)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vpccni.ipam.values import SubnetId, SubnetOffer

ROLE = "kubernetes.io/role/cni"
"""0: no ENI of ours; any other value: ENIs of ours; absent: only if it is the node's own subnet."""
CLUSTER = "cni.networking.k8s.aws/cluster/"
"""With the name of a cluster after it: for the ENIs of that cluster; several may be named."""
Described = tuple[SubnetOffer, Mapping[str, str]]
"""A subnet and its tags, as EC2 describes it."""


def usable(tags: Mapping[str, str], *, primary: bool, cluster: str) -> bool:
    """Whether new ENIs may be put into a subnet. `primary`: it is the one that the node itself is in."""
    role = tags.get(ROLE)
    if role is None:
        return primary
    return role != "0" and _ours(tags, cluster)


def excluded(tags: Mapping[str, str], *, cluster: str) -> bool:
    """Whether ENIs in a subnet give pods no addresses. Without the role's tag nobody has said so."""
    role = tags.get(ROLE)
    return role is not None and (role == "0" or not _ours(tags, cluster))


def primary_only(described: Described) -> tuple[SubnetOffer, ...]:
    """The offers with discovery off: the node's own subnet, unless it is tagged 0; none then. Nothing is excluded."""
    offer, tags = described
    return () if tags.get(ROLE) == "0" else (offer,)


def choose(
    described: Iterable[Described], *, primary: SubnetId, cluster: str
) -> tuple[tuple[SubnetOffer, ...], frozenset[SubnetId]]:
    """The offers, the one with the most free addresses first, and the excluded subnets."""
    all_of_them = tuple(described)
    offers = [
        offer for offer, tags in all_of_them if usable(tags, primary=offer.id == primary, cluster=cluster)
    ]
    offers.sort(key=lambda offer: (-(offer.free or 0), offer.id))
    return tuple(offers), frozenset(o.id for o, tags in all_of_them if excluded(tags, cluster=cluster))


def _ours(tags: Mapping[str, str], cluster: str) -> bool:
    named = [key for key in tags if key.startswith(CLUSTER)]
    return not cluster or not named or CLUSTER + cluster in named
