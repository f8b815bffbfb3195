"""Makes src/vpccni/aws/data/: what botocore loads for EC2, with just the operations that a CNI needs.

    python tools/trim_ec2_model.py

Of the service model, the operations of spec 6.9 without what only people read; of the list of endpoints, EC2 and STS
(STS is called by botocore itself, for the credentials of a service account). Measured: vpccni/aws/client.py.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from botocore.loaders import Loader

VERSION = "2016-11-15"
OPERATIONS = (
    "AssignIpv6Addresses", "AssignPrivateIpAddresses", "AttachNetworkInterface", "CreateNetworkInterface", "CreateTags",
    "DeleteNetworkInterface", "DescribeInstanceTypes", "DescribeInstances", "DescribeNetworkInterfaces",
    "DescribeSecurityGroups", "DescribeSubnets", "DetachNetworkInterface", "ModifyNetworkInterfaceAttribute",
    "UnassignIpv6Addresses", "UnassignPrivateIpAddresses",
)  # fmt: skip
SERVICES = frozenset({"ec2", "sts"})
TARGET = Path(__file__).parent.parent / "src/vpccni/aws/data"


def without_documentation(node: Any) -> Any:
    """The same, without what only people read."""
    if isinstance(node, dict):
        return {key: without_documentation(value) for key, value in node.items()
                if not (key == "documentation" and isinstance(value, str))}  # fmt: skip
    if isinstance(node, list):
        return [without_documentation(item) for item in node]
    return node


def reachable(shapes: dict[str, Any], roots: set[str]) -> set[str]:
    """Every shape that the roots are made of."""
    seen: set[str] = set()
    ahead = list(roots)
    while ahead:
        name = ahead.pop()
        if name in seen:
            continue
        seen.add(name)
        shape = shapes[name]
        parts = [
            *shape.get("members", {}).values(),
            *(shape[k] for k in ("member", "key", "value") if k in shape),
        ]
        ahead.extend(part["shape"] for part in parts)
    return seen


def write(name: str, content: Any) -> None:
    """One file of the model, the same bytes for the same content."""
    file = TARGET / f"{name}.json.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    file.write_bytes(gzip.compress(text, 9, mtime=0))


def endpoints_of(services: frozenset[str], endpoints: dict[str, Any]) -> dict[str, Any]:
    """The list of endpoints with these services alone; partitions and regions stay."""
    partitions = [
        {**partition, "services": {name: value for name, value in partition["services"].items() if name in services}}
        for partition in endpoints["partitions"]
    ]  # fmt: skip
    return {**endpoints, "partitions": partitions}


def main() -> None:
    """Write the trimmed model, and the endpoint rules that botocore wants beside it."""
    loader = Loader()
    model = loader.load_service_model("ec2", "service-2", VERSION)
    operations = {name: model["operations"][name] for name in OPERATIONS}
    roots = {operation[side]["shape"] for operation in operations.values() for side in ("input", "output")
             if side in operation}  # fmt: skip
    kept = reachable(model["shapes"], roots)
    shapes = {name: model["shapes"][name] for name in sorted(kept)}
    trimmed = {
        "version": model["version"],
        "metadata": model["metadata"],
        "operations": operations,
        "shapes": shapes,
    }
    write(f"ec2/{VERSION}/service-2", without_documentation(trimmed))
    write("endpoints", endpoints_of(SERVICES, loader.load_data("endpoints")))
    write(
        f"ec2/{VERSION}/endpoint-rule-set-1", loader.load_service_model("ec2", "endpoint-rule-set-1", VERSION)
    )


if __name__ == "__main__":
    main()
