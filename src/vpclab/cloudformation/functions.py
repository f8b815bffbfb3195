"""The intrinsic functions: what a value of a template is, once one can say what its names stand for."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Any, Protocol, Self

from vpclab.cloudformation import sub
from vpclab.cloudformation.errors import bad_template

CONDITION_FUNCTIONS = frozenset({"Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals", "Condition"})


class _NoValue:
    def __repr__(self) -> str:
        return "AWS::NoValue"


NO_VALUE = _NoValue()
"""What {"Ref": "AWS::NoValue"} gives: whatever has it is left out."""


class Unknown(str):
    """What a name of a resource that is not there yet stands for in a plan; unlike every known value."""

    __slots__ = ()

    def __new__(cls, name: str) -> Self:
        """For this name."""
        return super().__new__(cls, f"{{{{changeSet:KNOWN_AFTER_APPLY:{name}}}}}")


class Names(Protocol):
    """What the names in a template stand for. Each raises ApiError for a name that is not there."""

    @property
    def extended(self) -> bool:
        """Whether AWS::LanguageExtensions is on."""

    def ref(self, name: str) -> Any:
        """Of a parameter, a pseudo parameter or a resource."""

    def attribute(self, name: str, attribute: str) -> Any:
        """Of a resource."""

    def mapped(self, mapping: str, top: str, second: str) -> Any:
        """Of a mapping; KeyError if it has no such key."""

    def condition(self, name: str) -> bool:
        """Whether a condition holds."""

    def imported(self, name: str) -> str:
        """Another stack's export."""

    def zones(self, region: str) -> list[str]:
        """A region's availability zones."""


def function_of(value: Any) -> str | None:
    """The function that a value is a use of."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    (key,) = value
    return key if key == "Ref" or key.startswith("Fn::") else None


def resolve(value: Any, names: Names) -> Any:
    """The value with every function done; NO_VALUE if there is none. Raises ApiError: ValidationError."""
    function = function_of(value)
    if function is not None:
        done = FUNCTIONS.get(function)
        if done is None:
            raise bad_template(f"The lab does not have the function {function}")
        return done(value[function], names)
    if isinstance(value, dict):
        inner = {key: resolve(one, names) for key, one in value.items()}
        return {key: one for key, one in inner.items() if one is not NO_VALUE}
    if isinstance(value, list):
        return [one for one in (resolve(each, names) for each in value) if one is not NO_VALUE]
    return value


def holds(value: Any, names: Names) -> bool:
    """Whether a condition's expression is true. Raises ApiError: ValidationError."""
    if not isinstance(value, dict) or len(value) != 1:
        raise bad_template("every Conditions member must contain a condition function")
    ((function, given),) = value.items()
    match function:
        case "Condition":
            return names.condition(given)
        case "Fn::Equals":
            one, other = _exactly(given, 2, "every Fn::Equals object requires a list of 2 string parameters.")
            return text_of(resolve(one, names)) == text_of(resolve(other, names))
        case "Fn::Not":
            (inner,) = _exactly(given, 1, "every Fn::Not object requires one and only one boolean parameter.")
            return not holds(inner, names)
        case "Fn::And" | "Fn::Or":
            if not isinstance(given, list) or not 2 <= len(given) <= 10:
                raise bad_template(
                    f"every {function} object requires a list of at least 2 and at most 10 boolean parameters."
                )
            each = [holds(one, names) for one in given]
            return all(each) if function == "Fn::And" else any(each)
        case _:
            raise bad_template(f"{function} is not a condition function")


