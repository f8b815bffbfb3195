"""EC2's endpoint: an ASGI application over a region."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.model import OperationModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vpclab.aws import model, wire
from vpclab.aws.call_log import Call, CallLog
from vpclab.aws.operations import OPERATIONS, Operation
from vpclab.aws.wire import Parameters
from vpclab.region.region import Region
from vpclab.region.values import ApiError

Clock = Callable[[], float]
InstanceOf = Callable[[str], str | None]
"""From a client's address to the instance it belongs to."""
TOKENS_KEPT = 1000
"""Idempotency tokens that are remembered."""
_KEY_ID = re.compile(r"Credential=([^/,\s]+)/")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """What has been understood of a request so far."""

    action: str
    operation: Operation
    shapes: OperationModel
    parameters: Parameters


class Ec2:
    """The application. Everything that touches the region runs in the loop that serves it."""

    def __init__(
        self,
        region: Region,
        clock: Clock,
        *,
        instance_of: InstanceOf | None = None,
        log: CallLog | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.log = CallLog() if log is None else log
        self._region = region
        self._clock = clock
        self._instance_of = instance_of or (lambda _: None)
        self._on_change = on_change or (lambda: None)
        self._model: model.Model | None = None
        self._answered: dict[tuple[str, str], tuple[Parameters, str]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        request = Request(scope, receive)
        try:
            encoded = (await request.body()).decode(errors="replace") or request.url.query
        except ClientDisconnect:
            return
        source = request.client.host if request.client is not None else ""
        status, body = await self.answer(encoded, request.headers, source)
        await Response(body, status, media_type="text/xml;charset=UTF-8")(scope, receive, send)

    async def answer(self, encoded: str, headers: Mapping[str, str], source: str) -> tuple[int, str]:
        """One request: the status and the XML. The log has it afterwards."""
        began = self._clock()
        self._region.advance(began)
        request_id = self._region.gate.request_id()
        fields: dict[str, str] = {}
        status, code = 200, ""
        try:
            fields = wire.fields_of(encoded)
            _check_signed(fields, headers)
            body = await self._perform(self._understand(fields), request_id)
        except ApiError as error:
            status, code, body = error.status, error.code, wire.refusal(error, request_id)
        except Exception:  # noqa: BLE001 — a client gets XML whatever happens here
            _log.exception("EC2 %s failed in the lab itself", fields.get("Action"))
            failure = ApiError("InternalError", "An internal error has occurred", 500)
            status, code, body = failure.status, failure.code, wire.refusal(failure, request_id)
        if self._region.has_changes:
            self._on_change()
        action = fields.get("Action", "")
        seconds = self._clock() - began
        self.log.add(Call(began, source, self._instance_of(source), action, code, seconds))
        return status, body

    def _understand(self, fields: Mapping[str, str]) -> _Request:
        if self._model is None:
            self._model = model.load(frozenset(OPERATIONS))
        action = fields.get("Action", "")
        operation = OPERATIONS.get(action)
        if operation is None:
            why = " The lab does not emulate it." if action in self._model.known else ""
            raise ApiError("InvalidAction", f"The action {action} is not valid for this web service.{why}")
        shapes = self._model.operation(action)
        parameters = wire.parameters(shapes, fields)
        strange = sorted(parameters.keys() - operation.parameters)
        if strange:
            raise ApiError(
                "UnsupportedOperation", f"The lab does not emulate {', '.join(strange)} of {action}."
            )
        return _Request(action, operation, shapes, parameters)

    async def _perform(self, request: _Request, request_id: str) -> str:
        gate, action = self._region.gate, request.action
        gate.admit(action, self._region.now, whole=not request.parameters.keys() - {"DryRun"})
        if request.parameters.get("DryRun"):
            raise ApiError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        # The effect lies in the middle of the call: a client that dies while it waits leaves what it asked for.
        half = gate.call_seconds(action) / 2
        await self._wait(half)
        try:
            return self._once(request, request_id)
        finally:
            await self._wait(half)

    def _once(self, request: _Request, request_id: str) -> str:
        """Perform, or say again what was said to the same ClientToken."""
        token = request.parameters.get("ClientToken")
        if token is None:
            return self._respond(request, request_id)
        key = (request.action, token)
        if key in self._answered:
            before, body = self._answered[key]
            if before != request.parameters:
                raise ApiError(
                    "IdempotentParameterMismatch", f"The ClientToken {token} was used with other parameters."
                )
            return body
        body = self._respond(request, request_id)
        if len(self._answered) >= TOKENS_KEPT:
            del self._answered[next(iter(self._answered))]
        self._answered[key] = (request.parameters, body)
        return body

    def _respond(self, request: _Request, request_id: str) -> str:
        return wire.response(
            request.shapes, request_id, request.operation.perform(self._region, request.parameters)
        )

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)
            self._region.advance(self._clock())


def ec2_app(region: Region, clock: Clock, **options: Any) -> Ec2:
    """EC2's endpoint as an ASGI application; options are those of `Ec2`."""
    return Ec2(region, clock, **options)


def _check_signed(fields: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """A request names a key; any key will do and its signature is not verified."""
    header = headers.get("authorization", "")
    if not (_KEY_ID.search(header) or "X-Amz-Credential" in fields or "AWSAccessKeyId" in fields):
        raise ApiError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
