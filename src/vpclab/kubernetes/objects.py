"""Kubernetes objects from manifests, and where each is in the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from string import Template
from typing import Any

import yaml

from vpclab.kubernetes.api import KubernetesApi

CLUSTER_WIDE = frozenset(
    {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace", "Node", "PriorityClass"}
)
IRREGULAR: Mapping[str, str] = {"NetworkPolicy": "networkpolicies", "PriorityClass": "priorityclasses"}
FIRST = ("CustomResourceDefinition", "Namespace", "ServiceAccount", "ClusterRole", "ConfigMap", "Service")
"""Kinds that others refer to."""


def manifest(name: str, **values: object) -> list[dict[str, Any]]:
    """The objects of one of the package's manifests, `${name}` in it replaced. Raises KeyError: one was not given."""
    text = resources.files("vpclab.kubernetes").joinpath(f"manifests/{name}.yaml").read_text()
    # Kubernetes' own $(NAME) is $$(NAME) in these texts
    return list(read(Template(text).substitute({key: str(value) for key, value in values.items()})))


def read(text: str) -> Iterator[dict[str, Any]]:
    """The objects of a YAML text."""
    for document in yaml.safe_load_all(text):
        if document:
            yield document


def path_of(thing: Mapping[str, Any]) -> str:
    """Where an object is."""
    version, kind = str(thing["apiVersion"]), str(thing["kind"])
    base = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    plural = IRREGULAR.get(kind, f"{kind.lower()}s")
    meta = thing["metadata"]
    within = "" if kind in CLUSTER_WIDE else f"/namespaces/{meta.get('namespace', 'default')}"
    return f"{base}{within}/{plural}/{meta['name']}"


async def apply(api: KubernetesApi, things: list[dict[str, Any]]) -> None:
    """Make these objects be, those that others refer to first. Raises KubernetesError."""

    def rank(thing: Mapping[str, Any]) -> int:
        return FIRST.index(thing["kind"]) if thing["kind"] in FIRST else len(FIRST)

    for thing in sorted(things, key=rank):
        await api.apply(path_of(thing), thing)
