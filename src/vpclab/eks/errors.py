"""EKS's refusals. The types and their HTTP statuses are those of EKS's service model.

AWS documents no wording. These were compared with what people reported of their clients in public issues, and agree: no cluster and no node
group found for a name, a cluster, a node group or an add-on that exists already, an update that is not found. All others, here and where
these functions are called, are written from memory or after the same pattern: a program should go by the type.
"""

from __future__ import annotations

from vpclab.region.values import ApiError


def not_found(message: str, **fields: str) -> ApiError:
    """There is no such thing."""
    return ApiError("ResourceNotFoundException", message, 404, fields=fields)


def in_use(message: str, **fields: str) -> ApiError:
    """It is there already, or something else needs it, or it is changing."""
    return ApiError("ResourceInUseException", message, 409, fields=fields)


def invalid(message: str, **fields: str) -> ApiError:
    """A parameter that does not do."""
    return ApiError("InvalidParameterException", message, 400, fields=fields)


def bad_request(message: str, **fields: str) -> ApiError:
    """The request does not fit the state that things are in."""
    return ApiError("InvalidRequestException", message, 400, fields=fields)


def no_cluster(name: str) -> ApiError:
    """No such cluster."""
    return not_found(f"No cluster found for name: {name}.", clusterName=name)


def no_nodegroup(cluster: str, name: str) -> ApiError:
    """No such node group."""
    return not_found(f"No node group found for name: {name}.", clusterName=cluster, nodegroupName=name)


def no_addon(cluster: str, name: str) -> ApiError:
    """The cluster has no such add-on."""
    return not_found(f"No addon: {name} found in cluster: {cluster}", clusterName=cluster, addonName=name)
