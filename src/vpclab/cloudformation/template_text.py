"""A template's text, YAML with its short forms or JSON, to plain values: `!Ref X` becomes {"Ref": "X"}."""

from __future__ import annotations

import json
from typing import Any

import yaml

from vpclab.cloudformation.errors import bad_format

LONGEST = 51_200
"""Bytes of a template body in a request (CloudFormation quotas)."""
_PLAIN = {"Ref": "Ref", "Condition": "Condition"}
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _TemplateLoader(_Loader):  # type: ignore[misc]
    """YAML 1.1 as CloudFormation reads it: dates are text, and tags are functions."""


_TemplateLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def _function(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        name, _, attribute = value.partition(".")
        value = [name, attribute]
    return {_PLAIN.get(suffix, f"Fn::{suffix}"): value}


_TemplateLoader.add_multi_constructor("!", _function)


def read(text: str) -> dict[str, Any]:
    """The template as a mapping. Raises ApiError: ValidationError with the line and column that are wrong."""
    found = _read_json(text) if text.lstrip().startswith("{") else _read_yaml(text)
    if not isinstance(found, dict):
        raise bad_format("unsupported structure.")
    return {str(key): _plain(value) for key, value in found.items()}


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise bad_format(f"JSON not well-formed. (line {error.lineno}, column {error.colno})") from None


def _read_yaml(text: str) -> Any:
    try:
        return yaml.load(text, _TemplateLoader)  # noqa: S506 -- a safe loader with CloudFormation's tags
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise bad_format(f"YAML not well-formed.{where}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        raise bad_format("YAML not well-formed.") from None


def _plain(value: Any) -> Any:
    """Mappings' keys are text, whatever YAML took them for."""
    if isinstance(value, dict):
        return {_key(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
