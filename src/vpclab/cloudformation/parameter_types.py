"""Parameters as a template declares them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vpclab.cloudformation.errors import bad_format
from vpclab.cloudformation.functions import text_of

AWS_TYPES: Mapping[str, str] = {
    "AWS::EC2::AvailabilityZone::Name": "zone",
    "AWS::EC2::Image::Id": "image",
    "AWS::EC2::Instance::Id": "instance",
    "AWS::EC2::KeyPair::KeyName": "key",
    "AWS::EC2::SecurityGroup::GroupName": "group name",
    "AWS::EC2::SecurityGroup::Id": "group",
    "AWS::EC2::Subnet::Id": "subnet",
    "AWS::EC2::Volume::Id": "volume",
    "AWS::EC2::VPC::Id": "vpc",
    "AWS::Route53::HostedZone::Id": "hosted zone",
}
"""Types whose values must exist, and what they are."""
SSM_NAME = "AWS::SSM::Parameter::Name"
_SSM_VALUE = re.compile(r"AWS::SSM::Parameter::Value<(.+)>\Z")
_LIST = re.compile(r"List<(.+)>\Z")
_KEYS = frozenset(
    {
        "Type", "Default", "AllowedValues", "AllowedPattern", "ConstraintDescription", "Description", "MinLength",
        "MaxLength", "MinValue", "MaxValue", "NoEcho",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter's declaration."""

    name: str
    type: str
    default: str | None
    allowed_values: tuple[str, ...]
    allowed_pattern: str
    constraint_description: str
    description: str
    least_length: int | None
    most_length: int | None
    least: float | None
    most: float | None
    no_echo: bool

    @property
    def from_ssm(self) -> str | None:
        """With a type of AWS::SSM::Parameter::Value: what its value is to be."""
        found = _SSM_VALUE.match(self.type)
        return found.group(1) if found else None

    @property
    def is_list(self) -> bool:
        """Whether Ref gives a list."""
        kind = self.from_ssm or self.type
        return kind == "CommaDelimitedList" or _LIST.match(kind) is not None

    @property
    def member(self) -> str:
        """The type of the value, or of the list's members."""
        kind = self.from_ssm or self.type
        found = _LIST.match(kind)
        return found.group(1) if found else "String" if kind == "CommaDelimitedList" else kind


def read_parameter(name: str, given: Any) -> Parameter:
    """One of the Parameters section. Raises ApiError: ValidationError."""
    if not name.isalnum() or not name.isascii():
        raise bad_format(f"Parameter name {name} is non alphanumeric.")
    if not isinstance(given, dict) or not isinstance(given.get("Type"), str):
        raise bad_format("Every Parameters object must contain a Type member.")
    strange = sorted(given.keys() - _KEYS)
    if strange:
        raise bad_format(f"Invalid template parameter property '{strange[0]}'")
    pattern = str(given.get("AllowedPattern", ""))
    try:
        re.compile(pattern)
    except re.error:
        raise bad_format(f"AllowedPattern of parameter {name} is no regular expression: {pattern}") from None
    parameter = Parameter(
        name,
        given["Type"],
        text_of(given["Default"]) if given.get("Default") is not None else None,
        tuple(map(text_of, given.get("AllowedValues") or ())),
        pattern,
        str(given.get("ConstraintDescription", "")),
        str(given.get("Description", "")),
        _whole(name, given, "MinLength"),
        _whole(name, given, "MaxLength"),
        _number(name, given, "MinValue"),
        _number(name, given, "MaxValue"),
        text_of(given.get("NoEcho", False)) == "true",
    )
    if parameter.member not in {"String", "Number", SSM_NAME, *AWS_TYPES}:
        raise bad_format(f"Unrecognized parameter type: {given['Type']}")
    return parameter


def _number(name: str, given: Mapping[str, Any], key: str) -> float | None:
    try:
        return float(given[key]) if key in given else None
    except (TypeError, ValueError):
        raise bad_format(f"{key} of parameter {name} must be a number") from None


def _whole(name: str, given: Mapping[str, Any], key: str) -> int | None:
    number = _number(name, given, key)
    return None if number is None else int(number)
