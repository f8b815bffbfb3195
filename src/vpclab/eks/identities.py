"""Pod identity associations: which role a service account's pods have. Records: no pod is given credentials by them here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vpclab.eks.clusters import check_role
from vpclab.eks.errors import in_use, not_found
from vpclab.eks.tables import Tables
from vpclab.eks.values import Addon, PodIdentity
from vpclab.region.values import NO_TAGS, Tags, frozen


class Identities:
    """Operations on them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def create(
        self,
        cluster: str,
        namespace: str,
        service_account: str,
        role_arn: str,
        *,
        owner: str = "",
        disable_session_tags: bool = False,
        tags: Tags = NO_TAGS,
    ) -> PodIdentity:
        """Raises ApiError: ResourceNotFoundException, ResourceInUseException, InvalidParameterException."""
        self._tables.cluster(cluster)
        check_role(role_arn)
        for one in self._tables.identities.values():
            if (one.cluster, one.namespace, one.service_account) == (cluster, namespace, service_account):
                raise in_use(f"Association already exists: {one.id}", clusterName=cluster)
        identity = PodIdentity(
            id="a-" + _base36(self._tables.draws.bits(80)),
            cluster=cluster,
            namespace=namespace,
            service_account=service_account,
            role_arn=role_arn,
            created_at=self._tables.now,
            modified_at=self._tables.now,
            owner=owner,
            disable_session_tags=disable_session_tags,
            tags=frozen(tags),
        )
        self._tables.identities[identity.id] = identity
        self._tables.note(cluster)
        return identity

    def get(self, cluster: str, identifier: str) -> PodIdentity:
        """By id. Raises ApiError: ResourceNotFoundException."""
        self._tables.cluster(cluster)
        found = self._tables.identities.get(identifier)
        if found is None or found.cluster != cluster:
            raise not_found(f"No association found with Id: {identifier}", clusterName=cluster)
        return found

    def update(self, cluster: str, identifier: str, role_arn: str | None) -> PodIdentity:
        """Another role. Raises ApiError: ResourceNotFoundException, InvalidParameterException."""
        before = self.get(cluster, identifier)
        if role_arn is not None:
            check_role(role_arn)
        changed = replace(before, role_arn=role_arn or before.role_arn, modified_at=self._tables.now)
        self._tables.identities[identifier] = changed
        return changed

    def delete(self, cluster: str, identifier: str) -> PodIdentity:
        """Raises ApiError: ResourceNotFoundException."""
        gone = self.get(cluster, identifier)
        del self._tables.identities[identifier]
        return gone

    def of_addon(self, namespace: str, addon: Addon, wanted: Mapping[str, str]) -> tuple[str, ...]:
        """Make an add-on's be these, service account -> role; their ARNs. Raises ApiError as `create`."""
        owner = self._tables.arn("addon", addon.cluster, addon.name, addon.uid)
        for old in [one for one in self._tables.identities.values() if one.owner == owner]:
            del self._tables.identities[old.id]
        made = [
            self.create(addon.cluster, namespace, account, role, owner=owner)
            for account, role in wanted.items()
        ]
        return tuple(self.arn(one) for one in made)

    def arn(self, identity: PodIdentity) -> str:
        """An association's ARN."""
        return self._tables.arn("podidentityassociation", identity.cluster, identity.id)


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
    return text.rjust(16, "0")
