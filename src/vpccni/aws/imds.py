"""The instance metadata service, version 2: what the node is, and which ENIs it has (spec 6.13).

On the standard library's http.client, for this loads at every start of the agent. Blocking; used in threads, one at a
time. What it tells of ENIs is a hint: it may lag EC2 by tens of seconds (spec 12).
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Protocol
from urllib.parse import urlsplit

from vpccni.ipam.values import AttachedEni, Block, Eni, EniId, SubnetId

ENDPOINT = "http://169.254.169.254"
TOKEN = "/latest/api/token"  # noqa: S105 -- a path
TOKEN_SECONDS = 21600
"""As long as IMDS allows."""
TOKEN_MARGIN = 60.0
"""Seconds before its end at which a token is replaced."""
TIMEOUT = 5.0
META = "/latest/meta-data/"
MACS = f"{META}network/interfaces/macs/"

ADVICE_SILENT = (
    "aws-node must use the host's network (with a hop limit of 1 metadata does not reach other pods), and no firewall "
    "rule of the host may keep it from 169.254.169.254"
)
ADVICE_OFF = "turn the instance's metadata service on (aws ec2 modify-instance-metadata-options --http-endpoint enabled)"
ADVICE_LATER = "the agent tries again by itself"
ADVICE_TOKEN = "something between the node and its metadata service changes requests: look for a proxy"  # noqa: S105 -- a sentence


class ImdsError(Exception):
    """IMDS did not answer, or not with what was asked. The message has the path and what to look at.

    `status` is HTTP's; None if there was no answer.
    """

    def __init__(self, path: str, status: int | None, problem: str, advice: str) -> None:
        super().__init__(f"IMDS {problem} for {path}: {advice}")
        self.path = path
        self.status = status
        self.advice = advice


class ImdsPort(Protocol):
    """Instance metadata, met by `Imds` and, without a network, by `FakeImds`. Failures are ImdsError."""

    def get(self, path: str) -> str | None:
        """The text at a path; None if there is none."""


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
    primary_ipv6: IPv6Address | None = None
    """Of the primary ENI; like the next, asked for on nodes of IPv6 clusters only."""
    vpc_ipv6_cidrs: tuple[IPv6Network, ...] = ()


class Imds:
    """One connection kept open, one token kept until shortly before its end."""

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(endpoint or ENDPOINT)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
        self._clock = clock
        self._one_at_a_time = threading.Lock()
        self._token = ""
        self._token_until = clock()

    def get(self, path: str) -> str | None:
        """The text at a path such as /latest/meta-data/mac; None if there is none (404). Raises ImdsError."""
        with self._one_at_a_time:
            if self._clock() >= self._token_until:
                self._renew()
            status, text = self._with_token(path)
            if (
                status == 401
            ):  # the token ended early: the instance was stopped and started, or the clock stood still
                self._renew()
                status, text = self._with_token(path)
        if status == 200:
            return text
        if status == 404:
            return None
        advice = {401: ADVICE_TOKEN, 403: ADVICE_OFF}.get(status, ADVICE_LATER)
        raise ImdsError(path, status, f"answered {status} {text[:100]!r}", advice)

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        with self._one_at_a_time:
            self._connection.close()

    def _with_token(self, path: str) -> tuple[int, str]:
        answer, text = self._ask("GET", path, {"X-aws-ec2-metadata-token": self._token})
        return answer.status, text

    def _renew(self) -> None:
        asked_at = self._clock()
        answer, text = self._ask("PUT", TOKEN, {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)})
        if answer.status != 200:
            advice = ADVICE_OFF if answer.status in {403, 404} else ADVICE_LATER
            raise ImdsError(TOKEN, answer.status, f"gave no token ({answer.status})", advice)
        given = answer.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        life = int(given) if given.isascii() and given.isdigit() else TOKEN_SECONDS
        self._token, self._token_until = text, asked_at + max(0.0, life - TOKEN_MARGIN)

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, str]:
        for last in (False, True):  # a connection kept open may have been closed by the other side meanwhile
            try:
                self._connection.request(method, path, headers=headers)
                answer = self._connection.getresponse()
                return answer, answer.read().decode()
            except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
                self._connection.close()
                if last or isinstance(error, TimeoutError):
                    raise ImdsError(path, None, f"does not answer ({error!r})", ADVICE_SILENT) from error
        raise AssertionError("the loop returns or raises")


def node_facts(imds: ImdsPort, *, ipv6: bool = False) -> NodeFacts:
    """Who and where this node is; with its IPv6, if asked for. Raises ImdsError."""
    document = "/latest/dynamic/instance-identity/document"
    mac = _required(imds, f"{META}mac")
    card = f"{MACS}{mac}/"
    try:
        return NodeFacts(
            instance_id=_required(imds, f"{META}instance-id"),
            instance_type=_required(imds, f"{META}instance-type"),
            zone=_required(imds, f"{META}placement/availability-zone"),
            region=json.loads(_required(imds, document))["region"],
            vpc_id=_required(imds, f"{card}vpc-id"),
            primary_mac=mac,
            primary_ip=IPv4Address(_required(imds, f"{META}local-ipv4")),
            vpc_cidrs=tuple(map(IPv4Network, _some(imds, f"{card}vpc-ipv4-cidr-blocks"))),
            security_groups=_some(imds, f"{card}security-group-ids"),
            primary_ipv6=own_ipv6(imds) if ipv6 else None,
            vpc_ipv6_cidrs=tuple(map(IPv6Network, _words(imds, f"{card}vpc-ipv6-cidr-blocks")))
            if ipv6
            else (),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ImdsError(META, 200, f"said something that cannot be read ({error!r})", ADVICE_TOKEN) from error


def own_ipv6(imds: ImdsPort) -> IPv6Address | None:
    """The primary ENI's own IPv6 address; None if it has none. Raises ImdsError."""
    found = imds.get(f"{META}ipv6")
    try:
        return IPv6Address(found.strip()) if found else None
    except ValueError:
        return None


