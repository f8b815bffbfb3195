"""The agent's part of egress-cni: a pod's second interface, for the family that it is not of (spec 4.9)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_interface
from typing import Any

from vpccni.agent.branch_host import OnNetlink
from vpccni.agent.cni_call import INTERNAL, INVALID_CONFIG, CniCall, CniError
from vpccni.agent.ports import HostError
from vpccni.agent.wire import PluginRequest
from vpccni.ipam.values import Address
from vpccni.linux.egress import (
    EgressWiring,
    block_others,
    check_egress,
    remove_dead_egress,
    unwire_egress,
    wire_egress,
)
from vpccni.linux.egress_family import IPV6, EgressFamily
from vpccni.linux.rtnl import Netlink
from vpccni.linux.wiring import Wired

log = logging.getLogger(__name__)
TYPE = "egress-cni"
GLOBAL = IPv6Network("2000::/3")
"""Global unicast, as far as it is given out."""
PORTS = ("prng", "hashrandom", "none")


@dataclass(frozen=True, slots=True)
class EgressConf:
    """What of the configuration matters."""

    previous: Mapping[str, Any]
    address: Address
    node_address: Address
    ports: str


def parse_egress(stdin: bytes, family: EgressFamily = IPV6) -> EgressConf:
    """An ADD's configuration, the address manager's result in it. Raises CniError."""
    conf = json.loads(stdin)  # parse_call has read it before
    previous = conf.get("prevResult")
    if not isinstance(previous, dict):
        raise CniError(INVALID_CONFIG, "must be called as a chained plugin")
    try:
        [ip] = (conf.get("ipamResult") or {}).get("ips") or []
        address = ip_interface(ip["address"]).ip
        if address not in family.anywhere:
            raise ValueError(f"{address} is none")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CniError(
            INVALID_CONFIG, f"the address manager has not given exactly one {family.name} address: {error}"
        ) from None
    try:
        node = ip_address(conf.get("nodeIP", ""))
    except ValueError:
        node = None
    if family is not IPV6 and (node is None or node not in family.anywhere):
        raise CniError(
            INVALID_CONFIG, f"nodeIP is {conf.get('nodeIP')!r}, no {family.name} address of the node's"
        )
    if node is None or (family is IPV6 and not (isinstance(node, IPv6Address) and node in GLOBAL)):
        raise CniError(
            INVALID_CONFIG,
            "global unicast IPv6 not found in host primary interface which is mandatory to support IPv6 egress",
            f"nodeIP is {conf.get('nodeIP')!r}: give the node's primary ENI an IPv6 address, or set ENABLE_V6_EGRESS=false",
        )
    ports = conf.get("randomizeSNAT", "prng")
    return EgressConf(previous, address, node, ports if ports in PORTS else "prng")


class Egress:
    """One node's."""

    def __init__(self, host: OnNetlink, family: EgressFamily = IPV6) -> None:
        self._host = host
        self._family = family

    async def serve(self, request: PluginRequest, call: CniCall) -> bytes:
        """One call of the plugin. Raises CniError."""
        try:
            match call.command:
                case "ADD":
                    return await self._add(request, call)
                case "DEL":
                    await self._host.on_netlink(
                        lambda netlink: unwire_egress(netlink, self._family, call.network, call.container_id)
                    )
                case "CHECK":
                    await self._check(call)
        except HostError as error:
            raise CniError(INTERNAL, str(error)) from error
        return b""

    async def start(self) -> None:
        """Keep others out, and take away what is left of pods that are gone."""
        try:
            changes = await self._host.on_netlink(
                lambda netlink: [*block_others(self._family), *remove_dead_egress(netlink, self._family)]
            )
        except HostError as error:
            log.error("%s egress: %s", self._family.name, error)
        else:
            for change in changes:
                log.info("host: %s", change)

    async def _add(self, request: PluginRequest, call: CniCall) -> bytes:
        conf = parse_egress(request.stdin, self._family)
        netns, socket_fd = request.netns, request.netlink
        if netns is None or socket_fd is None:
            raise HostError("the plugin passed no network namespace")
        want = EgressWiring(
            str(call.pod),
            call.network,
            call.container_id,
            conf.address,
            conf.node_address,
            call.mtu,
            conf.ports,
        )

        def work(netlink: Netlink) -> Wired:
            with Netlink.from_fd(socket_fd) as inside:
                return wire_egress(netlink, inside, netns, want, call.interface, request.pod_sysctl_dir)

        made = await self._host.on_netlink(work)
        log.info("pod %s reaches %s as %s, from %s",
                 call.pod, self._family.name, conf.node_address, conf.address)  # fmt: skip
        interfaces = [
            *(conf.previous.get("interfaces") or []),
            {"name": want.host_veth, "mac": made.host_mac},
            {"name": want.interface, "mac": made.container_mac, "sandbox": call.netns},
        ]
        result = {**conf.previous, "cniVersion": call.version, "interfaces": interfaces}
        return json.dumps(result, indent=4).encode()

    async def _check(self, call: CniCall) -> None:
        differences = await self._host.on_netlink(
            lambda netlink: check_egress(netlink, self._family, call.network, call.container_id)
        )
        if differences:
            raise CniError(
                INTERNAL, f"{self._family.name} egress of pod {call.pod} differs: {'; '.join(differences)}"
            )
