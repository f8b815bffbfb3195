"""How many pods the node may run, host-network pods included (spec 6.6 step 12)."""

from __future__ import annotations

import logging
from pathlib import Path

from vpccni.ipam.limits import InstanceLimits
from vpccni.ipam.values import BlockKind
from vpccni.kube.port import NodeView

log = logging.getLogger(__name__)

LIST = Path("/app/eni-max-pods.txt")
"""Where the original's image has it; ours needs none."""
UNKNOWN = 110
"""Kubernetes' recommendation, where nobody tells."""


def max_pods(
    node: NodeView | None,
    limits: InstanceLimits | None,
    kind: BlockKind,
    *,
    custom_networking: bool,
    listed: int | None = None,
) -> int:
    """What kubelet told the API server; else what an operator `listed` for the type; else what its addresses allow."""
    if node is not None and node.max_pods is not None:
        return node.max_pods
    if listed is not None:
        return listed
    if limits is not None:
        return limits.max_pods(kind, custom_networking=custom_networking)
    return UNKNOWN


def listed_max_pods(instance_type: str, file: Path = LIST) -> int | None:
    """A type's figure in a file of the original's form; None without a file, or one that does not say it."""
    try:
        return from_list(file.read_text(encoding="utf-8"), instance_type)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.error("%s is not used for max pods: %s", file, error)
        return None


def from_list(text: str, instance_type: str) -> int | None:
    """Lines `<type> <pods>`, `#` begins a comment (spec 6.14). Raises ValueError if the type's line is not of that form."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != instance_type:
            continue
        number = words[1] if len(words) == 2 else ""
        if not (number.isascii() and number.isdigit() and int(number)):
            raise ValueError(f"the line {line.strip()!r} should be a type and a number of pods")
        return int(number)
    return None
