"""The versions of Kubernetes that EKS has had, as of November 2025.

Dates of 1.29 to 1.34 are those of the EKS user guide's release calendar, patch and platform versions of 1.30 to 1.34 those of its table
of platform versions at 18 November 2025. What 1.28 has, and 1.29's patch and platform version, had left these pages and is
written from memory.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

DEFAULT = "1.33"
"""What a cluster is made with if nobody says."""


@dataclass(frozen=True, slots=True)
class KubernetesVersion:
    """One minor version."""

    version: str
    patch: str
    platform: str
    released: dt.date
    standard_until: dt.date
    extended_until: dt.date

    @property
    def minor(self) -> int:
        """29 of 1.29."""
        return minor_of(self.version)

    def status(self, today: dt.date) -> str:
        """EKS's word for how it is supported."""
        if today <= self.standard_until:
            return "STANDARD_SUPPORT"
        return "EXTENDED_SUPPORT" if today <= self.extended_until else "UNSUPPORTED"


def minor_of(version: str) -> int:
    """29 of 1.29."""
    return int(version.partition(".")[2])


def _at(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def _row(
    version: str, patch: int, platform: int, released: str, standard: str, extended: str
) -> KubernetesVersion:
    return KubernetesVersion(
        version, f"{version}.{patch}", f"eks.{platform}", _at(released), _at(standard), _at(extended)
    )


VERSIONS: dict[str, KubernetesVersion] = {
    one.version: one
    for one in (
        _row("1.34", 1, 9, "2025-10-02", "2026-12-02", "2027-12-02"),
        _row("1.33", 5, 23, "2025-05-29", "2026-07-29", "2027-07-29"),
        _row("1.32", 9, 30, "2025-01-23", "2026-03-23", "2027-03-23"),
        _row("1.31", 13, 46, "2024-09-26", "2025-11-26", "2026-11-26"),
        _row("1.30", 14, 54, "2024-05-23", "2025-07-23", "2026-07-23"),
        _row("1.29", 15, 45, "2024-01-23", "2025-03-23", "2026-03-23"),
        _row("1.28", 15, 51, "2023-09-26", "2024-11-26", "2025-11-26"),
    )
}
"""Newest first. AWS counts patch and platform versions on every few weeks."""
