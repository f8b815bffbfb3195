"""Makes src/vpccni/ipam/data/instance-limits.tsv from data of the shape of EC2's DescribeInstanceTypes.

    python tools/instance_limits.py SOURCE.json[.gz] … tools/types-not-listed.json > src/vpccni/ipam/data/instance-limits.tsv

A SOURCE is what `aws ec2 describe-instance-types` prints, or an object from type to such an item (as in moto's resources,
where the types of the present table come from). A type that several sources have is taken from the first.
tools/types-not-listed.json has the types that EC2 lists no more, or not in every region, and that may still run; their ENI
and address limits are as amazon-vpc-cni-k8s knows them, their vCPU counts are not verified (they only cap max pods).
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vpccni.ipam.limits import COLUMNS, InstanceLimits, from_describe, to_row

HEADER = "# Extracted by tools/instance_limits.py from EC2's DescribeInstanceTypes; cards: index:ENIs, the default first."


def items(source: Path) -> Iterable[Mapping[str, Any]]:
    """The instance types that a file describes."""
    content = source.read_bytes()
    body = json.loads(gzip.decompress(content) if source.suffix == ".gz" else content)
    found: Iterable[Mapping[str, Any]] = body["InstanceTypes"] if "InstanceTypes" in body else body.values()
    return found


def main(sources: list[Path]) -> None:
    """Print the table."""
    known: dict[str, InstanceLimits] = {}
    for source in sources:
        for item in items(source):
            known.setdefault(item["InstanceType"], from_describe(item))
    print(HEADER)
    print("\t".join(COLUMNS))
    for name in sorted(known):
        print("\t".join(to_row(known[name])))


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
