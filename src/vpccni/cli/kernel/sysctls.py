"""The sysctls that decide about a packet, read from /proc/sys. A file that is not there is a feature that is not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vpccni.cli.kernel.source_check import DeviceSettings, effective

CONF = Path("/proc/sys/net/ipv4/conf")


def device_settings(names: Iterable[str], conf: Path = CONF) -> dict[str, DeviceSettings]:
    """Each device's, with what holds for all taken into account as the kernel does."""
    for_all = conf / "all"
    return {
        name: DeviceSettings(
            source_check=effective(
                read_number(conf / name / "rp_filter"), read_number(for_all / "rp_filter")
            ),
            forwarding=bool(read_number(conf / name / "forwarding", 1)),
            accept_local=_either(conf / name, for_all, "accept_local"),
            marks_count=_either(conf / name, for_all, "src_valid_mark"),
        )
        for name in names
    }


def read_number(path: Path, default: int = 0) -> int:
    """The number in a file."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return default


def _either(own: Path, for_all: Path, name: str) -> bool:
    return bool(read_number(own / name) or read_number(for_all / name))
