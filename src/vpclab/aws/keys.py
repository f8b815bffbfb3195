"""Access keys and whose they are: the account's, the instances' roles', and those that STS gives out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from vpclab.region.imds_documents import role_keys
from vpclab.region.region import Region
from vpclab.region.study import NODE_ROLE


@dataclass(frozen=True, slots=True)
class Key:
    """An access key with its owner, as GetCallerIdentity tells it."""

    id: str
    secret: str
    arn: str
    user_id: str
    token: str | None = None
    """Temporary keys have a session token."""
    expires: float | None = None


class Keys:
    """All keys of the account."""

    def __init__(self, region: Region, role: str = NODE_ROLE) -> None:
        self._region = region
        self._role = role
        account = region.account
        self.admin = Key(
            "AKIA" + _hex(f"{account}/admin/id", 16).upper(),
            _hex(f"{account}/admin/secret", 40),
            f"arn:aws:iam::{account}:user/admin",
            "AIDA" + _hex(f"{account}/admin/user", 17).upper(),
        )
        """The account's administrator: the key that `vpc-lab env-vars` prints."""
        self._known: dict[str, Key] = {self.admin.id: self.admin}

    def lasting(self) -> dict[str, Key]:
        """Every key that was given out, to be kept."""
        return dict(self._known)

    def restore(self, kept: Mapping[str, Key]) -> None:
        """Know again what `lasting` gave."""
        self._known.update(kept)

    def add(self, key: Key) -> None:
        """One that was given out; those that have expired are forgotten."""
        now = self._region.now
        for old in [
            one for one in self._known.values() if one.expires is not None and one.expires < now - 3600
        ]:
            del self._known[old.id]
        self._known[key.id] = key

    def find(self, key_id: str) -> Key | None:
        """A key, expired ones of the last hour included."""
        if key_id not in self._known and key_id.startswith("ASIA"):
            self._learn_roles()
        return self._known.get(key_id)

    def whose(self, key_id: str) -> Key:
        """The owner of a key; where any key will do, an unknown one is the administrator's."""
        return self.find(key_id) or self.admin

    def _learn_roles(self) -> None:
        """The instances' metadata gives keys out without asking anybody: they follow from instance, role and time."""
        account = self._region.account
        role_id = "AROA" + _hex(f"{account}/{self._role}", 17).upper()
        for instance in self._region.instances.values():
            for one in role_keys(instance, self._role, self._region.now):
                self._known[one.id] = Key(
                    one.id,
                    one.secret,
                    f"arn:aws:sts::{account}:assumed-role/{self._role}/{instance.id}",
                    f"{role_id}:{instance.id}",
                    one.token,
                    one.expires,
                )


def _hex(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