def text_of(value: Any) -> str:
    """A scalar as text, as CloudFormation writes it; lists by commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(text_of, value))
    if isinstance(value, dict):
        return json.dumps(value)
    return "" if value is None else str(value)


def _exactly(given: Any, count: int, message: str) -> list[Any]:
    if not isinstance(given, list) or len(given) != count:
        raise bad_template(message)
    return given


def _ref(given: Any, names: Names) -> Any:
    if not isinstance(given, str):
        raise bad_template("every Ref object must have a single String value.")
    return NO_VALUE if given == "AWS::NoValue" else names.ref(given)


def getatt_parts(given: Any) -> tuple[str, Any]:
    """A resource and its attribute. Raises ApiError: ValidationError."""
    if isinstance(given, str):
        given = given.split(".", 1)
    if (
        not isinstance(given, list)
        or len(given) < 2
        or not isinstance(given[0], str)
        or not all(given)
        or not all(isinstance(part, str) for part in given[2:])
    ):
        raise bad_template(
            "every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute"
        )
    if len(given) > 2:
        return given[0], ".".join(given[1:])
    return given[0], given[1]


def _getatt(given: Any, names: Names) -> Any:
    name, attribute = getatt_parts(given)
    return names.attribute(name, text_of(resolve(attribute, names)))


def _sub(given: Any, names: Names) -> str:
    text, own = sub.parts(given)
    values = {key: resolve(value, names) for key, value in own.items()}

    def value_of(name: str) -> str:
        if name in values:
            return text_of(values[name])
        owner, dot, attribute = name.partition(".")
        found = names.attribute(owner, attribute) if dot else names.ref(name)
        if isinstance(found, list | dict):
            raise bad_template("Fn::Sub expressions must not refer to lists")
        return text_of(found)

    sub.names(text)
    return sub.filled(text, value_of)


_JOIN_USE = (
    "every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined or a"
    " function that returns a list of strings (such as Fn::GetAZs) to be joined."
)


def _join(given: Any, names: Names) -> str:
    delimiter, members = _exactly(given, 2, _JOIN_USE)
    joined = resolve(members, names)
    if not isinstance(delimiter, str) or not isinstance(joined, list):
        raise bad_template(_JOIN_USE)
    if any(isinstance(one, list | dict) for one in joined):
        raise bad_template(_JOIN_USE)
    return delimiter.join(map(text_of, joined))


def _select(given: Any, names: Names) -> Any:
    use = "Fn::Select requires a list argument with two elements: an integer index and a list of values to select from."
    index, members = (resolve(one, names) for one in _exactly(given, 2, use))
    for one in (index, members):
        if isinstance(one, Unknown):
            return one
    try:
        place = int(index)
    except (TypeError, ValueError):
        raise bad_template("Fn::Select requires an integer index.") from None
    if isinstance(members, str):
        members = members.split(",")
    if not isinstance(members, list):
        raise bad_template(use)
    if not 0 <= place < len(members):
        raise bad_template(f"Fn::Select cannot select nonexistent value at index {place}")
    return members[place]


def _split(given: Any, names: Names) -> Any:
    use = (
        "every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or a"
        " function that returns a string to be split."
    )
    delimiter, text = (resolve(one, names) for one in _exactly(given, 2, use))
    if not isinstance(delimiter, str) or not delimiter or isinstance(text, list | dict):
        raise bad_template(use)
    if isinstance(text, Unknown):
        return text  # as is: every member of it is unknown, too
    return text_of(text).split(delimiter)


def _find(given: Any, names: Names) -> Any:
    use = "every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value"
    if not isinstance(given, list) or len(given) not in ((3, 4) if names.extended else (3,)):
        raise bad_template(use)
    keys = [text_of(resolve(one, names)) for one in given[:3]]
    try:
        return names.mapped(*keys)
    except KeyError:
        if len(given) == 4 and "DefaultValue" in given[3]:
            return resolve(given[3]["DefaultValue"], names)
        raise bad_template(f"Unable to get mapping for {'::'.join(keys)}") from None


def _import(given: Any, names: Names) -> str:
    return names.imported(text_of(resolve(given, names)))


def _zones(given: Any, names: Names) -> list[str]:
    return names.zones(text_of(resolve(given, names)) or text_of(names.ref("AWS::Region")))


def _cidr(given: Any, names: Names) -> Any:
    use = "every Fn::Cidr object requires two parameters, (1) an ipBlock and (2) a count, and an optional cidrBits"
    if not isinstance(given, list) or not 2 <= len(given) <= 3:
        raise bad_template(use)
    try:
        whole = resolve(given[0], names)
        if isinstance(whole, Unknown):
            return whole
        block = ip_network(text_of(whole), strict=False)
        count = int(resolve(given[1], names))
        bits = int(resolve(given[2], names)) if len(given) == 3 else 8 if block.version == 4 else 64
        if not 1 <= count <= 256:
            raise ValueError
        size = block.max_prefixlen - bits
        if size < block.prefixlen or 1 << (size - block.prefixlen) < count:
            raise bad_template(
                "Fn::Cidr: the specified IP address range is too small for the CIDR blocks requested"
            )
        found = block.subnets(new_prefix=size)
        return [str(next(found)) for _ in range(count)]
    except (TypeError, ValueError):
        raise bad_template(use) from None


def _base64(given: Any, names: Names) -> str:
    text = resolve(given, names)
    if isinstance(text, list | dict):
        raise bad_template("every Fn::Base64 object must have a String-typed value.")
    return base64.b64encode(text_of(text).encode()).decode()


def _if(given: Any, names: Names) -> Any:
    use = "Fn::If requires a list argument with three elements, with the first one a condition name"
    condition, yes, no = _exactly(given, 3, use)
    if not isinstance(condition, str):
        raise bad_template(use)
    return resolve(yes if names.condition(condition) else no, names)


def _length(given: Any, names: Names) -> int:
    _needs_extensions("Fn::Length", names)
    members = resolve(given, names)
    if not isinstance(members, list):
        raise bad_template("Fn::Length expects a list or a function that returns a list")
    return len(members)


def _to_json(given: Any, names: Names) -> str:
    _needs_extensions("Fn::ToJsonString", names)
    return json.dumps(resolve(given, names), separators=(",", ":"))


def _needs_extensions(function: str, names: Names) -> None:
    if not names.extended:
        raise bad_template(f"{function} is not supported without AWS::LanguageExtensions transform")


def _condition(function: str) -> Callable[[Any, Names], Any]:
    return lambda given, names: holds({function: given}, names)


FUNCTIONS: Mapping[str, Callable[[Any, Names], Any]] = {
    "Ref": _ref,
    "Fn::GetAtt": _getatt,
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::FindInMap": _find,
    "Fn::ImportValue": _import,
    "Fn::GetAZs": _zones,
    "Fn::Cidr": _cidr,
    "Fn::Base64": _base64,
    "Fn::If": _if,
    "Fn::Length": _length,
    "Fn::ToJsonString": _to_json,
    **{name: _condition(name) for name in ("Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals")},
}
