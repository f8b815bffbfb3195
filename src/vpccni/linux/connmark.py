"""The mark on connections that leave the VPC, in nftables: table `ip aws-cni` (spec 5.3).

Priority -90 is behind kube-proxy's DNAT, so that a Service's real destination decides.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Network

TABLE = "aws-cni"


class NftError(OSError):
    """nft refused; the message has its words."""


def wanted_table(veth_prefix: str, mark: int, exempt: Iterable[IPv4Network]) -> str:
    """The table as `nft -s list table` prints it."""
    returns = "".join(f"\t\tcounter ip daddr {cidr} return\n" for cidr in exempt)
    return (
        f"table ip {TABLE} {{\n"
        "\tchain nat-prerouting {\n"
        "\t\ttype nat hook prerouting priority dstnat + 10; policy accept;\n"
        "\t\tfib daddr type local return\n"
        f'\t\tiifname "{veth_prefix}*" counter jump snat-mark\n'
        f"\t\tcounter meta mark set ct mark & 0x{mark:08x}\n"
        "\t}\n\n"
        "\tchain snat-mark {\n"
        f"{returns}"
        f"\t\tcounter ct mark set ct mark | 0x{mark:08x}\n"
        "\t}\n}\n"
    )


def apply(table: str) -> bool:
    """Put the table in place in one transaction unless it is there exactly so; True if it was changed."""
    present = _nft(["-s", "list", "table", "ip", TABLE], None, missing_is_fine=True)
    if normal(present) == normal(table):
        return False
    # declared, so that the deletion finds it even the first time; then all of it anew, in the same transaction
    _nft(["-f", "-"], f"table ip {TABLE} {{\n}}\ndelete table ip {TABLE}\n{table}")
    return True


def remove() -> bool:
    """Take the table away; True if it was there."""
    if not _nft(["-s", "list", "table", "ip", TABLE], None, missing_is_fine=True):
        return False
    _nft(["-f", "-"], f"delete table ip {TABLE}\n")
    return True


def normal(text: str) -> list[str]:
    """Lines without what nft's versions print differently: blanks, and hexadecimal numbers' zeros."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [re.sub(r"0x0*([0-9a-f]+)", r"0x\1", line) for line in lines if line]


def _nft(arguments: list[str], script: str | None, *, missing_is_fine: bool = False) -> str:
    done = subprocess.run(
        ["nft", *arguments], input=script, capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode != 0:
        if missing_is_fine and "No such file or directory" in done.stderr:
            return ""
        raise NftError(done.returncode, f"nft failed: {done.stderr.strip()}")
    return done.stdout
