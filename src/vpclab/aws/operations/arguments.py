"""Reading parameters: texts to values, and the ways that many operations share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from vpclab.aws.protocols.form import Parameters
from vpclab.aws.service import Operation
from vpclab.aws.service import operation as of_context
from vpclab.region.describe import Query
from vpclab.region.errors import invalid
from vpclab.region.region import Region
from vpclab.region.values import ApiError

__all__ = [
    "PAGED",
    "Parameters",
    "address",
    "addresses",
    "network",
    "one_of",
    "operation",
    "prefixes",
    "query",
    "tags",
    "tags_for",
]

OfRegion = Callable[[Region, Parameters], dict[str, Any]]
MOST_FILTER_VALUES = 200
"""In one request (EC2 API reference, listing and filtering)."""
PAGED = ("Filters", "MaxResults", "NextToken")


def operation(perform: OfRegion, *parameters: str) -> Operation:
    """An operation that needs nothing but the region, with its parameters."""
    return of_context(lambda context, given: perform(context.region, given), *parameters)


def addresses(texts: Iterable[str]) -> tuple[IPv4Address, ...]:
    """Raises ApiError: InvalidParameterValue."""
    return tuple(map(address, texts))


def address(text: str) -> IPv4Address:
    """Raises ApiError: InvalidParameterValue."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise invalid(f"Invalid IPv4 address: {text}") from None


def network(text: str) -> IPv4Network:
    """Raises ApiError: InvalidParameterValue. Bits right of the prefix are taken off, as AWS does."""
    try:
        return IPv4Network(text, strict=False)
    except ValueError:
        raise invalid(f"CIDR block {text} is malformed") from None


def prefixes(texts: Iterable[str]) -> tuple[IPv4Network, ...]:
    """Raises ApiError: InvalidParameterValue, also for one that is not aligned."""
    try:
        return tuple(map(IPv4Network, texts))
    except ValueError as error:
        raise invalid(f"Invalid IPv4 prefix: {error}") from None


def addresses6(texts: Iterable[str]) -> tuple[IPv6Address, ...]:
    """Raises ApiError: InvalidParameterValue."""
    try:
        return tuple(map(IPv6Address, texts))
    except ValueError as error:
        raise invalid(f"Invalid IPv6 address: {error}") from None


def network6(text: str) -> IPv6Network:
    """Raises ApiError: InvalidParameterValue."""
    try:
        return IPv6Network(text)
    except ValueError:
        raise invalid(f"invalid value for parameter ipv6-cidr-block: {text}") from None


def prefixes6(texts: Iterable[str]) -> tuple[IPv6Network, ...]:
    """Raises ApiError: InvalidParameterValue, also for one that is not aligned."""
    try:
        return tuple(map(IPv6Network, texts))
    except ValueError as error:
        raise invalid(f"Invalid IPv6 prefix: {error}") from None


def one_of(parameters: Parameters, *names: str) -> Any:
    """The first that is given. Raises ApiError: MissingParameter."""
    for name in names:
        if name in parameters:
            return parameters[name]
    raise ApiError("MissingParameter", f"The request must contain the parameter {' or '.join(names)}")


def query(parameters: Parameters, ids: str) -> Query:
    """What a Describe call asks for. Raises ApiError: MissingParameter, FilterLimitExceeded."""
    filters: dict[str, tuple[str, ...]] = {}
    for entry in parameters.get("Filters", ()):
        if "Name" not in entry:
            raise ApiError("MissingParameter", "The request must contain the parameter Filter.Name")
        filters[entry["Name"]] = (*filters.get(entry["Name"], ()), *entry.get("Values", ()))
    if sum(map(len, filters.values())) > MOST_FILTER_VALUES:
        raise ApiError(
            "FilterLimitExceeded",
            f"The maximum number of filter values specified on a single call is {MOST_FILTER_VALUES}",
        )
    return Query(
        ids=tuple(parameters.get(ids, ())),
        filters=filters,
        max_results=parameters.get("MaxResults"),
        next_token=parameters.get("NextToken"),
    )


def tags(entries: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Tags to write. Raises ApiError: MissingParameter, InvalidParameterValue (keys that are AWS's own)."""
    found: dict[str, str] = {}
    for entry in entries:
        key = one_of(entry, "Key")
        if key.lower().startswith("aws:"):
            raise invalid(f"Tag keys starting with 'aws:' are reserved for internal use: {key}")
        found[key] = entry.get("Value", "")
    return found


def tags_for(parameters: Parameters, resource_type: str) -> dict[str, str]:
    """The tags that TagSpecifications give to the resource that is being made. Raises ApiError as `tags`."""
    found: dict[str, str] = {}
    for specification in parameters.get("TagSpecifications", ()):
        if specification.get("ResourceType") == resource_type:
            found |= tags(specification.get("Tags", ()))
    return found
