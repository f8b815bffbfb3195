"""OpenID Connect providers: what makes a cluster's service accounts somebody to STS."""

from __future__ import annotations

from typing import Any

from vpclab.aws.iam.records import Provider, Records, exists, tag_list, tags_of
from vpclab.aws.protocols.form import Parameters
from vpclab.aws.service import Context, operation
from vpclab.aws.times import moment
from vpclab.region.values import ApiError


def create(context: Context, p: Parameters) -> dict[str, Any]:
    """CreateOpenIDConnectProvider."""
    records = context.kept(Records)
    if not p["Url"].startswith("https://"):
        raise ApiError("InvalidInput", "The URL of an OpenID Connect provider begins with https://")
    url = p["Url"].removeprefix("https://").rstrip("/")
    arn = f"arn:aws:iam::{context.region.account}:oidc-provider/{url}"
    if arn in records.providers:
        raise exists(f"Provider with url {p['Url']}")
    records.providers[arn] = Provider(
        url,
        context.region.now,
        list(p.get("ClientIDList", ())),
        list(p.get("ThumbprintList", ())),
        tags_of(p),
    )
    return {"OpenIDConnectProviderArn": arn, "Tags": p.get("Tags")}


def get(context: Context, p: Parameters) -> dict[str, Any]:
    """GetOpenIDConnectProvider."""
    provider = context.kept(Records).provider(p["OpenIDConnectProviderArn"])
    return {
        "Url": provider.url,
        "ClientIDList": provider.clients,
        "ThumbprintList": provider.thumbprints,
        "CreateDate": moment(provider.created),
        "Tags": tag_list(provider.tags),
    }


def list_providers(context: Context, _: Parameters) -> dict[str, Any]:
    """ListOpenIDConnectProviders."""
    return {"OpenIDConnectProviderList": [{"Arn": arn} for arn in context.kept(Records).providers]}


def tag(context: Context, p: Parameters) -> dict[str, Any]:
    """TagOpenIDConnectProvider."""
    context.kept(Records).provider(p["OpenIDConnectProviderArn"]).tags.update(tags_of(p))
    return {}


def untag(context: Context, p: Parameters) -> dict[str, Any]:
    """UntagOpenIDConnectProvider."""
    provider = context.kept(Records).provider(p["OpenIDConnectProviderArn"])
    provider.tags = {key: value for key, value in provider.tags.items() if key not in p["TagKeys"]}
    return {}


def add_client(context: Context, p: Parameters) -> dict[str, Any]:
    """AddClientIDToOpenIDConnectProvider: one that it has is no error."""
    provider = context.kept(Records).provider(p["OpenIDConnectProviderArn"])
    if p["ClientID"] not in provider.clients:
        provider.clients.append(p["ClientID"])
    return {}


def remove_client(context: Context, p: Parameters) -> dict[str, Any]:
    """RemoveClientIDFromOpenIDConnectProvider: one that it has not is no error."""
    provider = context.kept(Records).provider(p["OpenIDConnectProviderArn"])
    provider.clients = [one for one in provider.clients if one != p["ClientID"]]
    return {}


def update_thumbprints(context: Context, p: Parameters) -> dict[str, Any]:
    """UpdateOpenIDConnectProviderThumbprint."""
    provider = context.kept(Records).provider(p["OpenIDConnectProviderArn"])
    provider.thumbprints = list(p["ThumbprintList"])
    return {}


def delete(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteOpenIDConnectProvider: one that is not there is as good as deleted."""
    context.kept(Records).providers.pop(p["OpenIDConnectProviderArn"], None)
    return {}


OPERATIONS = {
    "CreateOpenIDConnectProvider": operation(create, "Url", "ClientIDList", "ThumbprintList", "Tags"),
    "GetOpenIDConnectProvider": operation(get, "OpenIDConnectProviderArn"),
    "ListOpenIDConnectProviders": operation(list_providers),
    "TagOpenIDConnectProvider": operation(tag, "OpenIDConnectProviderArn", "Tags"),
    "UntagOpenIDConnectProvider": operation(untag, "OpenIDConnectProviderArn", "TagKeys"),
    "AddClientIDToOpenIDConnectProvider": operation(add_client, "OpenIDConnectProviderArn", "ClientID"),
    "RemoveClientIDFromOpenIDConnectProvider": operation(
        remove_client, "OpenIDConnectProviderArn", "ClientID"
    ),
    "UpdateOpenIDConnectProviderThumbprint": operation(
        update_thumbprints, "OpenIDConnectProviderArn", "ThumbprintList"
    ),
    "DeleteOpenIDConnectProvider": operation(delete, "OpenIDConnectProviderArn"),
}
