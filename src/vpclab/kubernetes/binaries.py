"""Where the programs of a cluster are: of `make kubernetes`, of a directory that a person names, or on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = (
    "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl", "kube-proxy", "coredns",
    "etcd", "containerd", "containerd-shim-runc-v2", "ctr", "runc",
)  # fmt: skip


class BinariesError(Exception):
    """A program is not there; the text says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Programs by name, in one directory."""

    directory: Path

    def path(self, program: str) -> str:
        """Where a program is."""
        return str(self.directory / program)

    @property
    def environment(self) -> dict[str, str]:
        """For whatever runs these programs: they find each other before the machine's own."""
        own = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        return {"PATH": f"{self.directory}:{own}", "HOME": "/root"}

    def version(self) -> str:
        """Kubernetes', like v1.30.14. Raises BinariesError."""
        return version_of(self.path("kubelet"))


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """What is made once and kept: of $XDG_CACHE_HOME, else of the home directory."""
    home = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME') or '/root'}/.cache"
    return Path(home) / "vpc-lab"


def find(directory: Path | None = None) -> Binaries:
    """The programs to use.

    Args:
        directory: the person's own; what is missing there is looked for on PATH.

    Raises:
        BinariesError: one of them is nowhere.
    """
    built = cache_directory() / "kubernetes/current"
    first = directory or built
    if all((first / program).exists() for program in PROGRAMS):
        return Binaries(first.resolve())
    found = {program: _found(program, first) for program in PROGRAMS}
    missing = sorted(program for program, path in found.items() if path is None)
    if missing:
        where = f"{directory} and on PATH" if directory else f"{built} and on PATH"
        raise BinariesError(
            f"not in {where}: {', '.join(missing)}; make kubernetes builds them all, --kubernetes-bin DIR takes yours"
        )
    return Binaries(_gathered({program: path for program, path in found.items() if path}))


def version_of(kubelet: str) -> str:
    """What a kubelet says of itself. Raises BinariesError."""
    try:
        said = subprocess.run((kubelet, "--version"), capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise BinariesError(f"{kubelet} does not tell its version: {error}") from error
    return said.split()[-1]


def _found(program: str, first: Path) -> Path | None:
    if (first / program).exists():
        return first / program
    on_path = shutil.which(program)
    return Path(on_path) if on_path else None


def _gathered(found: Mapping[str, Path]) -> Path:
    """One directory with links to all of them: nodes have one directory of programs."""
    gathered = cache_directory() / "kubernetes/gathered"
    gathered.mkdir(parents=True, exist_ok=True)
    for program, path in found.items():
        link = gathered / program
        link.unlink(missing_ok=True)
        link.symlink_to(path.resolve())
    return gathered
