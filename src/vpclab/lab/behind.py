"""Changes that somebody with the console makes to a node's ENIs: the agent is not asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network

from vpclab.lab.state import LabError, known_names
from vpclab.region import ApiError, NetworkInterface, Region, Wanted


def behind(
    region: Region,
    instance_id: str,
    what: str,
    *,
    eni: str | None,
    addresses: Sequence[str],
    count: int,
    in_use: Collection[IPv4Address],
) -> str:
    """Do it; what was done, in words.

    Args:
        region: the lab's.
        instance_id: the node's.
        what: attach (an ENI of nobody's making, without tags), detach, delete, unassign or assign.
        eni: an id or a device like eth1; the last secondary one if None.
        addresses: what to unassign; if empty, `count` of those that no pod has.
        count: how many addresses to unassign or assign.
        in_use: the addresses of the node's pods.

    Raises:
        LabError: there is nothing like that on the node, or EC2 refuses.
    """
    try:
        if what == "unassign":
            return _unassign(region, instance_id, eni, addresses, count, in_use)
        if what == "attach":
            return _attach(region, instance_id)
        chosen = _chosen(region, instance_id, eni)
        if what == "assign":
            new = region.assign_private_ip_addresses(chosen.id, Wanted(count=count)).addresses
            return f"assigned {', '.join(map(str, new))} to {chosen.id}"
        if chosen.attachment is not None:
            region.detach_network_interface(chosen.attachment.id, force=what == "delete")
        if what == "detach":
            return f"{chosen.id} is being detached"
        region.delete_network_interface(chosen.id)
    except ApiError as error:
        raise LabError(f"EC2 refuses: {error}") from None
    else:
        return f"detached and deleted {chosen.id}"


def _attach(region: Region, instance_id: str) -> str:
    instance = region.instance(instance_id)
    groups = region.primary_eni(instance_id).groups
    taken = {one.attachment.device_index for one in region.enis_of(instance_id) if one.attachment}
    index = next(number for number in range(len(taken) + 1) if number not in taken)
    made = region.create_network_interface(instance.subnet_id, groups=groups, description="made by hand")
    try:
        region.attach_network_interface(made.id, instance_id, index)
    except ApiError:
        region.delete_network_interface(made.id)
        raise
    return f"{made.id} is being attached as eth{index}"


def _chosen(region: Region, instance_id: str, eni: str | None) -> NetworkInterface:
    held = {_device(one): one for one in region.enis_of(instance_id)}
    if eni is None:
        if len(held) < 2:
            raise LabError("that node has no secondary ENI now: run pods until it has, or name one by --eni")
        return list(held.values())[-1]
    for device, one in held.items():
        if eni in (device, one.id):
            return one
    raise known_names("ENI", eni, [*held, *(one.id for one in held.values())])


def _unassign(
    region: Region,
    instance_id: str,
    eni: str | None,
    addresses: Sequence[str],
    count: int,
    in_use: Collection[IPv4Address],
) -> str:
    held = [_chosen(region, instance_id, eni)] if eni is not None else list(region.enis_of(instance_id))
    on = {IPv4Network(a): one for one in held for a in one.secondary} | {
        prefix: one for one in held for prefix in one.prefixes
    }
    try:
        wanted = [IPv4Network(text) for text in addresses]
    except ValueError as error:
        raise LabError(f"{error}: an address or a /28 prefix, please") from None
    if not wanted:
        free = [network for network in on if not any(address in network for address in in_use)]
        wanted = free[-count:]
    missing = [str(network) for network in wanted if network not in on]
    if missing or len(wanted) < (0 if addresses else count):
        raise LabError(
            f"not on an ENI of that node as a secondary: {', '.join(missing)}"
            if missing
            else f"only {len(wanted)} addresses of that node have no pod; name one by --address"
        )
    for network in wanted:
        if network.prefixlen == network.max_prefixlen:
            region.unassign_private_ip_addresses(on[network].id, addresses=(network.network_address,))
        else:
            region.unassign_private_ip_addresses(on[network].id, prefixes=(network,))
    return "unassigned " + ", ".join(
        f"{n.network_address if n.prefixlen == n.max_prefixlen else n} from {on[n].id}" for n in wanted
    )


def _device(eni: NetworkInterface) -> str:
    return f"eth{eni.attachment.device_index}" if eni.attachment else eni.id
