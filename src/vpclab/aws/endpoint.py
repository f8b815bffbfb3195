"""The one endpoint of all services: an ASGI application."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from botocore.model import OperationModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vpclab.aws import model, sigv4, which
from vpclab.aws.call_log import Call, CallLog
from vpclab.aws.keys import Key
from vpclab.aws.protocols import CODECS, Codec, Parameters, Refusal, RefusedError
from vpclab.aws.request import Answer, RawRequest
from vpclab.aws.service import Cloud, Context, Operation, Service
from vpclab.region.values import ApiError

Clock = Callable[[], float]
InstanceOf = Callable[[str], str | None]
"""From a client's address to the instance it belongs to."""
READS = re.compile(r"(Describe|List|Get(?!SessionToken|FederationToken)|Validate|Estimate|Detect)")
"""Operations that change nothing, by the beginnings of their names."""
TOKENS_KEPT = 1000
"""Idempotency tokens that are remembered."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Asked:
    """What has been understood of a request so far."""

    request: RawRequest
    request_id: str
    service: Service | None = None
    model: model.Model | None = None
    codec: Codec = field(default_factory=lambda: CODECS["query"])
    action: str = ""


@dataclass(frozen=True, slots=True)
class _Understood:
    """A request that is to be performed."""

    service: Service
    action: str
    operation: Operation
    shapes: OperationModel
    parameters: Parameters
    respond: Callable[[], Answer]


class Endpoint:
    """The application. Everything that touches the cloud runs in the loop that serves it."""

    def __init__(
        self,
        cloud: Cloud,
        clock: Clock,
        *,
        instance_of: InstanceOf | None = None,
        log: CallLog | None = None,
        on_change: Callable[[], None] | None = None,
        performed: Callable[[], None] | None = None,
        strict_auth: bool = False,
    ) -> None:
        self.log = CallLog() if log is None else log
        self.strict_auth = strict_auth
        """Whether signatures are verified; else any key will do."""
        self._cloud = cloud
        self._region = cloud.region
        self._clock = clock
        self._instance_of = instance_of or (lambda _: None)
        self._on_change = on_change or (lambda: None)
        self._performed = performed or (lambda: None)
        """Called when a request may have changed something, before it is answered."""
        self._answered: dict[tuple[str, str, str], tuple[Parameters, Answer]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        incoming = Request(scope, receive)
        try:
            body = await incoming.body()
        except ClientDisconnect:
            return
        path = scope.get("raw_path") or scope["path"].encode()
        headers: dict[str, str] = {}
        for name, value in incoming.headers.items():
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        request = RawRequest(
            method=incoming.method,
            path=path.decode("ascii", "replace").partition("?")[0],
            query=scope["query_string"].decode("ascii", "replace"),
            headers=headers,
            body=body,
            source=incoming.client.host if incoming.client is not None else "",
        )
        answer = await self.answer(request)
        await Response(answer.body, answer.status, dict(answer.headers), answer.media_type)(
            scope, receive, send
        )

    async def answer(self, request: RawRequest) -> Answer:
        """One request. The log has it afterwards."""
        began = self._clock()
        self._region.advance(began)
        asked = _Asked(request, self._region.gate.request_id())
        code = ""
        try:
            answer = await self._perform(self._understand(asked))
            if not READS.match(asked.action):
                self._performed()
        except RefusedError as refused:
            error = refused.spoken(asked.codec.codes)
            code, answer = error.code, asked.codec.refusal(asked.model, error, asked.request_id)
        except ApiError as error:
            code, answer = error.code, asked.codec.refusal(asked.model, error, asked.request_id)
        except Exception:  # noqa: BLE001 — a client gets its answer whatever happens here
            _log.exception(
                "%s %s failed in the lab itself", asked.service and asked.service.name, asked.action
            )
            failure = RefusedError(Refusal.INTERNAL, "An internal error has occurred").spoken(
                asked.codec.codes
            )
            code, answer = failure.code, asked.codec.refusal(asked.model, failure, asked.request_id)
        if self._region.has_changes:
            self._on_change()
        service = "" if asked.service is None else asked.service.name
        self.log.add(
            Call(
                began,
                request.source,
                self._instance_of(request.source),
                asked.action,
                code,
                self._clock() - began,
                service,
            )
        )
        return answer

    def _understand(self, asked: _Asked) -> _Understood:
        request = asked.request
        name = which.service_of(request, self._cloud.services)
        service = self._cloud.services.get(name)
        if service is None:
            asked.codec, asked.action = _likely(request)
            served = ", ".join(sorted(self._cloud.services))
            raise RefusedError(
                Refusal.UNKNOWN_OPERATION,
                f"The lab does not emulate the service {name}: it has {served}."
                if name
                else "The request does not say which service it is for.",
            )
        asked.service = service
        asked.model = shapes = model.load(name, frozenset(service.operations))
        asked.codec = codec = CODECS[shapes.service.metadata["protocol"]]
        asked.action = action = codec.action(shapes, request)
        operation = service.operations.get(action)
        caller = self._authenticate(request, operation, shapes, action)
        if operation is None:
            why = " The lab does not emulate it." if action in shapes.known else ""
            raise RefusedError(
                Refusal.UNKNOWN_OPERATION, f"The action {action} is not valid for this web service.{why}"
            )
        of_operation = shapes.operation(action)
        parameters = codec.parameters(shapes, of_operation, request)
        strange = operation.strange(parameters)
        if strange:
            raise RefusedError(
                Refusal.NOT_EMULATED, f"The lab does not emulate {', '.join(strange)} of {action}."
            )
        context = Context(self._cloud, caller, asked.request_id)

        def respond() -> Answer:
            values = operation.perform(context, parameters)
            return codec.answer(shapes, of_operation, values, asked.request_id)

        return _Understood(service, action, operation, of_operation, parameters, respond)

    def _authenticate(
        self, request: RawRequest, operation: Operation | None, shapes: model.Model, action: str
    ) -> Key:
        """Who calls; with strict_auth only if it is proven. Raises RefusedError."""
        keys = self._cloud.keys
        if operation is not None and _needs_no_signature(shapes.operation(action)):
            return keys.admin
        said = sigv4.claim(request)
        if said is not None:
            if self.strict_auth:
                sigv4.verify(request, said, keys, self._region.name, self._region.now)
            return keys.whose(said.key_id)
        if not self.strict_auth and shapes.service.metadata["protocol"] in ("ec2", "query"):
            older = request.form.get("AWSAccessKeyId")  # signature version 2
            if older is not None:
                return keys.whose(older)
        raise RefusedError(Refusal.UNSIGNED, "Request is missing Authentication Token")

    async def _perform(self, asked: _Understood) -> Answer:
        gate = self._region.gate
        name = call_name(asked.service.name, asked.action)
        try:
            gate.admit(name, self._region.now, whole=not asked.parameters.keys() - {"DryRun"})
        except ApiError as error:
            if error.code == gate.THROTTLED and asked.service.name != "ec2":
                raise RefusedError(Refusal.THROTTLED, "Rate exceeded") from None
            raise
        if asked.parameters.get("DryRun"):
            raise ApiError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        # The effect lies in the middle of the call: a client that dies while it waits leaves what it asked for.
        half = gate.call_seconds(name) / 2
        await self._wait(half)
        try:
            return self._once(asked)
        finally:
            await self._wait(half)

    def _once(self, asked: _Understood) -> Answer:
        """Perform, or say again what was said to the same idempotency token."""
        token = _token(asked)
        if token is None:
            return asked.respond()
        key = (asked.service.name, asked.action, token)
        if key in self._answered:
            before, answer = self._answered[key]
            if before != asked.parameters:
                raise RefusedError(
                    Refusal.TOKEN_REUSED, f"The client token {token} was used with other parameters."
                )
            return answer
        answer = asked.respond()
        if len(self._answered) >= TOKENS_KEPT:
            del self._answered[next(iter(self._answered))]
        self._answered[key] = (asked.parameters, answer)
        return answer

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)
            self._region.advance(self._clock())


def call_name(service: str, action: str) -> str:
    """How a call is named in faults, limits and counts: EC2's by its action, others' with their service before it."""
    return action if service in ("", "ec2") else f"{service}:{action}"


def _token(asked: _Understood) -> str | None:
    for name in ("ClientToken", *asked.shapes.idempotent_members):
        if name in asked.parameters:
            return str(asked.parameters[name])
    return None


def _needs_no_signature(shapes: OperationModel) -> bool:
    return shapes.auth_type == "none" or "smithy.api#noAuth" in (shapes.auth or ())


def _likely(request: RawRequest) -> tuple[Codec, str]:
    """How a service speaks that is not known, and what it was asked for, as far as the request shows it."""
    target = request.headers.get("x-amz-target")
    if target is not None:
        return CODECS["json"], target.rpartition(".")[2]
    try:
        action = request.form.get("Action")
    except ApiError:
        action = None
    if action is not None:
        return CODECS["query"], action
    return CODECS["rest-json"], f"{request.method} {request.path}"
