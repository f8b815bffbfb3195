"""Services as kube-proxy in iptables mode writes them, in its chains and with its marks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """One service with one endpoint."""

    name: str
    address: str
    port: int
    endpoint: str
    """ADDRESS:PORT."""
    node_port: int = 0
    local: bool = False
    """externalTrafficPolicy: Local."""


def restore_text(services: Iterable[Service]) -> str:
    """For `iptables-restore --noflush`."""
    services = list(services)
    chains = ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"]
    rules = [
        "-A PREROUTING -j KUBE-SERVICES",
        "-A OUTPUT -j KUBE-SERVICES",
        "-A POSTROUTING -j KUBE-POSTROUTING",
        "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
        "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
    ]
    for service in services:
        for protocol in ("tcp", "udp"):
            rules += _one(service, protocol, chains)
    rules.append("-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS")
    return "\n".join(("*nat", *(f":{chain} - [0:0]" for chain in chains), *rules, "COMMIT", ""))


def _one(service: Service, protocol: str, chains: list[str]) -> list[str]:
    name = f"{service.name}-{protocol}".upper()
    to, endpoint, external = f"KUBE-SVC-{name}", f"KUBE-SEP-{name}", f"KUBE-EXT-{name}"
    chains += [to, endpoint, external]
    address = service.endpoint.rpartition(":")[0]
    rules = [
        f"-A KUBE-SERVICES -d {service.address}/32 -p {protocol} --dport {service.port} -j {to}",
        f"-A {to} -j {endpoint}",
        f"-A {endpoint} -s {address}/32 -j KUBE-MARK-MASQ",
        f"-A {endpoint} -p {protocol} -j DNAT --to-destination {service.endpoint}",
    ]
    if service.node_port:
        rules.append(f"-A KUBE-NODEPORTS -p {protocol} --dport {service.node_port} -j {external}")
        rules += [] if service.local else [f"-A {external} -j KUBE-MARK-MASQ"]
        rules.append(f"-A {external} -j {to}")
    return rules
