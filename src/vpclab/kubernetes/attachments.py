"""What a node's runtime holds of its pods' networks: libcni's cache, as containerd keeps it, beside what the API server says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path("/var/lib/cni/results")
NETWORK = "aws-cni"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A sandbox that was connected and not yet disconnected."""

    pod: str
    """Namespace and name."""
    container_id: str
    address: str
    host_veth: str


def held(directory: Path = RESULTS) -> list[Attachment]:
    """A node's, in its place; files that are half-written are not looked at."""
    found = []
    for file in sorted(directory.glob(f"{NETWORK}-*")):
        try:
            found.append(_read(json.loads(file.read_bytes())))
        except (OSError, ValueError, KeyError, IndexError):
            continue
    return found


def _read(cached: Mapping[str, Any]) -> Attachment:
    names = dict(cached["cniArgs"])
    result = cached["result"]
    return Attachment(
        f"{names['K8S_POD_NAMESPACE']}/{names['K8S_POD_NAME']}",
        cached["containerId"],
        str(result["ips"][0]["address"]).partition("/")[0],
        str(result["interfaces"][0]["name"]),
    )


def sandboxes(attachments: Iterable[Attachment], pods: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The pods that a node should have, as the lab's judge takes them: by the API server, which knows nothing of containers.

    An attachment of a pod that is no more is not among them, so that what is left of it is found; a pod with an address
    and without an attachment is, with a container that nobody has.
    """
    by_pod: dict[tuple[str, str], Attachment] = {(one.pod, one.address): one for one in attachments}
    found = []
    for pod in pods:
        address = (pod.get("status") or {}).get("podIP")
        if (
            pod["spec"].get("hostNetwork")
            or not address
            or pod["status"].get("phase") in {"Succeeded", "Failed"}
        ):
            continue
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        one = by_pod.get((name, address), Attachment(name, "none", address, "none"))
        found.append(
            {"name": name, "containerId": one.container_id, "ip": address, "hostVeth": one.host_veth}
        )
    return found
