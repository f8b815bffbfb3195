"""The Kubernetes API over HTTP, with the service account that the pod runs under.

Only this module imports the HTTP library, and it is loaded only where a cluster is configured.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import httpx2

from vpccni import VERSION
from vpccni.kube.access import Access, AccessError
from vpccni.kube.port import (
    CONFLICT,
    NOT_FOUND,
    EniConfig,
    Event,
    KubeError,
    NodeCondition,
    NodeView,
    PodView,
    Taint,
)

USER_AGENT = f"amazon-vpc-cni-k8s/{VERSION}"
TIMEOUT = 5.0
"""Seconds for a call (spec 1.4)."""
PAGE = 500
"""Objects of a list that are asked for at once."""
WATCH_SECONDS = 240
"""After this the API server ends a watch. A connection that died unseen is given up a little later."""
TOKEN_AGE = 60.0
"""Seconds after which the token is read again: kubelet renews the file."""
CONFLICT_PAUSES = (0.01, 0.05, 0.25)
"""Seconds before each further try of a change that met another's (spec 7.4)."""
RESUME_PAUSE = 1.0
"""Seconds between a stream's end and the next one: a load balancer that cuts each at once must not make us spin."""
CORDONED = Taint("node.kubernetes.io/unschedulable", "NoSchedule")
CONTROLLER = "aws-node"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
MOST_NOTE = 1024
"""Bytes that the API server takes in an event's note."""
CNI_NODES = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
ENI_CONFIGS = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"
UNAUTHORISED = 401
NO_ANSWER = (httpx2.HTTPError, OSError, ValueError)
"""OSError: what TLS refuses after the handshake (a certificate that is wanted) reaches us bare. ValueError: no JSON, or a
line that came only in part."""

Json = dict[str, Any]


class Token(httpx2.Auth):
    """A bearer token from a file that somebody renews; a refused one is read again at once."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._text = ""
        self._read_at: float | None = None

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send with the token; once more with the file's content of now if that was refused."""
        if self._read_at is None or self._clock() - self._read_at >= TOKEN_AGE:
            self._read()
        used = self._put_on(request)
        answer = yield request
        if answer.status_code == UNAUTHORISED:
            self._read()
            if self._text != used:
                self._put_on(request)
                yield request

    def _put_on(self, request: httpx2.Request) -> str:
        request.headers["Authorization"] = f"Bearer {self._text}"
        return self._text

    def _read(self) -> None:
        try:
            self._text = self._path.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise KubeError(
                None, f"the service account's token {self._path} cannot be read: {error}"
            ) from error
        self._read_at = self._clock()


