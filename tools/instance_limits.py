"""Makes src/vpccni/ipam/data/instance-limits.tsv from data of the shape of EC2's DescribeInstanceTypes.

    python tools/instance_limits.py SOURCE.json[.gz] > src/vpccni/ipam/data/instance-limits.tsv

SOURCE is what `aws ec2 describe-instance-types` prints, or an object from type to such an item (as in moto's resources).
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

from vpccni.ipam.limits import COLUMNS, from_describe, to_row

HEADER = "# Extracted by tools/instance_limits.py from EC2's DescribeInstanceTypes; cards: index:ENIs, the default first."


def main(source: Path) -> None:
    """Print the table."""
    content = source.read_bytes()
    body = json.loads(gzip.decompress(content) if source.suffix == ".gz" else content)
    items = body["InstanceTypes"] if "InstanceTypes" in body else body.values()
    print(HEADER)
    print("\t".join(COLUMNS))
    for limits in sorted((from_describe(item) for item in items), key=lambda limits: limits.type):
        print("\t".join(to_row(limits)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
