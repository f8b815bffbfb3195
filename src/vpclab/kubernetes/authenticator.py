"""Who asks the API server with a token of `aws eks get-token`: the webhook that EKS has beside its control plane."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from vpclab.aws.keys import Key, Keys
from vpclab.eks import Eks
from vpclab.eks.values import AccessEntry
from vpclab.kubernetes import objects
from vpclab.kubernetes.access import (
    Known,
    Principal,
    by_config_map,
    by_entry,
    entry_of,
    namespace_objects,
    policy_groups,
)
from vpclab.kubernetes.api import KubernetesApi, KubernetesError
from vpclab.kubernetes.tokens import TokenError, caller

log = logging.getLogger(__name__)
PORT = 21362
"""aws-iam-authenticator's."""
PATH = "/authenticate"
AWS_AUTH = "/api/v1/namespaces/kube-system/configmaps/aws-auth"
NAMESPACES = "/api/v1/namespaces"


class Authenticator:
    """One cluster's. Used from the lab's loop."""

    def __init__(
        self,
        cluster: str,
        eks: Eks,
        keys: Keys,
        api: KubernetesApi,
        node_name: Callable[[str], str | None],
        *,
        strict: bool,
    ) -> None:
        """`node_name` is a node's by its instance; `strict`: only keys of the account's count."""
        self._cluster = cluster
        self._eks = eks
        self._keys = keys
        self._api = api
        self._node_name = node_name
        self._strict = strict
        self.app = Starlette(routes=[Route(PATH, self._review, methods=["POST"])])

    async def _review(self, request: Request) -> JSONResponse:
        """TokenReview, authentication.k8s.io/v1."""
        asked: dict[str, Any] = await request.json()
        token = str((asked.get("spec") or {}).get("token") or "")
        status: dict[str, Any]
        try:
            region = self._eks.region
            key = caller(token, self._cluster, self._keys, region.name, region.now, strict=self._strict)
            principal = Principal.of(key)
            status = {"authenticated": True, "user": _user(key, principal, await self._known(principal))}
        except TokenError as error:
            log.warning("nobody is let into %s for a token: %s", self._cluster, error)
            status = {"authenticated": False, "error": str(error)}
        return JSONResponse({"apiVersion": asked.get("apiVersion"), "kind": "TokenReview", "status": status})

    async def _known(self, principal: Principal) -> Known:
        """Raises TokenError: not at all."""
        node_name = self._node_name(principal.session) if principal.session else None
        mode = self._eks.cluster(self._cluster).authentication_mode
        if mode != "CONFIG_MAP":
            own = (entry for (cluster, _), entry in self._eks.entries.items() if cluster == self._cluster)
            entry = entry_of(principal, own)
            if entry is not None:
                known = by_entry(principal, entry, node_name)
                return Known(known.username, known.groups + await self._policies(entry))
        if mode != "API":
            found = by_config_map(principal, await self._aws_auth(), node_name)
            if found is not None:
                return found
        raise TokenError(
            f"{principal.arn} has no access entry in {self._cluster} (authentication mode {mode}): "
            f"aws eks create-access-entry --cluster-name {self._cluster} --principal-arn {principal.arn}"
        )

    async def _policies(self, entry: AccessEntry) -> tuple[str, ...]:
        policies = self._eks.policies.get((self._cluster, entry.principal), {}).values()
        if not policies:
            return ()
        items = (await self._api.get(NAMESPACES))["items"]
        groups = policy_groups(policies, [str(one["metadata"]["name"]) for one in items])
        await objects.apply(self._api, namespace_objects(groups))
        return tuple(groups)

    async def _aws_auth(self) -> dict[str, str]:
        try:
            return dict((await self._api.get(AWS_AUTH)).get("data") or {})
        except KubernetesError:
            return {}


def _user(key: Key, principal: Principal, known: Known) -> dict[str, Any]:
    """As EKS tells it: `kubectl auth whoami` shows it all."""
    user_id = key.user_id.partition(":")[0]
    extra = {
        "accessKeyId": [key.id],
        "arn": [key.arn],
        "canonicalArn": [principal.arn],
        "principalId": [user_id],
        "sessionName": [principal.session],
    }
    return {
        "username": known.username,
        "uid": f"aws-iam-authenticator:{principal.account}:{user_id}",
        "groups": [*known.groups, "system:authenticated"],
        "extra": extra,
    }
