"""The REST-JSON protocol (EKS): the operation is in method and path, parameters in path, query string, headers and body."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from vpclab.aws.model import Model
from vpclab.aws.protocols import json_values, refusals
from vpclab.aws.protocols.form import READERS, Parameters
from vpclab.aws.protocols.refusals import Refusal, RefusedError
from vpclab.aws.request import Answer, RawRequest
from vpclab.region.values import ApiError


class RestJson:
    """The protocol."""

    codes = refusals.REST_JSON

    def action(self, model: Model, request: RawRequest) -> str:
        """The operation that is asked for; method and path if there is none like that."""
        for method, pattern, name in _routes(model):
            if method == request.method and pattern.fullmatch(request.path):
                return name
        return f"{request.method} {request.path}"

    def parameters(self, model: Model, operation: OperationModel, request: RawRequest) -> Parameters:
        """The operation's typed parameters. Raises RefusedError."""
        shape = operation.input_shape
        if shape is None:
            return {}
        place = next(pattern for _, pattern, name in _routes(model) if name == operation.name)
        match = place.fullmatch(request.path)
        in_path = {} if match is None else dict(zip(_names(operation), match.groups(), strict=True))
        asked = parse_qs(request.query, keep_blank_values=True)
        found: dict[str, Any] = {}
        in_body: dict[str, Shape] = {}
        for name, member in shape.members.items():
            location = member.serialization.get("location")
            key = str(member.serialization.get("name", name))
            if location is None:
                in_body[name] = member
            elif location == "uri":
                found[name] = _typed(member, [unquote(in_path[key])], key)
            elif location == "querystring" and isinstance(member, MapShape):
                found[name] = {k: v[0] for k, v in asked.items()}
            elif location == "querystring" and key in asked:
                found[name] = _typed(member, asked[key], key)
            elif location == "header" and key.lower() in request.headers:
                found[name] = _typed(member, [request.headers[key.lower()]], key)
            elif name in shape.required_members:
                raise json_values.missing(key)
        return found | _body(shape, in_body, request.body)

    def answer(
        self, model: Model, operation: OperationModel, values: Mapping[str, Any], request_id: str
    ) -> Answer:
        """An answer."""
        del model
        shape = operation.output_shape
        body, headers = {}, {"x-amzn-RequestId": request_id}
        status = int(operation.http.get("responseCode", 200))
        if shape is not None:
            payload = shape.serialization.get("payload")
            for name, value in values.items():
                member = shape.members[name]
                location = member.serialization.get("location")
                key = str(member.serialization.get("name", name))
                if value is None:
                    continue
                if location == "header":
                    headers[key] = str(json_values.spoken(member, value))
                elif location == "statusCode":
                    status = int(value)
                elif name == payload:
                    body = json_values.spoken(member, value)
                else:
                    body[key] = json_values.spoken(member, value)
        return Answer(status, json.dumps(body), "application/json", headers)

    def refusal(self, model: Model | None, error: ApiError, request_id: str) -> Answer:
        """AWS's own shape of an error: its fields from the model, its status too where the error does not say one."""
        status, fields = error.status, {}
        shape = None if model is None else model.service.shape_for_error_code(error.code)
        if model is not None and shape is not None:
            status = model.status_of(error.code, status)
            fields = dict.fromkeys(name for name in shape.members if name.lower() != "message")
        body = {**fields, **error.fields, "message": error.message}
        headers = {"x-amzn-RequestId": request_id, "x-amzn-ErrorType": error.code}
        return Answer(status, json.dumps(body), "application/json", headers)


@functools.lru_cache(maxsize=16)
def _routes(model: Model) -> tuple[tuple[str, re.Pattern[str], str], ...]:
    """Every route that the service has, those with the fewest variables first: /addons/x before /addons/{name}."""

    def pattern(template: str) -> re.Pattern[str]:
        parts = re.split(r"(\{[^}]+\})", template.partition("?")[0])
        return re.compile(
            "".join(
                re.escape(part) if not part.startswith("{") else "(.+)" if part.endswith("+}") else "([^/]+)"
                for part in parts
            )
        )

    ranked = sorted(model.routes, key=lambda route: (route[1].count("{"), route[1].count("+}")))
    return tuple((method, pattern(template), name) for method, template, name in ranked)


def _names(operation: OperationModel) -> list[str]:
    return re.findall(r"\{([^}+]+)\+?\}", operation.http["requestUri"].partition("?")[0])


def _typed(shape: Shape, texts: Sequence[str], name: str) -> Any:
    if isinstance(shape, ListShape):
        return [_typed(shape.member, [text], name) for text in texts]
    reader = READERS.get(shape.type_name)
    try:
        return texts[0] if reader is None else reader(texts[0])
    except (ValueError, KeyError):
        raise RefusedError(
            Refusal.INVALID_VALUE, f"Value ({texts[0]}) for parameter {name} is invalid."
        ) from None


def _body(shape: StructureShape, members: Mapping[str, Shape], body: bytes) -> dict[str, Any]:
    payload = shape.serialization.get("payload")
    if payload is not None:
        inner = members[payload]
        if not isinstance(inner, StructureShape):
            return {payload: body}
        return {payload: json_values.read(inner, json_values.parsed(body))} if body.strip() else {}
    given = json_values.parsed(body)
    if not isinstance(given, dict):
        raise RefusedError(Refusal.MALFORMED, "The request body is not an object.")
    return json_values.read_members(shape, members, given)
