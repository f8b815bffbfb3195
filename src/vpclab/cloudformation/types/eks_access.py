"""AWS::EKS: who may do something in a cluster (access entries), and what its pods may do in AWS (pod identities)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpclab.cloudformation.resource_type import Context, ResourceType, changed, properties
from vpclab.cloudformation.types.shapes import TaggedInEks, lowered
from vpclab.cloudformation.values import Properties


class AccessEntry(TaggedInEks):
    """AWS::EKS::AccessEntry; Ref is PRINCIPAL|CLUSTER."""

    name = "AWS::EKS::AccessEntry"
    properties = properties(
        replace="ClusterName PrincipalArn Type",
        modify="KubernetesGroups Username AccessPolicies Tags",
        required="ClusterName PrincipalArn",
    )
    attributes = frozenset({"AccessEntryArn"})

    def create(self, context: Context, p: Properties) -> str:
        """CreateAccessEntry, AssociateAccessPolicy."""
        plain = ("Type", "KubernetesGroups", "Username")
        context.call(
            "eks",
            "CreateAccessEntry",
            **self._where(p),
            tags=self.tags(context, p),
            **{key[:1].lower() + key[1:]: p[key] for key in plain if key in p},
        )
        self._policies(context, {}, p)
        return f"{p['PrincipalArn']}|{p['ClusterName']}"

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"AccessEntryArn": str(self._entry(context, p)["accessEntryArn"])}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """UpdateAccessEntry, policies, tags."""
        if {"KubernetesGroups", "Username"} & set(changed(old, new)):
            context.call(
                "eks",
                "UpdateAccessEntry",
                **self._where(new),
                kubernetesGroups=new.get("KubernetesGroups", []),
                username=new.get("Username"),
            )
        self._policies(context, old, new)
        arn = str(self._entry(context, new)["accessEntryArn"])
        self.retag(context, arn, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteAccessEntry."""
        context.call("eks", "DeleteAccessEntry", **self._where(p))

    def _policies(self, context: Context, old: Properties, new: Properties) -> None:
        had = {one["PolicyArn"]: one for one in old.get("AccessPolicies") or ()}
        wanted = {one["PolicyArn"]: one for one in new.get("AccessPolicies") or ()}
        for arn in sorted(had.keys() - wanted.keys()):
            context.call("eks", "DisassociateAccessPolicy", **self._where(new), policyArn=arn)
        for arn, one in wanted.items():
            if had.get(arn) != one:
                scope = lowered(one["AccessScope"])
                context.call(
                    "eks", "AssociateAccessPolicy", **self._where(new), policyArn=arn, accessScope=scope
                )

    def _entry(self, context: Context, p: Properties) -> Mapping[str, Any]:
        found: Mapping[str, Any] = context.call("eks", "DescribeAccessEntry", **self._where(p))["accessEntry"]
        return found

    def _where(self, p: Properties) -> dict[str, Any]:
        return {"clusterName": p["ClusterName"], "principalArn": p["PrincipalArn"]}


class PodIdentity(TaggedInEks):
    """AWS::EKS::PodIdentityAssociation."""

    name = "AWS::EKS::PodIdentityAssociation"
    properties = properties(
        replace="ClusterName Namespace ServiceAccount",
        modify="RoleArn Tags",
        required="ClusterName Namespace ServiceAccount RoleArn",
    )
    attributes = frozenset({"AssociationArn", "AssociationId"})

    def create(self, context: Context, p: Properties) -> str:
        """CreatePodIdentityAssociation."""
        made = context.call(
            "eks",
            "CreatePodIdentityAssociation",
            clusterName=p["ClusterName"],
            namespace=p["Namespace"],
            serviceAccount=p["ServiceAccount"],
            roleArn=p["RoleArn"],
            tags=self.tags(context, p),
        )
        return str(made["association"]["associationId"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        found = context.call(
            "eks", "DescribePodIdentityAssociation", clusterName=p["ClusterName"], associationId=physical_id
        )
        return {"AssociationArn": str(found["association"]["associationArn"]), "AssociationId": physical_id}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """UpdatePodIdentityAssociation; tags."""
        context.call(
            "eks",
            "UpdatePodIdentityAssociation",
            clusterName=new["ClusterName"],
            associationId=physical_id,
            roleArn=new["RoleArn"],
        )
        self.retag(context, self.read(context, physical_id, new)["AssociationArn"], old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeletePodIdentityAssociation."""
        context.call(
            "eks", "DeletePodIdentityAssociation", clusterName=p["ClusterName"], associationId=physical_id
        )


TYPES: tuple[ResourceType, ...] = (AccessEntry(), PodIdentity())