class HttpCluster:
    """A `Cluster` that is an API server; `reporter` is the instance that events name. Sends nothing before it is asked.

    Raises AccessError where the address, the CA or the certificate cannot be used.
    """

    def __init__(self, access: Access, *, reporter: str) -> None:
        self._reporter = reporter
        headers = {"User-Agent": USER_AGENT}
        if access.token and access.token_file is None:
            headers["Authorization"] = f"Bearer {access.token}"
        try:
            self._client = httpx2.AsyncClient(
                base_url=access.url,
                auth=Token(access.token_file) if access.token_file is not None else None,
                verify=_trust(access),
                headers=headers,
                timeout=TIMEOUT,
                trust_env=False,  # the API server is in the VPC or the cluster: a proxy for the internet is not for it
            )
        except httpx2.InvalidURL as error:
            raise AccessError(f"{access.url!r} is no address of an API server: {error}") from error

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.aclose()

    async def version(self) -> str:
        """What the API server is; that it answers is what is wanted to know."""
        return str((await self._call("GET", "/version")).get("gitVersion", ""))

    async def node(self, name: str) -> NodeView:
        """The node as it is now."""
        return node_view(await self._call("GET", f"/api/v1/nodes/{quote(name, safe='')}"))

    async def watch_node(self, name: str) -> AsyncGenerator[NodeView, None]:
        """The node now, after each change, and as it was where the API server only shows that it is there.

        A stream that breaks after it told something goes on from there.
        """
        only = {"fieldSelector": f"metadata.name={name}"}
        listed = await self._call("GET", "/api/v1/nodes", params=only)
        if not listed.get("items"):
            raise KubeError(NOT_FOUND, f"there is no node {name}")
        view = node_view(listed["items"][0])
        yield view
        version = listed["metadata"]["resourceVersion"]
        told = True
        while told:
            told = False
            stream = self._watch("/api/v1/nodes", {**only, "resourceVersion": version})
            async with aclosing(stream):
                async for event in stream:
                    told = True
                    kind, thing = event["type"], event["object"]
                    if kind == "ERROR":
                        raise KubeError(thing.get("code"), thing.get("message", "the watch failed"))
                    if kind == "DELETED":
                        raise KubeError(NOT_FOUND, f"the node {name} was deleted")
                    version = thing["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        view = node_view(thing)
                    yield view
            if told:
                await asyncio.sleep(RESUME_PAUSE)

    async def eni_config(self, name: str) -> EniConfig | None:
        """An ENIConfig; None if there is none of that name."""
        try:
            found = await self._call("GET", f"{ENI_CONFIGS}/{quote(name, safe='')}")
        except KubeError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        spec = found.get("spec") or {}
        return EniConfig(spec.get("subnet") or "", tuple(spec.get("securityGroups") or ()))

    async def pod(self, namespace: str, name: str) -> PodView | None:
        """A pod as it is now; None if there is none of that name."""
        try:
            return pod_view(await self._call("GET", _pod(namespace, name)))
        except KubeError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def ask_for_feature(self, node: str, feature: str, value: str = "") -> bool:
        """Write a feature in the node's CNINode (spec 7.2), beside those that are there; False if it is there already."""
        path = f"{CNI_NODES}/{quote(node, safe='')}"
        pauses = iter(CONFLICT_PAUSES)
        while True:
            found = await self._call("GET", path)
            listed = (found.get("spec") or {}).get("features") or []
            wanted = {"name": feature, **({"value": value} if value else {})}
            if wanted in listed:
                return False
            others = [one for one in listed if one.get("name") != feature]
            version = {"resourceVersion": found["metadata"]["resourceVersion"]}
            try:
                await self._call(
                    "PATCH", path, body={"metadata": version, "spec": {"features": [*others, wanted]}}
                )
            except KubeError as error:
                pause = next(pauses, None)
                if error.status != CONFLICT or pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                return True

    async def annotate_pod(
        self, namespace: str, name: str, key: str, value: str, *, only_if: str | None = None
    ) -> bool:
        """Set an annotation; with `only_if` only while it has that value, and False if it has another."""
        path = _pod(namespace, name)
        pauses = iter(CONFLICT_PAUSES)
        while True:
            change: Json = {"annotations": {key: value}}
            if only_if is not None:
                found = (await self._call("GET", path))["metadata"]
                if (found.get("annotations") or {}).get(key) != only_if:
                    return False
                # between our look and our change nobody may have changed it
                change["resourceVersion"] = found["resourceVersion"]
            try:
                await self._call("PATCH", path, body={"metadata": change})
            except KubeError as error:
                pause = next(pauses, None)
                if error.status != CONFLICT or pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                return True

    async def event(self, event: Event) -> None:
        """Put a warning on a pod (spec 8.5). `kubectl describe` finds it by the pod's UID, so that is asked for first."""
        pod = (await self._call("GET", _pod(event.namespace, event.pod)))["metadata"]
        await self._call(
            "POST",
            f"/apis/events.k8s.io/v1/namespaces/{quote(event.namespace, safe='')}/events",
            body={
                "apiVersion": "events.k8s.io/v1",
                "kind": "Event",
                "metadata": {"namespace": event.namespace, "name": f"{event.pod[:220].rstrip('-.')}.{uuid.uuid4().hex[:16]}"},
                "eventTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "reportingController": CONTROLLER,
                "reportingInstance": self._reporter[:128],
                "type": "Warning",
                "reason": event.reason,
                "action": event.action,
                "note": event.note.encode()[:MOST_NOTE].decode(errors="ignore"),
                "regarding": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "namespace": event.namespace,
                    "name": event.pod,
                    "uid": pod["uid"],
                },
            },
        )  # fmt: skip

    async def set_node_condition(self, node: str, condition: NodeCondition, *, changed: bool) -> None:
        """Write one of the node's conditions; the others stay, for a strategic merge knows them by their type."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        line = {
            "type": condition.type,
            "status": str(condition.holds),
            "reason": condition.reason,
            "message": condition.message.encode()[:MOST_NOTE].decode(errors="ignore"),
            "lastHeartbeatTime": now,
            **({"lastTransitionTime": now} if changed else {}),
        }
        path = f"/api/v1/nodes/{quote(node, safe='')}/status"
        await self._call("PATCH", path, body={"status": {"conditions": [line]}}, patch=STRATEGIC)

    async def listed(self, path: str, *, field: str = "") -> list[Json]:
        """Every object of a list, page by page; with a field selector, of those that it takes. Not the agent's to call."""
        params = {"limit": str(PAGE), **({"fieldSelector": field} if field else {})}
        found: list[Json] = []
        while True:
            page = await self._call("GET", path, params=params)
            found += page.get("items") or ()
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return found
            params["continue"] = token

    async def _watch(self, path: str, params: Mapping[str, str]) -> AsyncGenerator[Json, None]:
        """The events of one stream until it ends or breaks; one that breaks before it told anything is a failure."""
        params = {
            **params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        patience = httpx2.Timeout(TIMEOUT, read=WATCH_SECONDS + 2 * TIMEOUT)
        told = False
        try:
            async with self._client.stream("GET", path, params=params, timeout=patience) as answer:
                if answer.is_error:
                    await answer.aread()
                    _refuse(answer)
                async for line in answer.aiter_lines():
                    event = json.loads(line)
                    told = True
                    yield event
        except NO_ANSWER as error:
            if not told:
                raise _unanswered(error) from error

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json | None = None,
        patch: str = MERGE,
    ) -> Json:
        kind = patch if method == "PATCH" else "application/json"
        content = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", **({} if body is None else {"Content-Type": kind})}
        try:
            answer = await self._client.request(method, path, params=params, content=content, headers=headers)
            if answer.is_error:
                _refuse(answer)
            got = answer.json()
        except NO_ANSWER as error:
            raise _unanswered(error) from error
        if not isinstance(got, dict):
            raise KubeError(None, f"{method} {path} was answered with something that is no object")
        return got


