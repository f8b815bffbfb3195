"""The instance metadata service: an ASGI application over what the region says to each instance.

Version 2 needs a token, version 1 is answered where the instance's options say so. The answer to PUT travels as far as the
options say: as the TTL of its packets, so that a pod behind one hop more waits for a token that never comes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vpclab.aws.endpoint import Clock, InstanceOf
from vpclab.region.imds import imds_document
from vpclab.region.region import Region
from vpclab.region.study import NODE_ROLE
from vpclab.region.values import Instance, InstanceState
from vpclab.serving import CONNECTION

TOKEN_PATH = "/latest/api/token"  # noqa: S105 — a path
TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "x-aws-ec2-metadata-token"  # noqa: S105 — a header's name
LONGEST = 21600
"""Seconds that a token may live (six hours)."""
VERSIONS = (
    *(
        "1.0",
        "2007-01-19",
        "2007-03-01",
        "2007-08-29",
        "2007-10-10",
        "2007-12-15",
        "2008-02-01",
        "2008-09-01",
    ),
    *("2009-04-04", "2011-01-01", "2011-05-01", "2012-01-12", "2014-02-25", "2014-11-05", "2015-10-20"),
    *("2016-04-19", "2016-06-30", "2016-09-02", "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01"),
    *("2020-10-27", "2021-01-03", "2021-03-23", "2021-07-15", "latest"),
)
"""Every one has what the latest has."""
SYSTEMS_OWN = -1
"""For a socket's TTL or hop limit: what the system has as default."""


class Imds:
    """The application. A client's address says which instance it is; a token is good for that instance only."""

    def __init__(
        self, region: Region, clock: Clock, instance_of: InstanceOf, *, role: str = NODE_ROLE
    ) -> None:
        self._region = region
        self._clock = clock
        self._instance_of = instance_of
        self._role = role
        self._secret = secrets.token_bytes(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        request = Request(scope, receive)
        self._region.advance(self._clock())
        instance = self._asked_by(request)
        if instance is not None:
            limit = instance.metadata.hop_limit if request.method == "PUT" else SYSTEMS_OWN
            _travel(scope.get("extensions", {}).get(CONNECTION), limit)
        await self._answer(request, instance)(scope, receive, send)

    def _asked_by(self, request: Request) -> Instance | None:
        known = self._instance_of(request.client.host) if request.client is not None else None
        instance = None if known is None else self._region.instances.get(known)
        return None if instance is None or instance.state is InstanceState.TERMINATED else instance

    def _answer(self, request: Request, instance: Instance | None) -> Response:
        if instance is None:
            return _refusal(HTTPStatus.NOT_FOUND)
        if not self._there(request, instance):
            return _refusal(HTTPStatus.FORBIDDEN)
        if request.url.path == TOKEN_PATH:
            return self._token(request, instance.id)
        if request.method not in ("GET", "HEAD"):
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED)
        return self._read(request, instance)

    def _there(self, request: Request, instance: Instance) -> bool:
        """Whether the endpoint that was asked, of IPv4 or IPv6, is one that the instance has."""
        over6 = request.client is not None and ":" in request.client.host
        return instance.metadata.enabled and (instance.metadata.ipv6 or not over6)

    def _read(self, request: Request, instance: Instance) -> Response:
        token = request.headers.get(TOKEN_HEADER)
        left = None if token is None else self._left(token, instance.id)
        if left is None and (token is not None or instance.metadata.tokens_required):
            return _refusal(HTTPStatus.UNAUTHORIZED)
        text = self._document(instance.id, request.url.path)
        if text is None:
            return _refusal(HTTPStatus.NOT_FOUND)
        return _plain(text, {} if left is None else {TTL_HEADER: str(left)})

    def _document(self, instance_id: str, path: str) -> str | None:
        version, _, below = path.lstrip("/").partition("/")
        if not version:
            return "\n".join(VERSIONS)
        if version not in VERSIONS:
            return None
        return imds_document(self._region, instance_id, below, self._region.now, role=self._role)

    def _token(self, request: Request, instance_id: str) -> Response:
        if request.method != "PUT":
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED)
        if "x-forwarded-for" in request.headers:  # a proxy in between: never a token
            return _refusal(HTTPStatus.FORBIDDEN)
        ttl = request.headers.get(TTL_HEADER, "")
        if not (ttl.isascii() and ttl.isdigit() and 1 <= int(ttl) <= LONGEST):
            return _refusal(HTTPStatus.BAD_REQUEST)
        until = f"{self._region.now + int(ttl):.3f}"
        token = base64.urlsafe_b64encode(self._seal(instance_id, until) + until.encode()).decode()
        return _plain(token, {TTL_HEADER: ttl})

    def _left(self, token: str, instance_id: str) -> int | None:
        """For how many whole seconds more a token is good; None: it is not."""
        try:
            raw = base64.urlsafe_b64decode(token.encode("ascii"))
            until = raw[32:].decode("ascii")
            left = float(until) - self._region.now
        except ValueError:
            return None
        genuine = hmac.compare_digest(raw[:32], self._seal(instance_id, until))
        return int(left) if genuine and left > 0 else None

    def _seal(self, instance_id: str, until: str) -> bytes:
        return hmac.digest(self._secret, f"{instance_id}/{until}".encode(), hashlib.sha256)


def imds_app(region: Region, clock: Clock, instance_of: InstanceOf, *, role: str = NODE_ROLE) -> Imds:
    """IMDS as an ASGI application. `role` is whose credentials instances get."""
    return Imds(region, clock, instance_of, role=role)


def _travel(connection: Any, hops: int) -> None:
    """How far what is sent on a connection goes from now on."""
    if connection is None:
        return
    if connection.family == socket.AF_INET6:
        connection.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
    elif connection.family == socket.AF_INET:
        connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)


def _plain(text: str, headers: Mapping[str, str]) -> Response:
    return Response(text, HTTPStatus.OK, {"server": "EC2ws", **headers}, "text/plain")


def _refusal(status: HTTPStatus) -> Response:
    """The page that EC2's server has for an error."""
    title = f"{status.value} - {status.phrase}"
    page = f"""<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>{title}</title>
 </head>
 <body>
  <h1>{title}</h1>
 </body>
</html>
"""
    return Response(page, status, {"server": "EC2ws"}, "text/html")
