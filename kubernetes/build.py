"""Builds what the lab's Kubernetes runs, once per set of pins: `make kubernetes`.

From Go modules: Kubernetes itself (go.mod beside this file) and CoreDNS (coredns/). From Debian's packages, unpacked and
not installed, so that no service starts on the machine: etcd, containerd, runc. The result is kept in
`~/.cache/vpc-lab/kubernetes/HASH`, where HASH is of everything that decides what comes out; `current` leads to the newest.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vpc-lab/kubernetes"
PINS = ("go.mod", "go.sum", "coredns/go.mod", "coredns/go.sum", "coredns/main.go", "build.py")
DEBS = ("containerd", "etcd-server", "runc")
FROM_DEBS = ("containerd", "containerd-shim-runc-v2", "ctr", "etcd", "runc")
COMPONENTS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
OLDEST_GO = (1, 24)


def main() -> int:
    """Build unless it is there; where it is goes to standard output."""
    digest = hashlib.sha256(b"".join((HERE / pin).read_bytes() for pin in PINS)).hexdigest()[:16]
    done = CACHE / digest
    if not done.is_dir():
        if (why := unable()) is not None:
            sys.stderr.write(f"make kubernetes: {why}\n")
            return 1
        CACHE.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="building-") as directory:
            fresh = Path(directory) / "bin"
            fresh.mkdir()
            kubernetes(fresh)
            coredns(fresh)
            debian(fresh, Path(directory))
            fresh.rename(done)
        size = sum(file.stat().st_size for file in done.iterdir()) >> 20
        print(f"built in {time.monotonic() - began:.0f} s, {size} MiB")
    link = CACHE / "current"
    link.unlink(missing_ok=True)
    link.symlink_to(digest)
    print(f"{version()} in {done}")
    return 0


def unable() -> str | None:
    """Why this machine can't build, if it can't."""
    go = shutil.which("go")
    if go is None:
        return "there is no go on PATH; install Go 1.24 or newer, or give vpc-lab up --kubernetes-bin DIR"
    said = subprocess.run((go, "env", "GOVERSION"), capture_output=True, text=True, check=True).stdout
    found = re.match(r"go(\d+)\.(\d+)", said)
    if found and (int(found[1]), int(found[2])) < OLDEST_GO:
        return f"{said.strip()} is too old: Go 1.24 or newer is needed"
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        return (
            f"{', '.join(missing)} not found: {', '.join(FROM_DEBS)} come from Debian's packages here; "
            "vpc-lab up --kubernetes-bin DIR takes yours"
        )
    return None


def version() -> str:
    """Kubernetes' version, as pinned."""
    found = re.search(r"k8s\.io/kubernetes (v[\d.]+)", (HERE / "go.mod").read_text())
    assert found is not None
    return found[1]


def kubernetes(to: Path) -> None:
    """The components, stamped with their version. `providerless`: the clouds' drivers stay out, the lab's cloud is outside."""
    major, minor, _ = version()[1:].split(".")
    stamps = {"gitVersion": version(), "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = [f"-X {package}.{key}={value}" for package in VERSION_PACKAGES for key, value in stamps.items()]
    packages = [f"k8s.io/kubernetes/cmd/{name}" for name in COMPONENTS]
    build(HERE, to, packages, flags, "-tags=providerless")


def coredns(to: Path) -> None:
    """CoreDNS; its version is compiled in."""
    build(HERE / "coredns", to / "coredns", ["."], [])


def build(module: Path, to: Path, packages: list[str], flags: list[str], *more: str) -> None:
    """`go build`, static, without symbols, from exactly the pinned modules."""
    command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", *more]
    command += [
        f"-ldflags={' '.join(['-s', '-w', *flags])}",
        f"-o={to}{'/' if to.is_dir() else ''}",
        *packages,
    ]
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    subprocess.run(command, cwd=module, env=env, check=True)


def debian(to: Path, scratch: Path) -> None:
    """The programs of Debian's packages."""
    debs, root = scratch / "debs", scratch / "root"
    debs.mkdir()
    download = ("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *DEBS)
    if subprocess.run(download, cwd=debs, check=False).returncode != 0:
        subprocess.run(("apt-get", "-q", "update"), check=True)
        subprocess.run(download, cwd=debs, check=True)
    for deb in debs.glob("*.deb"):
        subprocess.run(("dpkg-deb", "-x", str(deb), str(root)), check=True)
    for name in FROM_DEBS:
        found = next(root.glob(f"usr/*bin/{name}"))
        shutil.copy(found, to / name)


if __name__ == "__main__":
    sys.exit(main())