def node_view(node: Json) -> NodeView:
    """What the agent wants of a Node object."""
    meta, spec = node.get("metadata") or {}, node.get("spec") or {}
    taints = tuple(Taint(t["key"], t["effect"], t.get("value") or "") for t in spec.get("taints") or ())
    pods = str(((node.get("status") or {}).get("capacity") or {}).get("pods", ""))
    return NodeView(
        labels=dict(meta.get("labels") or {}),
        annotations=dict(meta.get("annotations") or {}),
        taints=taints,
        unschedulable=bool(spec.get("unschedulable"))
        or any((t.key, t.effect) == (CORDONED.key, CORDONED.effect) for t in taints),
        max_pods=int(pods) if pods.isascii() and pods.isdigit() else None,
    )


def pod_view(pod: Json) -> PodView:
    """What the agent wants of a Pod object."""
    meta = pod.get("metadata") or {}
    containers = (pod.get("spec") or {}).get("containers") or [{}]
    limits = (containers[0].get("resources") or {}).get("limits") or {}
    return PodView(str(meta.get("uid", "")), dict(meta.get("annotations") or {}), frozenset(limits))


def _pod(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"


def _refuse(answer: httpx2.Response) -> NoReturn:
    """The API server's Status object has the sentence; something before it (a load balancer) may answer otherwise."""
    try:
        message = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = answer.text[:200].strip() or answer.reason_phrase
    raise KubeError(answer.status_code, message)


def _unanswered(error: Exception) -> KubeError:
    late = isinstance(error, httpx2.TimeoutException)
    why = "no answer in time" if late else str(error) or type(error).__name__
    return KubeError(None, f"the API server did not answer: {why}", timed_out=late)


def _trust(access: Access) -> ssl.SSLContext:
    """Whom to believe, and with which certificate to tell who we are."""
    try:
        if access.ca is not None and not access.ca.strip():
            # for OpenSSL's wrapper no text is no choice: it would trust whom the machine trusts
            raise ValueError("the CA is empty")
        if access.ca is None and not access.url.lower().startswith("https:"):
            # nothing is asked of it, and whom the machine trusts takes long to load
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        else:
            context = ssl.create_default_context(cadata=access.ca)
        if access.certificate:
            # OpenSSL takes a key from a file only; this one is never on a disk
            held = os.memfd_create("client-certificate")
            try:
                os.write(held, access.certificate.encode())
                context.load_cert_chain(f"/proc/self/fd/{held}")
            finally:
                os.close(held)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise AccessError(
            f"the CA or the client certificate for {access.url} cannot be used: {error}"
        ) from error
    return context
