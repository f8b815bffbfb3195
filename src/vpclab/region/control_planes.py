"""ENIs that EKS puts into an account's subnets for its control plane, which runs in an account of AWS's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vpclab.region.errors import not_found
from vpclab.region.nat_gateways import requester_managed
from vpclab.region.networking import NetworkTables
from vpclab.region.security_groups import SecurityGroups
from vpclab.region.tables import Tables
from vpclab.region.values import NetworkInterface


class ControlPlanes:
    """Operations on them."""

    def __init__(self, tables: Tables, net: NetworkTables, groups: SecurityGroups) -> None:
        self._tables = tables
        self._net = net
        self._groups = groups

    def connect(
        self, cluster: str, subnet_ids: Sequence[str], groups: Sequence[str]
    ) -> list[NetworkInterface]:
        """An ENI in each of these subnets for a cluster's control plane, in use from now on; not to be touched by users.

        Raises ApiError: InvalidSubnetID.NotFound, InvalidGroup.NotFound, and as creating an ENI does.
        """
        for subnet_id in subnet_ids:
            if subnet_id not in self._tables.subnets:
                raise not_found(subnet_id, "subnet")
        made: list[NetworkInterface] = []
        for subnet_id in subnet_ids:
            subnet = self._tables.subnets[subnet_id]
            held = self._groups.for_interface(subnet.vpc_id, groups)
            eni = requester_managed(self._tables, subnet, "interface", f"Amazon EKS {cluster}")
            made.append(self._tables.put_eni(replace(eni, groups=held, source_dest_check=True)))
        self._net.control_planes[cluster] = (
            *self._net.control_planes.get(cluster, ()),
            *(eni.id for eni in made),
        )
        return made
