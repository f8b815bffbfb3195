"""The instance metadata service, version 2: what the node is, and which ENIs it has (spec 6.13).

On the standard library's http.client, for this loads at every start of the agent. Blocking; used in a thread.
"""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from urllib.parse import urlsplit

from vpccni.ipam.values import AttachedEni, Block, Eni, EniId, SubnetId

ENDPOINT = "http://169.254.169.254"
TOKEN_SECONDS = 21600
TIMEOUT = 5.0
META = "/latest/meta-data/"


class ImdsError(Exception):
    """IMDS did not answer, or not with what was asked; the message has the path and what to look at."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What does not change while the instance runs."""

    instance_id: str
    instance_type: str
    zone: str
    region: str
    vpc_id: str
    primary_mac: str
    primary_ip: IPv4Address
    vpc_cidrs: tuple[IPv4Network, ...]
    security_groups: tuple[str, ...]


class Imds:
    """One connection kept open, one token kept until shortly before its end."""

    def __init__(self, endpoint: str | None = None) -> None:
        parts = urlsplit(endpoint or ENDPOINT)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT)
        self._token = ""
        self._token_until = 0.0

    def get(self, path: str) -> str | None:
        """The text at a path below latest/; None if there is none (404). Raises ImdsError."""
        for fresh in (False, True):
            if fresh or time.monotonic() > self._token_until:
                self._renew()
            status, text = self._ask("GET", path, {"X-aws-ec2-metadata-token": self._token})
            if status == 200:
                return text
            if status == 404:
                return None
            if status != 401:
                break
        raise ImdsError(f"IMDS answered {status} for {path}: {text[:200]}")

    def required(self, path: str) -> str:
        """The text at a path that every instance has."""
        text = self.get(path)
        if text is None:
            raise ImdsError(f"IMDS has no {path}")
        return text

    def words(self, path: str) -> tuple[str, ...]:
        """The list at a path; empty if there is none."""
        return tuple((self.get(path) or "").split())

    def _renew(self) -> None:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
        status, text = self._ask("PUT", "/latest/api/token", headers)
        if status != 200:
            raise ImdsError(f"IMDS gave no token ({status}): is the instance's metadata service on (IMDSv2)?")
        self._token, self._token_until = text, time.monotonic() + TOKEN_SECONDS - 60

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        for again in (True, False):  # a connection kept open may have been closed by the other side meanwhile
            try:
                self._connection.request(method, path, headers=headers)
                answer = self._connection.getresponse()
                return answer.status, answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if not again or isinstance(error, TimeoutError):
                    raise ImdsError(
                        f"IMDS does not answer ({error!r} at {path}): a hop limit of 1 keeps pods that are not on the "
                        "host's network from it; aws-node must use the host's network"
                    ) from error
        raise AssertionError("the loop returns or raises")


def node_facts(imds: Imds) -> NodeFacts:
    """Who and where this node is."""
    identity = json.loads(imds.required("/latest/dynamic/instance-identity/document"))
    mac = imds.required(f"{META}mac")
    card = f"{META}network/interfaces/macs/{mac}/"
    return NodeFacts(
        instance_id=imds.required(f"{META}instance-id"),
        instance_type=imds.required(f"{META}instance-type"),
        zone=imds.required(f"{META}placement/availability-zone"),
        region=identity["region"],
        vpc_id=imds.required(f"{card}vpc-id"),
        primary_mac=mac,
        primary_ip=IPv4Address(imds.required(f"{META}local-ipv4")),
        vpc_cidrs=tuple(IPv4Network(cidr) for cidr in imds.words(f"{card}vpc-ipv4-cidr-blocks")),
        security_groups=imds.words(f"{card}security-group-ids"),
    )


def attached_enis(imds: Imds) -> tuple[AttachedEni, ...]:
    """Every ENI that IMDS knows, the primary first. IMDS may lag EC2 by tens of seconds (spec 12)."""
    primary = imds.required(f"{META}mac")
    macs = (entry.rstrip("/") for entry in imds.words(f"{META}network/interfaces/macs/"))
    found = [entry for mac in macs if (entry := _eni(imds, mac, is_primary=mac == primary)) is not None]
    return tuple(sorted(found, key=lambda entry: (not entry.eni.is_primary, entry.eni.device_index)))


def _eni(imds: Imds, mac: str, *, is_primary: bool) -> AttachedEni | None:
    """One ENI; None if IMDS lists its MAC and has forgotten the rest, as it does after a detach, or if it has no IPv4."""
    card = f"{META}network/interfaces/macs/{mac}/"
    fields = set(imds.words(card))
    if not {"interface-id", "local-ipv4s", "subnet-ipv4-cidr-block"} <= fields:
        return None
    eni_id, addresses = imds.get(f"{card}interface-id"), imds.words(f"{card}local-ipv4s")
    if eni_id is None or not addresses:
        return None
    eni = Eni(
        id=EniId(eni_id),
        mac=mac,
        device_index=int(imds.required(f"{card}device-number")),
        subnet_id=SubnetId(imds.required(f"{card}subnet-id")),
        subnet_cidr=IPv4Network(imds.required(f"{card}subnet-ipv4-cidr-block")),
        primary_address=IPv4Address(addresses[0]),
        network_card=int(imds.get(f"{card}network-card") or 0) if "network-card" in fields else 0,
        is_primary=is_primary,
    )
    secondary = (Block.of_address(IPv4Address(address)) for address in addresses[1:])
    prefixes = (Block(IPv4Network(prefix)) for prefix in imds.words(f"{card}ipv4-prefix"))
    return AttachedEni(eni, (*secondary, *prefixes))
