"""Which ENIConfig a node uses (spec 7.1)."""

from __future__ import annotations

from dataclasses import dataclass

from vpccni.kube.port import NodeView

EXTERNAL_KEY = "vpc.amazonaws.com/externalEniConfig"
"""The label that goes before all others: for those who cannot change the agent's settings."""
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Named:
    """An ENIConfig's name and where it comes from."""

    name: str
    source: str
    """The label or annotation that gave it, for a person; or that there is none."""

    def __str__(self) -> str:
        return f"ENIConfig {self.name!r} ({self.source})"


def eni_config_name(node: NodeView, *, annotation_key: str, label_key: str) -> Named:
    """The name for a node: external label, then annotation, then label, then the default. Empty values do not count."""
    if name := node.labels.get(EXTERNAL_KEY):
        return Named(name, f"from the node's label {EXTERNAL_KEY}")
    if name := node.annotations.get(annotation_key):
        return Named(name, f"from the node's annotation {annotation_key}")
    if name := node.labels.get(label_key):
        return Named(name, f"from the node's label {label_key}")
    return Named(
        DEFAULT, f"the default: the node has neither annotation {annotation_key} nor label {label_key}"
    )