def attached_enis(imds: ImdsPort, *, ipv6: bool = False) -> tuple[AttachedEni, ...]:
    """Every ENI with IPv4 that IMDS knows, the primary first, then by card and device index. Raises ImdsError.

    With `ipv6` what they hold for pods is their IPv6 prefixes, else their IPv4 addresses and prefixes.

    Left out: a MAC that is listed while its keys are gone, as IMDS does for minutes after a detach (aws-emulation 4.5), or
    not all there yet; an ENI without IPv4 (EFA-only).
    """
    primary = _required(imds, f"{META}mac")
    macs = [entry.rstrip("/") for entry in _words(imds, MACS)]
    found = [entry for mac in macs if (entry := _eni(imds, mac, primary, ipv6=ipv6)) is not None]
    if not any(entry.eni.is_primary for entry in found):
        raise ImdsError(f"{MACS}{primary}/", 404, "does not tell of the primary ENI", ADVICE_LATER)
    return tuple(sorted(found, key=_primary_first))


def eni_by_mac(imds: ImdsPort, mac: str, *, ipv6: bool = False) -> AttachedEni | None:
    """One ENI; None if IMDS does not know it (yet, or any more), or it has no IPv4. Raises ImdsError."""
    return _eni(imds, mac, _required(imds, f"{META}mac"), ipv6=ipv6)


def _eni(imds: ImdsPort, mac: str, primary: str, *, ipv6: bool = False) -> AttachedEni | None:
    """One listing and five to seven keys. A key that is missing means that IMDS is between two states."""
    card = f"{MACS}{mac}/"
    fields = set(_words(imds, card))
    needed = ("interface-id", "device-number", "subnet-id", "subnet-ipv4-cidr-block", "local-ipv4s")
    if not fields.issuperset(needed):
        return None
    values = [imds.get(card + key) for key in needed]
    eni_id, device, subnet, cidr, addresses = ((value or "").strip() for value in values)
    if not (eni_id and device and subnet and cidr and addresses):
        return None
    try:
        first, *others = (IPv4Address(word) for word in addresses.split())
        eni = Eni(
            id=EniId(eni_id),
            mac=mac,
            device_index=int(device),
            subnet_id=SubnetId(subnet),
            subnet_cidr=IPv4Network(cidr),
            primary_address=first,
            network_card=int(imds.get(f"{card}network-card") or 0) if "network-card" in fields else 0,
            is_primary=mac == primary,
        )
        key = "ipv6-prefix" if ipv6 else "ipv4-prefix"
        prefixes = _words(imds, f"{card}{key}") if key in fields else ()
        blocks = tuple(Block(ip_network(prefix)) for prefix in prefixes)
        if not ipv6:
            blocks = (*map(Block.of_address, others), *blocks)
    except ValueError as error:
        raise ImdsError(card, 200, f"said something that cannot be read ({error})", ADVICE_TOKEN) from error
    return AttachedEni(eni, blocks)


def _primary_first(entry: AttachedEni) -> tuple[bool, int, int]:
    return (not entry.eni.is_primary, entry.eni.network_card, entry.eni.device_index)


def _required(imds: ImdsPort, path: str) -> str:
    """The text at a path that every instance has."""
    text = imds.get(path)
    if text is None:
        raise ImdsError(path, 404, "has nothing", ADVICE_LATER)
    return text


def _some(imds: ImdsPort, path: str) -> tuple[str, ...]:
    """The list at a path that is empty on no instance."""
    words = _words(imds, path)
    if not words:
        raise ImdsError(path, 404, "has nothing", ADVICE_LATER)
    return words


def _words(imds: ImdsPort, path: str) -> tuple[str, ...]:
    """The list at a path; empty if there is none."""
    return tuple((imds.get(path) or "").split())
