"""An add-on's configuration values: read, judged by its schema, and what they mean to the nodes' agents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import yaml

from vpclab.eks.errors import invalid
from vpclab.eks.schemas import schema_of


def read_configuration(addon: str, text: str) -> dict[str, Any]:
    """Configuration values, JSON or YAML, that fit the add-on's schema; {} of an empty text.

    Raises ApiError: InvalidParameterException, with every fault and where it is.
    """
    try:
        values = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise _refused(addon, f"the values are neither JSON nor YAML: {error}") from None
    if values is None:
        return {}
    judge = jsonschema.Draft6Validator(schema_of(addon))
    faults = sorted(judge.iter_errors(values), key=lambda fault: fault.json_path)
    if faults:
        said = ", ".join(f"{fault.json_path}: {fault.message}" for fault in faults)
        raise _refused(addon, f"Json schema validation failed with error: [{said}]")
    found: dict[str, Any] = values
    return found


def environment_of(values: Mapping[str, Any]) -> dict[str, str]:
    """What vpc-cni's configuration says of the agents' environment."""
    env = dict(values.get("env", {}))
    if values.get("enableNetworkPolicy") == "true":
        env.setdefault("NETWORK_POLICY_ENFORCING_MODE", "standard")
    return env


def _refused(addon: str, why: str) -> Exception:
    return invalid(f"ConfigurationValue provided in request is not supported: {why}", addonName=addon)
