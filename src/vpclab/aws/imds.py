"""The instance metadata service, version 2: an ASGI application over what the region says to each instance."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vpclab.aws.endpoint import Clock, InstanceOf
from vpclab.region.imds import imds_document
from vpclab.region.region import Region
from vpclab.region.study import NODE_ROLE

TOKEN_PATH = "/latest/api/token"  # noqa: S105 — a path
TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "x-aws-ec2-metadata-token"  # noqa: S105 — a header's name
LONGEST = 21600
"""Seconds that a token may live (six hours)."""
VERSIONS = ("latest", "2021-07-15")


class Imds:
    """The application. A client's address says which instance it is; a token is good for that instance only."""

    def __init__(
        self,
        region: Region,
        clock: Clock,
        instance_of: InstanceOf,
        *,
        role: str = NODE_ROLE,
        v1: bool = False,
    ) -> None:
        self._region = region
        self._clock = clock
        self._instance_of = instance_of
        self._role = role
        self._v1 = v1
        self._secret = secrets.token_bytes(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        request = Request(scope, receive)
        await self._answer(request)(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        self._region.advance(self._clock())
        instance_id = self._instance_of(request.client.host) if request.client is not None else None
        if instance_id is None:
            return _plain("", 404)
        if request.url.path == TOKEN_PATH:
            return self._token(request, instance_id)
        if request.method not in ("GET", "HEAD"):
            return _plain("", 405)
        token = request.headers.get(TOKEN_HEADER)
        if not (self._v1 if token is None else self._valid(token, instance_id)):
            return _plain("Unauthorized", 401)
        text = self._document(instance_id, request.url.path)
        return _plain("", 404) if text is None else _plain(text, 200)

    def _document(self, instance_id: str, path: str) -> str | None:
        version, _, below = path.lstrip("/").partition("/")
        if not version:
            return "\n".join(VERSIONS)
        if version not in VERSIONS:
            return None
        return imds_document(self._region, instance_id, below, self._region.now, role=self._role)

    def _token(self, request: Request, instance_id: str) -> Response:
        if request.method != "PUT":
            return _plain("", 405)
        if "x-forwarded-for" in request.headers:  # a proxy in between: never a token
            return _plain("", 403)
        ttl = request.headers.get(TTL_HEADER, "")
        if not (ttl.isascii() and ttl.isdigit() and 1 <= int(ttl) <= LONGEST):
            return _plain("", 400)
        until = f"{self._region.now + int(ttl):.3f}"
        token = base64.urlsafe_b64encode(self._seal(instance_id, until) + until.encode()).decode()
        return Response(token, 200, headers={TTL_HEADER: ttl}, media_type="text/plain")

    def _valid(self, token: str, instance_id: str) -> bool:
        try:
            raw = base64.urlsafe_b64decode(token.encode("ascii"))
            until = raw[32:].decode("ascii")
            return hmac.compare_digest(raw[:32], self._seal(instance_id, until)) and self._region.now < float(
                until
            )
        except ValueError:
            return False

    def _seal(self, instance_id: str, until: str) -> bytes:
        return hmac.digest(self._secret, f"{instance_id}/{until}".encode(), hashlib.sha256)


def imds_app(
    region: Region, clock: Clock, instance_of: InstanceOf, *, role: str = NODE_ROLE, v1: bool = False
) -> Imds:
    """IMDS as an ASGI application. `role` is whose credentials instances get; `v1` allows requests without a token."""
    return Imds(region, clock, instance_of, role=role, v1=v1)


def _plain(text: str, status: int) -> Response:
    return Response(text, status, media_type="text/plain")
