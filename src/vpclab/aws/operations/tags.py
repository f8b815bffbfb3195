"""Tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.region.filters import Reader, matching, paged
from vpclab.region.region import Region
from vpclab.region.values import Tags

TYPES = {
    "eni": "network-interface",
    "i": "instance",
    "igw": "internet-gateway",
    "sg": "security-group",
    "subnet": "subnet",
    "vpc": "vpc",
}
"""Resource types by the ids' prefixes."""


@dataclass(frozen=True, slots=True)
class _Tag:
    id: str
    resource_id: str
    key: str
    value: str

    @property
    def tags(self) -> Tags:
        return {self.key: self.value}

    @property
    def resource_type(self) -> str:
        return TYPES[self.resource_id.rpartition("-")[0]]


_READERS: Mapping[str, Reader[_Tag]] = {
    "key": lambda t: (t.key,),
    "value": lambda t: (t.value,),
    "resource-id": lambda t: (t.resource_id,),
    "resource-type": lambda t: (t.resource_type,),
}


def create(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateTags."""
    region.create_tags(p["Resources"], args.tags(p["Tags"]))
    return {}


def delete(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteTags."""
    region.delete_tags(
        p["Resources"], {args.one_of(entry, "Key"): entry.get("Value") for entry in p.get("Tags", ())}
    )
    return {}


def describe(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeTags."""
    asked = args.query(p, "Resources")
    asked.check_page()
    rows = [_Tag(f"{resource}/{key}", resource, key, value) for resource, key, value in region.all_tags()]
    places = {row.id: place for place, row in enumerate(rows)}
    page = paged(matching(rows, asked.filters, _READERS), places, asked.max_results, asked.next_token)
    return {
        "Tags": [
            {"Key": t.key, "Value": t.value, "ResourceId": t.resource_id, "ResourceType": t.resource_type}
            for t in page.items
        ],
        "NextToken": page.next_token,
    }


OPERATIONS = {
    "CreateTags": operation(create, "Resources", "Tags"),
    "DeleteTags": operation(delete, "Resources", "Tags"),
    "DescribeTags": operation(describe, *PAGED),
}
