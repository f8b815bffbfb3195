"""Pods that run on the node and that no checkpoint tells of (it was lost, or could not be read).

Their addresses must not go to others. What the host shows of such a pod is its veth and the address routed to it; that is
its key, until the pod's own DEL, or the ADD of its next sandbox, which both lead to the same veth's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vpccni.ipam.decide import Ipam
from vpccni.ipam.pool import PoolError
from vpccni.ipam.values import Address, Assignment, EniId, Pod, SandboxKey

NETWORK, INTERFACE = "_found-on-the-host", "unknown"
NOBODY = Pod("", "")


def found_key(host_veth: str) -> SandboxKey:
    """The key of a pod of which only the host's end of its veth pair is known."""
    return SandboxKey(NETWORK, host_veth, INTERFACE)


def is_found(key: SandboxKey) -> bool:
    """Whether it is such a key."""
    return key.network == NETWORK


def take_in_found(
    pools: Iterable[Ipam], connected: Mapping[str, Address], now: float
) -> tuple[Assignment, ...]:
    """Assign every address that is routed to a veth and that a pool holds free; `connected`: by the veth's name."""
    taken: list[Assignment] = []
    for pool in pools:
        for host_veth, address in sorted(connected.items()):
            if not pool.pool.holds(address) or pool.owner(address) is not None:
                continue
            try:
                taken.append(
                    pool.pool.restore(Assignment(found_key(host_veth), NOBODY, address, EniId(""), now))
                )
            except PoolError:
                continue  # it cools: a pod that was just released, whose veth is about to go
    return tuple(taken)
