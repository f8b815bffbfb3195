"""IMDS in every VPC: its router has the addresses, and knows instances by their addresses in that VPC."""

from __future__ import annotations

import time
from ipaddress import ip_address

from vpclab.aws import Serving, imds_app, serve
from vpclab.fabric import IMDS, IMDS6, Fabric
from vpclab.region import Region


class Metadata:
    """A server a VPC. Used from the lab's loop."""

    def __init__(self, region: Region, fabric: Fabric) -> None:
        self._region = region
        self._fabric = fabric
        self._servers: dict[str, list[Serving]] = {}

    async def serve(self) -> None:
        """Where there is a VPC and no server, begin; where a VPC is gone, stop."""
        for vpc_id, router in tuple(self._fabric.routers.items()):
            if vpc_id not in self._servers:
                serving = self._servers[vpc_id] = []  # somebody else may ask while this one waits
                app = imds_app(self._region, time.time, lambda client, of=vpc_id: self._instance(client, of))  # type: ignore[misc]
                serving += [await serve(app, await router.place.listen(at, 80)) for at in (IMDS, IMDS6)]
        for vpc_id in [one for one in self._servers if one not in self._fabric.routers]:
            for server in self._servers.pop(vpc_id):
                await server.stop()

    def _instance(self, client: str, vpc_id: str) -> str | None:
        address = ip_address(client)
        for eni in self._region.enis.values():
            if eni.vpc_id == vpc_id and eni.attachment is not None and eni.holds(address):
                return eni.attachment.instance_id
        return None
