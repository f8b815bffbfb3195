"""IMDS in every VPC: its router has the address, and knows instances by their addresses in that VPC."""

from __future__ import annotations

import time
from ipaddress import IPv4Address

from vpclab.aws import Serving, imds_app, serve
from vpclab.fabric import IMDS, Fabric
from vpclab.region import Region


class Metadata:
    """A server a VPC. Used from the lab's loop."""

    def __init__(self, region: Region, fabric: Fabric) -> None:
        self._region = region
        self._fabric = fabric
        self._servers: dict[str, Serving | None] = {}

    async def serve(self) -> None:
        """Where there is a VPC and no server, begin; where a VPC is gone, stop."""
        for vpc_id, router in tuple(self._fabric.routers.items()):
            if vpc_id not in self._servers:
                self._servers[vpc_id] = None  # somebody else may ask while this one waits
                app = imds_app(self._region, time.time, lambda client, of=vpc_id: self._instance(client, of))  # type: ignore[misc]
                self._servers[vpc_id] = await serve(app, await router.place.listen(IMDS, 80))
        for vpc_id in [one for one in self._servers if one not in self._fabric.routers]:
            server = self._servers.pop(vpc_id)
            if server is not None:
                await server.stop()

    def _instance(self, client: str, vpc_id: str) -> str | None:
        address = IPv4Address(client)
        for eni in self._region.enis.values():
            if (
                eni.vpc_id == vpc_id
                and eni.attachment is not None
                and any(address in n for n in eni.networks)
            ):
                return eni.attachment.instance_id
        return None
