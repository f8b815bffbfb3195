"""SSM's parameters: the public ones that name machine images, and what people put there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vpclab.aws.images import images
from vpclab.aws.protocols.form import Parameters
from vpclab.aws.service import Cloud, Context, Service, operation
from vpclab.aws.times import moment
from vpclab.region.filters import page_start, page_token
from vpclab.region.values import ApiError

MOST_NAMES = 10
"""In one GetParameters, and on a page of GetParametersByPath (SSM API reference)."""
_NAME = re.compile(r"/?[a-zA-Z0-9_.-]+(/[a-zA-Z0-9_.-]+)*")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, as of its last version."""

    name: str
    value: str
    kind: str = "String"
    version: int = 1
    changed: float = 0.0
    data_type: str = "text"


class ParameterStore:
    """All of them, by name."""

    def __init__(self, account: str, region: str) -> None:
        self._account, self._region = account, region
        self.known: dict[str, Parameter] = {}
        for image in images():
            self._public(image.parameter, image.id, "aws:ec2:image")
            if image.release:
                below = image.parameter.removesuffix("/image_id")
                value = {
                    "schema_version": "2.0" if "2023" in below else "1.0",
                    "image_id": image.id,
                    "image_name": image.name,
                    "release_version": image.release,
                }
                self._public(below, json.dumps(value))
                self._public(f"{below}/image_name", image.name)
                self._public(f"{below}/release_version", image.release)

    def _public(self, name: str, value: str, data_type: str = "text") -> None:
        self.known[name] = Parameter(name, value, data_type=data_type)

    def find(self, name: str) -> Parameter | None:
        """By name or ARN, with or without the version; None if there is none."""
        bare = name.partition(":parameter")[2] if name.startswith("arn:") else name
        bare, _, version = bare.partition(":")
        found = self.known.get(bare) or self.known.get(bare.removeprefix("/"))
        return found if found is None or version in ("", str(found.version)) else None

    def item(self, one: Parameter) -> dict[str, Any]:
        """As SSM shows it."""
        public = one.name.startswith("/aws/service/")
        account = "" if public else self._account
        return {
            "Name": one.name,
            "Type": one.kind,
            "Value": one.value,
            "Version": one.version,
            "LastModifiedDate": moment(one.changed),
            "ARN": f"arn:aws:ssm:{self._region}:{account}:parameter/{one.name.removeprefix('/')}",
            "DataType": one.data_type,
        }


def get_parameter(context: Context, p: Parameters) -> dict[str, Any]:
    """GetParameter."""
    store = context.kept(ParameterStore)
    found = store.find(p["Name"])
    if found is None:
        raise ApiError("ParameterNotFound", "")
    return {"Parameter": store.item(found)}


def get_parameters(context: Context, p: Parameters) -> dict[str, Any]:
    """GetParameters."""
    store = context.kept(ParameterStore)
    if len(p["Names"]) > MOST_NAMES:
        raise _too_long("names", p["Names"])
    found = {name: store.find(name) for name in p["Names"]}
    return {
        "Parameters": [store.item(one) for one in found.values() if one is not None],
        "InvalidParameters": [name for name, one in found.items() if one is None],
    }


def by_path(context: Context, p: Parameters) -> dict[str, Any]:
    """GetParametersByPath."""
    store = context.kept(ParameterStore)
    path = p["Path"].rstrip("/") + "/"
    if not path.startswith("/"):
        raise ApiError(
            "ValidationException",
            "The parameter path must begin with a slash /. It can't be prefixed with 'aws' or 'ssm'.",
        )
    size = p.get("MaxResults", MOST_NAMES)
    if not 1 <= size <= MOST_NAMES:
        raise _too_long("maxResults", size)
    below = (one for name, one in sorted(store.known.items()) if name.startswith(path))
    chosen = [one for one in below if p.get("Recursive") or "/" not in one.name.removeprefix(path)]
    start = page_start(
        p.get("NextToken"), lambda _: ApiError("InvalidNextToken", "The specified token is not valid.")
    )
    more = start + size < len(chosen)
    return {
        "Parameters": [store.item(one) for one in chosen[start : start + size]],
        "NextToken": page_token(start + size) if more else None,
    }


def put_parameter(context: Context, p: Parameters) -> dict[str, Any]:
    """PutParameter."""
    store = context.kept(ParameterStore)
    name = p["Name"]
    if _NAME.fullmatch(name) is None or name.lower().lstrip("/").startswith(("aws", "ssm")):
        raise ApiError(
            "ValidationException",
            f"Parameter name: can't be prefixed with 'ssm' or 'aws' (case-insensitive): {name}",
        )
    before = store.known.get(name)
    if before is not None and not p.get("Overwrite"):
        raise ApiError(
            "ParameterAlreadyExists",
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        )
    made = Parameter(
        name,
        p["Value"],
        p.get("Type", "String" if before is None else before.kind),
        1 if before is None else before.version + 1,
        context.region.now,
        p.get("DataType", "text"),
    )
    store.known[name] = made
    return {"Version": made.version, "Tier": "Standard"}


def delete_parameter(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteParameter."""
    store = context.kept(ParameterStore)
    if p["Name"] not in store.known or p["Name"].startswith("/aws/"):
        raise ApiError("ParameterNotFound", "")
    del store.known[p["Name"]]
    return {}


def _too_long(name: str, value: int | Iterable[str]) -> ApiError:
    spoken = value if isinstance(value, int) else f"[{', '.join(value)}]"
    return ApiError(
        "ValidationException",
        f"1 validation error detected: Value '{spoken}' at '{name}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {MOST_NAMES}",
    )


def _begin(cloud: Cloud) -> None:
    cloud.keep(ParameterStore(cloud.region.account, cloud.region.name))


SERVICE = Service(
    "ssm",
    {
        "GetParameter": operation(get_parameter, "Name", "WithDecryption"),
        "GetParameters": operation(get_parameters, "Names", "WithDecryption"),
        "GetParametersByPath": operation(
            by_path, "Path", "Recursive", "WithDecryption", "MaxResults", "NextToken"
        ),
        "PutParameter": operation(
            put_parameter, "Name", "Value", "Type", "Overwrite", "Description", "DataType", "Tier", "Tags"
        ),
        "DeleteParameter": operation(delete_parameter, "Name"),
    },
    _begin,
)
