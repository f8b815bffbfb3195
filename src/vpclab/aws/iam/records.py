"""What IAM keeps of an account: roles, policies, instance profiles, OpenID Connect providers."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vpclab.aws.protocols.form import Parameters
from vpclab.aws.service import Remembered
from vpclab.region.filters import page_start, page_token
from vpclab.region.region import Region
from vpclab.region.values import ApiError

T = TypeVar("T")
USUAL_PAGE = 100
"""IAM's MaxItems if a request names none (IAM API reference)."""


@dataclass
class Role:
    """A role, with its inline policies and the ARNs of those attached."""

    name: str
    path: str
    id: str
    trust: str
    """The document that says who may assume it, as JSON."""
    created: float
    description: str = ""
    max_session: int = 3600
    tags: dict[str, str] = field(default_factory=dict)
    attached: list[str] = field(default_factory=list)
    inline: dict[str, str] = field(default_factory=dict)


@dataclass
class Policy:
    """A managed policy; AWS's own are known by their names."""

    name: str
    path: str
    id: str
    created: float
    description: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    """Documents by version id."""
    default: str = "v1"
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Profile:
    """An instance profile: a role's name for EC2."""

    name: str
    path: str
    id: str
    created: float
    roles: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Provider:
    """An OpenID Connect provider."""

    url: str
    created: float
    clients: list[str] = field(default_factory=list)
    thumbprints: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


class Records(Remembered):
    """The account's, by name or ARN. An account begins without any."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.roles: dict[str, Role] = {}
        self.policies: dict[str, Policy] = {}
        """The account's own, by ARN."""
        self.profiles: dict[str, Profile] = {}
        self.providers: dict[str, Provider] = {}
        """By ARN."""
        self._made = 0

    def new_id(self, kind: str) -> str:
        """An id like AWS's: four letters that tell the kind, and seventeen more."""
        self._made += 1
        return f"{kind}{self._made:017d}"

    def arn(self, kind: str, path: str, name: str) -> str:
        """An ARN of this account: role, policy, instance-profile."""
        return f"arn:aws:iam::{self.region.account}:{kind}{path}{name}"

    def role(self, name: str) -> Role:
        """Raises ApiError: NoSuchEntity."""
        return _found(self.roles, name, f"The role with name {name} cannot be found.")

    def profile(self, name: str) -> Profile:
        """Raises ApiError: NoSuchEntity."""
        return _found(self.profiles, name, f"Instance Profile {name} cannot be found.")

    def provider(self, arn: str) -> Provider:
        """Raises ApiError: NoSuchEntity."""
        return _found(self.providers, arn, f"OpenIDConnect Provider not found for arn {arn}")

    def policy(self, arn: str) -> Policy:
        """Of the account or of AWS, of which every well-formed ARN is good. Raises ApiError: NoSuchEntity."""
        if arn.startswith("arn:aws:iam::aws:policy/"):
            path, _, name = arn.removeprefix("arn:aws:iam::aws:policy").rpartition("/")
            allow = json.dumps({"Version": "2012-10-17", "Statement": []})
            return Policy(
                name, f"{path}/", f"ANPA{zlib.crc32(name.encode()):017d}", 0.0, versions={"v1": allow}
            )
        return _found(self.policies, arn, f"Policy {arn} does not exist or is not attachable.")


def exists(what: str) -> ApiError:
    """A name that is taken."""
    return ApiError("EntityAlreadyExists", f"{what} already exists.", 409)


def conflict(why: str) -> ApiError:
    """Something that is still referred to."""
    return ApiError("DeleteConflict", why, 409)


def document(text: str) -> str:
    """A policy document. Raises ApiError: MalformedPolicyDocument."""
    try:
        if isinstance(json.loads(text), dict):
            return text
    except ValueError:
        pass
    raise ApiError("MalformedPolicyDocument", "Syntax errors in policy.")


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as IAM shows them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_of(p: Parameters) -> dict[str, str]:
    """Tags of a request."""
    return {one["Key"]: one["Value"] for one in p.get("Tags", ())}


def paged(items: Iterable[T], p: Parameters) -> tuple[Sequence[T], dict[str, Any]]:
    """A page, and what the answer says of the others. Raises ApiError: ValidationError for a marker that no page gave."""
    everything = list(items)
    start = page_start(p.get("Marker"), lambda text: ApiError("ValidationError", f"Invalid Marker: {text}"))
    size = p.get("MaxItems", USUAL_PAGE)
    page = everything[start : start + size]
    more = start + size < len(everything)
    return page, {"IsTruncated": more, "Marker": page_token(start + size) if more else None}


def _found(table: Mapping[str, T], key: str, otherwise: str) -> T:
    if key not in table:
        raise ApiError("NoSuchEntity", otherwise, 404)
    return table[key]
