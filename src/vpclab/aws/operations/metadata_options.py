"""Instances' metadata options: how IMDS answers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations.arguments import Parameters, operation
from vpclab.region.errors import invalid
from vpclab.region.region import Region
from vpclab.region.values import ApiError, MetadataOptions

_TRUE = {
    "HttpTokens": ("required", "optional"),
    "HttpEndpoint": ("enabled", "disabled"),
    "HttpProtocolIpv6": ("enabled", "disabled"),
    "InstanceMetadataTags": ("enabled", "disabled"),
}
"""What each may be, the one that is true first."""
NAMES = (*_TRUE, "HttpPutResponseHopLimit")


def metadata_options(given: Mapping[str, Any], otherwise: MetadataOptions | None = None) -> MetadataOptions:
    """From a request, with what it does not say as it is otherwise. Raises ApiError: InvalidParameterValue."""
    for name, possible in _TRUE.items():
        if given.get(name, possible[0]) not in possible:
            raise invalid(
                f"Value ({given[name]}) for parameter {name} is invalid. Valid values are: {', '.join(possible)}"
            )
    before = otherwise or MetadataOptions()

    def said(name: str, *, otherwise: bool) -> bool:
        return given[name] == _TRUE[name][0] if name in given else otherwise

    return replace(
        before,
        tokens_required=said("HttpTokens", otherwise=before.tokens_required),
        enabled=said("HttpEndpoint", otherwise=before.enabled),
        ipv6=said("HttpProtocolIpv6", otherwise=before.ipv6),
        tags=said("InstanceMetadataTags", otherwise=before.tags),
        hop_limit=given.get("HttpPutResponseHopLimit", before.hop_limit),
    )


def modify(region: Region, p: Parameters) -> dict[str, Any]:
    """ModifyInstanceMetadataOptions. It takes effect at once; the answer says "pending", as AWS's does."""
    if not any(name in p for name in NAMES):
        raise ApiError(
            "MissingParameter", f"The request must contain at least one of {', '.join(sorted(NAMES))}"
        )
    before = region.instance(p["InstanceId"])
    after = region.modify_metadata_options(before.id, metadata_options(p, before.metadata))
    return {
        "InstanceId": after.id,
        "InstanceMetadataOptions": items.metadata_options(after.metadata) | {"State": "pending"},
    }


OPERATIONS = {"ModifyInstanceMetadataOptions": operation(modify, "InstanceId", *NAMES)}
