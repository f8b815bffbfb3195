"""A node's corner: what is machine-wide on a real node is its own here, and nothing is made on the machine.

Private are /run (with the iptables lock and named network namespaces), /var/log, /var/lib/cni, /opt/cni and /etc. A
directory that the machine lacks (/opt/cni, say) may not be created on it: its nearest existing parent is overlaid,
and the directory made in the overlay. Overlays write to a tmpfs, so they work in a container too, where / itself
is an overlay that may not carry another one's upper layer.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from types import MappingProxyType

from vpclab.fabric import syscalls
from vpclab.fabric.namespaces import Place

OWN_DIRECTORIES: Mapping[str, str] = MappingProxyType(
    {
        "var/log": "/var/log",
        "var/lib/cni": "/var/lib/cni",
        "opt/cni": "/opt/cni",
        "run": "/run",
    }
)
"""Directory below the node's root -> where the node sees it."""

MADE_INSIDE = ("/etc/cni/net.d", "/opt/cni/bin", "/run/aws-node", "/run/netns", "/run/lock")


def node_place(
    name: str,
    root: Path,
    *,
    own: Mapping[str, str] = OWN_DIRECTORIES,
    nameservers: Sequence[IPv4Address] = (),
    workers: int = 2,
) -> Place:
    """A place that looks like a machine of its own called `name`.

    Args:
        name: hostname, and name in messages.
        root: an existing or new directory that keeps the node's files (`root/run`, `root/var/log`, …), readable from
            the rest of the lab under that path. /etc is not there: it is an overlay seen inside only.
        own: which directories those are.
        nameservers: for the node's /etc/resolv.conf.
        workers: as for `Place.create`.

    Raises:
        OSError: a mount was refused; the text tells which.
    """
    root = root.absolute()
    for source in own:
        (root / source).mkdir(parents=True, exist_ok=True)
    (root / "overlays").mkdir(exist_ok=True)

    def mount() -> None:
        with contextlib.ExitStack() as held:
            # By descriptor: what is mounted below may cover the paths, wherever the node's root lies.
            sources = {target: held.enter_context(_opened(root / source)) for source, target in own.items()}
            syscalls.mount("layers", str(root / "overlays"), "tmpfs", data="mode=0755")
            overlays = _Overlays(held.enter_context(_opened(root / "overlays")))
            _fresh_sys()
            overlays.over("/etc")
            for target, source in sources.items():
                if not os.path.isdir(target):  # noqa: PTH112 - targets are plain strings for mount(2)
                    overlays.make(target)
                syscalls.mount(f"/proc/self/fd/{source}", target, flags=syscalls.MS_BIND)
        if not os.path.samefile("/var/run", "/run"):  # noqa: PTH121 - a symlink on Debian, but not everywhere
            syscalls.mount("/run", "/var/run", flags=syscalls.MS_BIND)
        for directory in MADE_INSIDE:
            os.makedirs(directory, exist_ok=True)  # noqa: PTH103 - as above
        _identity(name, nameservers)

    return Place.create(name, mount=mount, hostname=name, workers=workers)


class _Overlays:
    """Overlays whose upper layers lie in the directory `layers`, made in the mount namespace of the calling thread."""

    def __init__(self, layers: int) -> None:
        self._layers = layers
        self._covered: set[str] = set()

    def over(self, target: str) -> None:
        """Whatever is written below `target` from now on stays in the node."""
        if target in self._covered:
            return
        self._covered.add(target)
        layer = target.strip("/").replace("/", "-")
        # Relative paths: the lab's directory may hold the `,` or `:` that separate overlay options.
        os.fchdir(self._layers)
        try:
            for part in ("upper", "work"):
                Path(part, layer).mkdir(parents=True)
            options = f"lowerdir={target},upperdir=upper/{layer},workdir=work/{layer}"
            syscalls.mount("overlay", target, "overlay", data=options)
        finally:
            os.chdir("/")

    def make(self, target: str) -> None:
        """A directory that the machine does not have."""
        parent = Path(target).parent
        while not parent.is_dir():
            parent = parent.parent
        self.over(str(parent))
        Path(target).mkdir(parents=True)


def _fresh_sys() -> None:
    """A sysfs that shows this network namespace's devices, with the cgroups still in it."""
    with _opened(Path("/sys/fs/cgroup")) as cgroup:
        try:
            syscalls.mount("sysfs", "/sys", "sysfs")
        except PermissionError:
            # A container may not mount sysfs. Only /sys/class/net is the worse for it: it shows the lab's devices.
            return
        whole = syscalls.MS_BIND | syscalls.MS_REC
        syscalls.mount(f"/proc/self/fd/{cgroup}", "/sys/fs/cgroup", flags=whole)


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _identity(name: str, nameservers: Sequence[IPv4Address]) -> None:
    texts = {
        "hostname": f"{name}\n",
        "hosts": f"127.0.0.1 localhost\n127.0.1.1 {name}\n",
        "resolv.conf": "".join(f"nameserver {server}\n" for server in nameservers),
    }
    for file, text in texts.items():
        path = Path("/etc") / file
        path.unlink(missing_ok=True)  # resolv.conf may be a symlink into the machine's /run
        path.write_text(text)
