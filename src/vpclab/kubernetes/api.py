"""The API server as the lab itself asks it: plain objects as JSON, from threads inside the control plane's place."""

from __future__ import annotations

import json
import ssl
import tempfile
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx2

from vpclab.fabric import Place
from vpclab.kubernetes.certificates import Credentials

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
TIMEOUT = 20.0


class KubernetesError(Exception):
    """The API server refused, or did not answer; `status` is HTTP's, 0 if there was no answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class KubernetesApi:
    """One client. Each call is one request, made by a thread of the place; the loop is never kept waiting."""

    def __init__(self, place: Place, server: str, authority: bytes, who: Credentials) -> None:
        self._place = place
        self._client = httpx2.Client(
            base_url=server, verify=_context(authority, who), timeout=TIMEOUT, trust_env=False
        )

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """An object, or a list. Raises KubernetesError."""
        return await self._ask("GET", path, query)

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST. Raises KubernetesError."""
        return await self._ask("POST", path, {}, body)

    async def patch(self, path: str, body: Any, kind: str = STRATEGIC) -> dict[str, Any]:
        """PATCH. Raises KubernetesError."""
        return await self._ask("PATCH", path, {}, body, kind)

    async def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply: made if it is not there, changed if it is. Raises KubernetesError."""
        query = {"fieldManager": "eks", "force": "true"}
        return await self._ask("PATCH", path, query, body, "application/apply-patch+yaml")

    async def delete(self, path: str, **query: str) -> None:
        """DELETE; what is not there is fine. Raises KubernetesError."""
        try:
            await self._ask("DELETE", path, query)
        except KubernetesError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def answers(self) -> bool:
        """Whether it is up and ready."""
        try:
            return await self._place.call(self._ready)
        except (httpx2.HTTPError, RuntimeError):
            return False

    def _ready(self) -> bool:
        return self._client.get("/readyz", timeout=2.0).status_code == HTTPStatus.OK

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        kind: str = "application/json",
    ) -> dict[str, Any]:
        return await self._place.call(self._request, method, path, dict(query), body, kind)

    def _request(self, method: str, path: str, query: dict[str, str], body: Any, kind: str) -> dict[str, Any]:
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": kind} if content else {}
        try:
            answer = self._client.request(method, path, params=query, content=content, headers=headers)
        except httpx2.HTTPError as error:
            raise KubernetesError(f"{method} {path}: the API server did not answer ({error!r})") from error
        if answer.is_success:
            return dict(answer.json())
        try:
            said = str(answer.json().get("message", answer.text))
        except ValueError:
            said = answer.text
        raise KubernetesError(f"{method} {path}: {said}", answer.status_code)


def _context(authority: bytes, who: Credentials) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.decode())
    # OpenSSL takes a client's certificate from a file alone
    with tempfile.NamedTemporaryFile() as file:
        file.write(who.certificate + who.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context
