"""The EC2 query protocol, generic over the service model that botocore ships: requests in, XML out."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.loaders import Loader
from botocore.model import ServiceModel

from vpclab.region.values import ApiError

VERSION = "2016-11-15"
NAMESPACE = f"http://ec2.amazonaws.com/doc/{VERSION}/"


@cache
def ec2_model() -> ServiceModel:
    """EC2 as botocore knows it: a third of a second, once."""
    return ServiceModel(Loader().load_service_model("ec2", "service-2", VERSION), "ec2")


def parse_request(body: str) -> tuple[str, dict[str, Any]]:
    """The action and its parameters, typed. Raises ApiError for an action that EC2 does not have."""
    fields = dict(parse_qsl(body, keep_blank_values=True))
    action = fields.get("Action", "")
    model = ec2_model()
    if action not in model.operation_names:
        raise ApiError("InvalidAction", f"The action '{action}' is not valid for this web service.")
    shape = model.operation_model(action).input_shape
    return action, (_structure(shape, fields, "") or {}) if shape is not None else {}


def response_xml(action: str, request_id: str, content: Mapping[str, Any]) -> str:
    """The answer to an action."""
    shape = ec2_model().operation_model(action).output_shape
    inner = _members_xml(shape, content) if shape is not None else "<return>true</return>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{action}Response xmlns="{NAMESPACE}">'
        f"<requestId>{request_id}</requestId>{inner}</{action}Response>"
    )


def error_xml(error: ApiError, request_id: str) -> str:
    """AWS's own shape of an error."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
        f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    )


def _structure(shape: Any, fields: Mapping[str, str], prefix: str) -> dict[str, Any] | None:
    found = {
        name: value
        for name, member in shape.members.items()
        if (value := _value(member, fields, prefix + _query_name(name, member))) is not None
    }
    return found or None


def _value(shape: Any, fields: Mapping[str, str], name: str) -> Any:
    if shape.type_name == "structure":
        return _structure(shape, fields, f"{name}.")
    if shape.type_name == "list":
        items: list[Any] = []
        while (item := _value(shape.member, fields, f"{name}.{len(items) + 1}")) is not None:
            items.append(item)
        return items or None
    text = fields.get(name)
    if text is None:
        return None
    if shape.type_name in {"integer", "long"}:
        try:
            return int(text)
        except ValueError:
            raise ApiError(
                "InvalidParameterValue", f"Value ({text}) for parameter {name} is invalid."
            ) from None
    if shape.type_name == "boolean":
        return text.lower() == "true"
    return text


def _query_name(name: str, member: Any) -> str:
    serialization = member.serialization
    if "queryName" in serialization:
        return str(serialization["queryName"])
    located = str(serialization.get("name", name))
    return located[0].upper() + located[1:]


def _members_xml(shape: Any, content: Mapping[str, Any]) -> str:
    return "".join(
        _xml(str(member.serialization.get("name", name)), member, content[name])
        for name, member in shape.members.items()
        if content.get(name) is not None
    )


def _xml(tag: str, shape: Any, value: Any) -> str:
    if shape.type_name == "structure":
        return f"<{tag}>{_members_xml(shape, value)}</{tag}>"
    if shape.type_name == "list":
        item = str(shape.member.serialization.get("name", "item"))
        return f"<{tag}>{''.join(_xml(item, shape.member, entry) for entry in value)}</{tag}>"
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, datetime):
        text = value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    elif isinstance(value, bytes):
        text = base64.b64encode(value).decode()
    else:
        text = str(value)
    return f"<{tag}>{escape(text)}</{tag}>"
