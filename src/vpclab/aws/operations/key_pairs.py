"""Key pairs: records only, no machine of the lab lets anybody in by them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import Parameters
from vpclab.aws.service import Context, Remembered, operation
from vpclab.aws.times import moment
from vpclab.region.errors import invalid
from vpclab.region.filters import Reader, matching
from vpclab.region.values import ApiError, Tags


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A public key by name."""

    id: str
    name: str
    kind: str
    fingerprint: str
    created: float
    tags: Tags = field(default_factory=dict, hash=False)


class KeyPairs(Remembered):
    """The region's, by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, KeyPair] = {}


_READERS: Mapping[str, Reader[KeyPair]] = {
    "key-name": lambda k: (k.name,),
    "key-pair-id": lambda k: (k.id,),
    "fingerprint": lambda k: (k.fingerprint,),
}


def import_key_pair(context: Context, p: Parameters) -> dict[str, Any]:
    """ImportKeyPair."""
    words = p["PublicKeyMaterial"].decode(errors="replace").split()
    kinds = {"ssh-rsa": "rsa", "ssh-ed25519": "ed25519"}
    if len(words) < 2 or words[0] not in kinds:
        raise ApiError("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
    digest = hashlib.md5(words[1].encode(), usedforsecurity=False).hexdigest()
    fingerprint = ":".join(digest[n : n + 2] for n in range(0, 32, 2))
    made = _made(context, p, kinds[words[0]], fingerprint)
    return {
        "KeyFingerprint": made.fingerprint,
        "KeyName": made.name,
        "KeyPairId": made.id,
        "Tags": items.tag_set(made.tags),
    }


def _made(context: Context, p: Parameters, kind: str, fingerprint: str) -> KeyPair:
    pairs = context.kept(KeyPairs).by_name
    name = p["KeyName"]
    if name in pairs:
        raise ApiError("InvalidKeyPair.Duplicate", f"The keypair already exists: {name}")
    if not 1 <= len(name) <= 255:
        raise invalid("Invalid value for parameter KeyName: 1 to 255 characters")
    identifier = items.derived_id("key", name, context.request_id)
    tags = args.tags_for(p, "key-pair")
    made = KeyPair(identifier, name, kind, fingerprint, context.region.now, tags)
    pairs[name] = made
    return made


def delete(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteKeyPair: one that is not there is as good as deleted."""
    pairs = context.kept(KeyPairs).by_name
    wanted = args.one_of(p, "KeyName", "KeyPairId")
    for one in list(pairs.values()):
        if wanted in (one.name, one.id):
            del pairs[one.name]
            return {"Return": True, "KeyPairId": one.id}
    return {"Return": True}


def describe(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeKeyPairs."""
    pairs = context.kept(KeyPairs).by_name
    missing = [name for name in p.get("KeyNames", ()) if name not in pairs]
    if missing:
        raise ApiError("InvalidKeyPair.NotFound", f"The key pair '{missing[0]}' does not exist")
    chosen = [one for one in pairs.values() if one.name in p.get("KeyNames", pairs)]
    ids = p.get("KeyPairIds")
    if ids is not None:
        known = {one.id for one in chosen}
        for wanted in ids:
            if wanted not in known:
                raise ApiError("InvalidKeyPair.NotFound", f"The key pair id '{wanted}' does not exist")
        chosen = [one for one in chosen if one.id in ids]
    return {
        "KeyPairs": [
            {
                "KeyPairId": one.id,
                "KeyName": one.name,
                "KeyType": one.kind,
                "KeyFingerprint": one.fingerprint,
                "CreateTime": moment(one.created),
                "Tags": items.tag_set(one.tags),
            }
            for one in matching(chosen, args.query(p, "KeyPairIds").filters, _READERS)
        ]
    }


OPERATIONS = {
    "ImportKeyPair": operation(import_key_pair, "KeyName", "PublicKeyMaterial", "TagSpecifications"),
    "DeleteKeyPair": operation(delete, "KeyName", "KeyPairId"),
    "DescribeKeyPairs": operation(describe, "KeyNames", "KeyPairIds", "Filters"),
}
