"""What an add-on can be configured with: JSON schemas, of the shape that DescribeAddonConfiguration gives.

Of vpc-cni every variable that the original's add-on takes is here, by type, and this project's own; of the others what people
set most. A key that is not here is refused, as EKS refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Schema = dict[str, Any]
DRAFT = "http://json-schema.org/draft-06/schema#"

_BOOLEANS = (
    "ANNOTATE_POD_IP", "AWS_VPC_CNI_NODE_PORT_SUPPORT", "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG",
    "AWS_VPC_K8S_CNI_EXTERNALSNAT", "DISABLE_INTROSPECTION", "DISABLE_LEAKED_ENI_CLEANUP", "DISABLE_METRICS",
    "DISABLE_NETWORK_RESOURCE_PROVISIONING", "DISABLE_POD_V6", "ENABLE_BANDWIDTH_PLUGIN", "ENABLE_IMDS_ONLY_MODE",
    "ENABLE_IPv4", "ENABLE_IPv6", "ENABLE_MULTI_NIC", "ENABLE_NFTABLES", "ENABLE_POD_ENI", "ENABLE_PREFIX_DELEGATION",
    "ENABLE_SUBNET_DISCOVERY", "ENABLE_V4_EGRESS", "ENABLE_V6_EGRESS", "AWS_MANAGE_ENIS_NON_SCHEDULABLE",
)  # fmt: skip
_INTEGERS = (
    "AWS_VPC_ENI_MTU", "HTTP_TIMEOUT", "IP_COOLDOWN_PERIOD", "MAX_ENI", "MINIMUM_IP_TARGET", "POD_MTU", "WARM_ENI_TARGET",
    "WARM_IP_TARGET", "WARM_PREFIX_TARGET", "VPC_CNI_SURPLUS_PERIOD",
)  # fmt: skip
_TEXTS = (
    "ADDITIONAL_ENI_TAGS", "AWS_EC2_ENDPOINT", "AWS_EXTERNAL_SERVICE_CIDRS", "AWS_VPC_CNI_NODE_PORT_SUPPORT",
    "AWS_VPC_K8S_CNI_CONFIGURE_RPFILTER", "AWS_VPC_K8S_CNI_CONNMARK", "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS",
    "AWS_VPC_K8S_CNI_LOG_FILE", "AWS_VPC_K8S_CNI_LOGLEVEL", "AWS_VPC_K8S_CNI_RANDOMIZESNAT", "AWS_VPC_K8S_CNI_VETHPREFIX",
    "AWS_VPC_K8S_PLUGIN_LOG_FILE", "AWS_VPC_K8S_PLUGIN_LOG_LEVEL", "CLUSTER_ENDPOINT", "CLUSTER_NAME",
    "DISABLE_TCP_EARLY_DEMUX", "ENI_CONFIG_ANNOTATION_DEF", "ENI_CONFIG_LABEL_DEF", "INTROSPECTION_BIND_ADDRESS",
    "NETWORK_POLICY_ENFORCING_MODE", "POD_SECURITY_GROUP_ENFORCING_MODE", "AWS_VPC_K8S_CNI_ENABLE_POD_ENI",
    "VPC_CNI_RULES", "VPC_CNI_VERSION", "VPC_ID",
)  # fmt: skip
_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {
    "type": "string",
    "format": "boolean",
    "pattern": "^(true|false|True|False|TRUE|FALSE|t|f|T|F|0|1)$",
}
_NUMBER: Schema = {"type": "string", "format": "integer", "pattern": "^-?[0-9]+$"}
_ANYTHING: Schema = {"type": ["object", "null"]}
_RESOURCES: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {kind: {"type": "object"} for kind in ("limits", "requests", "claims")},
}
_TOLERATIONS: Schema = {"type": "array", "items": {"type": "object"}}


def vpc_cni_variables() -> frozenset[str]:
    """The variables that `env` of vpc-cni may name."""
    return frozenset((*_BOOLEANS, *_INTEGERS, *_TEXTS))


def schema_of(addon: str) -> Schema:
    """The schema of an add-on's configuration."""
    title, properties = _OWN.get(addon, (addon, _plain))
    return {
        "$ref": f"#/definitions/{title}",
        "$schema": DRAFT,
        "definitions": {
            title: {
                "additionalProperties": False,
                "properties": properties(),
                "title": title,
                "type": "object",
            }
        },
    }


def schema_text(addon: str) -> str:
    """As DescribeAddonConfiguration gives it."""
    return json.dumps(schema_of(addon), separators=(",", ":"), sort_keys=True)


def _vpc_cni() -> Schema:
    env: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **dict.fromkeys(_TEXTS, _TEXT),
            **dict.fromkeys(_BOOLEANS, _FLAG),
            **dict.fromkeys(_INTEGERS, _NUMBER),
        },
    }
    init_env: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"DISABLE_TCP_EARLY_DEMUX": _FLAG, "ENABLE_V6_EGRESS": _FLAG},
    }
    return {
        "affinity": _ANYTHING,
        "enableNetworkPolicy": {"type": "string", "format": "boolean", "enum": ["true", "false"]},
        "enableWindowsIpam": {"type": "string", "format": "boolean", "enum": ["true", "false"]},
        "enableWindowsPrefixDelegation": {"type": "string", "format": "boolean", "enum": ["true", "false"]},
        "eniConfig": {"type": "object"},
        "env": env,
        "init": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"env": init_env, "resources": _RESOURCES},
        },
        "livenessProbeTimeoutSeconds": {"type": "integer"},
        "nodeAgent": {"type": "object"},
        "podAnnotations": {"type": "object"},
        "podLabels": {"type": "object"},
        "readinessProbeTimeoutSeconds": {"type": "integer"},
        "resources": _RESOURCES,
        "tolerations": _TOLERATIONS,
    }


def _coredns() -> Schema:
    return {
        **_plain(),
        "autoScaling": {"type": "object"},
        "computeType": {"type": "string"},
        "corefile": {"type": "string"},
        "podDisruptionBudget": {"type": "object"},
        "replicaCount": {"type": "integer"},
        "topologySpreadConstraints": {"type": "array"},
    }


def _kube_proxy() -> Schema:
    return {
        "ipvs": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"scheduler": {"type": "string"}},
        },
        "mode": {"type": "string", "enum": ["iptables", "ipvs"]},
        "podAnnotations": {"type": "object"},
        "podLabels": {"type": "object"},
        "resources": _RESOURCES,
    }


def _ebs() -> Schema:
    return {
        **_plain(),
        "controller": {"type": "object"},
        "defaultStorageClass": {"type": "object"},
        "node": {"type": "object"},
        "sidecars": {"type": "object"},
    }


def _plain() -> Schema:
    return {
        "affinity": _ANYTHING,
        "nodeSelector": {"type": "object"},
        "podAnnotations": {"type": "object"},
        "podLabels": {"type": "object"},
        "resources": _RESOURCES,
        "tolerations": _TOLERATIONS,
    }


_OWN: Mapping[str, tuple[str, Callable[[], Schema]]] = {
    "vpc-cni": ("VpcCni", _vpc_cni),
    "coredns": ("Coredns", _coredns),
    "kube-proxy": ("KubeProxy", _kube_proxy),
    "aws-ebs-csi-driver": ("EbsCsi", _ebs),
}
