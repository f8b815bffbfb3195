"""A node's containerd: its configuration, and its disk, on which the images are already as on a machine image made for it."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vpclab.fabric import syscalls
from vpclab.kubernetes.binaries import Binaries

ROOT = Path("/var/lib/containerd")
STATE = Path("/run/containerd")
SOCKET = STATE / "containerd.sock"
CONFIG = Path("/etc/containerd/config.toml")
CERTS = Path("/etc/containerd/certs.d")
"""How registries are reached, a directory for each; `_default` is for those that have none."""
NAMESPACE = "k8s.io"
"""containerd's, for what the CRI sees."""
START = 60.0
"""Seconds for containerd to answer on a busy machine."""
DATABASES = ("io.containerd.metadata.v1.bolt/meta.db", "io.containerd.snapshotter.v1.overlayfs/metadata.db")
"""What containerd writes in place; all else is written once, so that disks may share it."""
OVERLAY_MAGIC = 0x794C7630


def configuration(runc: str, pause: str) -> str:
    """config.toml. No OOM scores are lowered: a container may lack the capability (kernel-and-lab 2)."""
    return f"""\
version = 2
root = "{ROOT}"
state = "{STATE}"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]

[grpc]
address = "{SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
disable_apparmor = true
tolerate_missing_hugetlb_controller = true
disable_tcp_service = true

[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{CERTS}"
"""


def mirror(registry: str) -> str:
    """hosts.toml: every image, whatever registry its name begins with, is asked of the lab's."""
    return f'[host."{registry}"]\ncapabilities = ["pull", "resolve"]\n'


def bake(binaries: Binaries, archive: Path, cache: Path, to: Path) -> None:
    """A disk with an archive's images imported and unpacked: made once, and copied for a lab, whose nodes copy that.

    Args:
        binaries: containerd and ctr.
        archive: of images; its name changes with its content.
        cache: where the newest is kept for the labs to come.
        to: the lab's own, which stays when another lab's images replace those in the cache.

    Raises:
        OSError: containerd did not import it; the text has its words.
    """
    key = f"{archive}\0{archive.stat().st_size}\0{archive.stat().st_mtime_ns}\0{binaries.directory}"
    done = cache / "disks" / hashlib.sha256(key.encode()).hexdigest()[:16]
    done.parent.mkdir(parents=True, exist_ok=True)
    with (done.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.is_dir():
            _fill(binaries, archive, cache, done)
        copy_disk(done, to)


def _fill(binaries: Binaries, archive: Path, cache: Path, done: Path) -> None:
    """Alone, and the only disk that is kept after it."""
    for old in (*done.parent.iterdir(), *cache.glob("baking-*")):
        if old.is_dir():
            shutil.rmtree(old)  # labs hold what they use of it by links of their own
    with tempfile.TemporaryDirectory(dir=cache, prefix="baking-") as directory:
        fresh = Path(directory) / "root"
        with _running(binaries, fresh, Path(directory)) as socket:
            _ctr(binaries, socket, "image", "import", str(archive))
        fresh.rename(done)


def copy_disk(baked: Path, to: Path) -> None:
    """A node's own copy: links for what never changes, real copies of the databases. Raises OSError."""
    to.parent.mkdir(parents=True, exist_ok=True)
    fresh = to.with_name(f"{to.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    subprocess.run(("cp", "-al", str(baked), str(fresh)), check=True, capture_output=True)
    for name in DATABASES:
        (fresh / name).unlink()
        shutil.copy2(baked / name, fresh / name)
    fresh.rename(to)


@contextmanager
def _running(binaries: Binaries, root: Path, scratch: Path) -> Iterator[Path]:
    """A containerd without the CRI, for as long as it takes, in a mount namespace of its own."""
    config, socket = scratch / "config.toml", scratch / "containerd.sock"
    config.write_text(
        f'version = 2\nroot = "{root}"\nstate = "{scratch / "state"}"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{socket}"\n'
    )
    with (scratch / "log").open("w") as log:
        process = subprocess.Popen(
            ("unshare", "--mount", "--propagation", "private", binaries.path("containerd"), "-c", str(config)),
            stdout=log, stderr=log, env=binaries.environment,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise OSError(f"containerd does not run here: {(scratch / 'log').read_text()[-500:]}")
            time.sleep(0.02)
        yield socket
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.wait()


def _ctr(binaries: Binaries, socket: Path, *arguments: str) -> None:
    command = (binaries.path("ctr"), "--address", str(socket), "-n", NAMESPACE, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)} failed: {done.stderr.strip()}")


def attach_disk(disk: Path) -> None:
    """In a node's place: its disk is where containerd looks for it. Raises OSError."""
    ROOT.mkdir(parents=True, exist_ok=True)
    syscalls.mount(str(disk), str(ROOT), flags=syscalls.MS_BIND)
