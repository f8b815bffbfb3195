"""The query protocol (STS, IAM, CloudFormation, Auto Scaling) and EC2's dialect: forms in, XML out."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from vpclab.aws.model import Model
from vpclab.aws.protocols import refusals
from vpclab.aws.protocols.form import Form, Parameters
from vpclab.aws.request import Answer, RawRequest
from vpclab.region.values import ApiError

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
MEDIA_TYPE = "text/xml;charset=UTF-8"


class Query:
    """The query protocol."""

    codes = refusals.QUERY
    _ec2 = False
    _item = "member"

    def __init__(self) -> None:
        self._form = Form(ec2=self._ec2)

    def action(self, model: Model, request: RawRequest) -> str:
        """The operation that is asked for. Raises ApiError: MalformedQueryString."""
        del model
        return request.form.get("Action", "")

    def parameters(self, model: Model, operation: OperationModel, request: RawRequest) -> Parameters:
        """The operation's typed parameters. Raises RefusedError."""
        del model
        return self._form.parameters(operation, request.form)

    def answer(
        self, model: Model, operation: OperationModel, values: Mapping[str, Any], request_id: str
    ) -> Answer:
        """An answer, inside the wrapper that the operation has."""
        name, shape = operation.name, operation.output_shape
        parts = [HEAD, f"<{name}Response xmlns={quoteattr(model.namespace)}>"]
        if shape is not None:
            wrapper = shape.serialization.get("resultWrapper", f"{name}Result")
            parts.append(f"<{wrapper}>")
            self._members(shape, values, parts)
            parts.append(f"</{wrapper}>")
        parts.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>")
        parts.append(f"</{name}Response>")
        return _xml(200, "".join(parts), request_id)

    def refusal(self, model: Model | None, error: ApiError, request_id: str) -> Answer:
        """AWS's own shape of an error."""
        namespace = "" if model is None else f" xmlns={quoteattr(model.namespace)}"
        status = error.status if model is None else model.status_of(error.code, error.status)
        fault = "Sender" if status < 500 else "Receiver"
        return _xml(
            status,
            f"{HEAD}<ErrorResponse{namespace}><Error><Type>{fault}</Type><Code>{escape(error.code)}</Code>"
            f"<Message>{escape(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
            request_id,
        )

    def _members(self, shape: StructureShape, values: Mapping[str, Any], parts: list[str]) -> None:
        for name, value in values.items():
            if value is not None:
                member = shape.members[name]
                self._write(str(member.serialization.get("name", name)), member, value, parts)

    def _write(self, tag: str, shape: Shape, value: Any, parts: list[str]) -> None:
        if isinstance(shape, StructureShape):
            if value:  # an empty element would be an empty object to a client, not none
                parts.append(f"<{tag}>")
                self._members(shape, value, parts)
                parts.append(f"</{tag}>")
        elif isinstance(shape, ListShape):
            self._list(tag, shape, value, parts)
        elif isinstance(shape, MapShape):
            parts.append(f"<{tag}>")
            for key, entry in value.items():
                parts.append("<entry>")
                self._write(str(shape.key.serialization.get("name", "key")), shape.key, key, parts)
                self._write(str(shape.value.serialization.get("name", "value")), shape.value, entry, parts)
                parts.append("</entry>")
            parts.append(f"</{tag}>")
        else:
            parts.append(f"<{tag}>{escape(self._spoken(value))}</{tag}>")

    def _list(self, tag: str, shape: ListShape, value: Any, parts: list[str]) -> None:
        own = shape.member.serialization.get("name")
        if shape.serialization.get("flattened") and not self._ec2:
            for entry in value:
                self._write(str(own or tag), shape.member, entry, parts)
            return
        item = str(own or self._item)
        parts.append(f"<{tag}>")
        for entry in value:
            self._write(item, shape.member, entry, parts)
        parts.append(f"</{tag}>")

    def _spoken(self, value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, dt.datetime):
            return self._moment(value.astimezone(dt.UTC))
        return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)

    def _moment(self, value: dt.datetime) -> str:
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


class Ec2Query(Query):
    """EC2's dialect: lists without a level of their own, no wrapper, errors in a list."""

    codes = refusals.EC2
    _ec2 = True
    _item = "item"

    def answer(
        self, model: Model, operation: OperationModel, values: Mapping[str, Any], request_id: str
    ) -> Answer:
        """An answer. An operation without an output of its own answers true."""
        name, shape = operation.name, operation.output_shape
        parts = [HEAD, f"<{name}Response xmlns={quoteattr(model.namespace + '/')}>"]
        parts.append(f"<requestId>{request_id}</requestId>")
        if shape is None:
            parts.append("<return>true</return>")
        else:
            self._members(shape, values, parts)
        parts.append(f"</{name}Response>")
        return _xml(200, "".join(parts), request_id)

    def refusal(self, model: Model | None, error: ApiError, request_id: str) -> Answer:
        """AWS's own shape of an error."""
        del model
        return _xml(
            error.status,
            f"{HEAD}<Response><Errors><Error><Code>{escape(error.code)}</Code>"
            f"<Message>{escape(error.message)}</Message></Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>",
            request_id,
        )

    def _moment(self, value: dt.datetime) -> str:
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")  # EC2 tells no parts of seconds


def _xml(status: int, body: str, request_id: str) -> Answer:
    return Answer(status, body, MEDIA_TYPE, {"x-amzn-RequestId": request_id})
