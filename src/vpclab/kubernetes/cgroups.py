"""A node's corner of the machine's cgroups: its kubelet sees it as the root, and it goes when the lab goes.

The directories lie below the cgroup that the lab's own process is in (cgroup v1) or below the root (v2, where a group with
processes may not have groups with controllers), so limits that hold for the lab hold for its pods.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vpclab.fabric import Place, syscalls

ROOT = Path("/sys/fs/cgroup")
TOP = "vpclab"
"""The group that holds all labs'."""
SYSTEM = "system"
"""The group of a node's own processes, beside kubelet's `kubepods`: where there are groups, v2 wants no processes."""
JOIN = (
    f"for f in {ROOT}/{SYSTEM}/cgroup.procs {ROOT}/*/{SYSTEM}/cgroup.procs; do"
    ' if [ -w "$f" ]; then echo $$ > "$f"; fi; done; exec "$@"'
)


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One that is mounted: `options` as mount(2) takes them, "" for v2."""

    name: str
    options: str
    below: Path
    """Where a lab's groups are made."""


def hierarchies(mounts: str, mine: str) -> tuple[Hierarchy, ...]:
    """Those to use, from /proc/self/mountinfo and /proc/self/cgroup.

    Beside v1 hierarchies a v2 one without controllers may be mounted, for somebody else's book-keeping: it is left alone.
    """
    own = {controllers: path for _, controllers, path in (line.split(":", 2) for line in mine.splitlines())}
    # by name: a place whose /sys was mounted anew shows each mount twice
    first: dict[str, Hierarchy] = {}
    second: dict[str, Hierarchy] = {}
    for line in mounts.splitlines():
        front, _, back = line.partition(" - ")
        kind, _, options = back.split(" ", 2)
        point = Path(front.split()[4])
        if kind == "cgroup2" and point == ROOT:
            second[""] = Hierarchy("", "", point)
        elif kind == "cgroup" and point.parent == ROOT:
            words = [
                word for word in options.split(",") if word not in {"rw", "ro", "xattr", "clone_children"}
            ]
            words = [word for word in words if not word.startswith(("release_agent=", "noprefix"))]
            mounted = ",".join(words)
            path = next((path for key, path in own.items() if set(key.split(",")) == set(words)), "/")
            first[point.name] = Hierarchy(point.name, mounted, point / path.lstrip("/"))
    return tuple((first or second).values())


def found() -> tuple[Hierarchy, ...]:
    """This machine's."""
    return hierarchies(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())


class Corner:
    """One node's groups, and the cgroup namespace that has them as its root."""

    def __init__(self, directories: tuple[Path, ...], namespace: int) -> None:
        self.directories = directories
        self._namespace = namespace

    @classmethod
    async def make(cls, place: Place, path: str) -> Self:
        """A node's; `path` is the lab's name and the node's. What is mounted at /sys/fs/cgroup in its place is the corner.

        Raises:
            OSError: the machine lets nobody make groups, or mount them.
        """
        directories = tuple(make_groups(found(), f"{TOP}/{path}"))
        helper = place.spawn(
            (sys.executable, "-m", "vpclab.kubernetes.cgroups", f"{TOP}/{path}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said, erred = await place.call(_until_there, helper)
        if not said:
            raise OSError(f"the cgroups of {path} could not be mounted: {erred.strip()}")
        namespace = os.open(f"/proc/{helper.pid}/ns/cgroup", os.O_RDONLY | os.O_CLOEXEC)
        await place.call(helper.communicate)
        return cls(directories, namespace)

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """A command line that runs `argv` in here, when started in the node's place."""
        inside = ("nsenter", f"--cgroup=/proc/{os.getpid()}/fd/{self._namespace}", "--", *argv)
        return ("sh", "-c", JOIN, "sh", *inside)

    def processes(self) -> set[int]:
        """Everything that runs in it: the node's daemons, and each pod's."""
        found: set[int] = set()
        for directory in self.directories:
            for procs in directory.rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    found.update(int(pid) for pid in procs.read_text().split())
        return found

    def close(self) -> None:
        """Let go of the namespace. The directories stay until `remove_groups`."""
        os.close(self._namespace)


def make_groups(where: Iterable[Hierarchy], path: str) -> Iterable[Path]:
    """Directories of this path in each hierarchy."""
    for hierarchy in where:
        directory = hierarchy.below / path
        directory.parent.mkdir(parents=True, exist_ok=True)
        if (directory.parent / "cpuset.cpus").exists():
            _inherit_cpus(hierarchy.below, directory.parent)
        directory.mkdir(exist_ok=True)
        yield directory


def _inherit_cpus(top: Path, to: Path) -> None:
    """Cpuset groups begin with no CPU at all; from here on, each begins with its parent's."""
    for directory in (*reversed(to.relative_to(top).parents), to.relative_to(top)):
        group = top / directory
        if group == top:
            continue
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if not (group / setting).read_text().strip():
                (group / setting).write_text((group.parent / setting).read_text())
        (group / "cgroup.clone_children").write_text("1")


def _until_there(helper: subprocess.Popen[bytes]) -> tuple[bool, str]:
    if helper.stdout is None or helper.stderr is None:
        raise OSError("no pipes to the helper")
    if helper.stdout.readline():
        return True, ""
    return False, helper.communicate()[1].decode(errors="replace")


def _become_the_root(path: str) -> None:
    """In the node's place, as a process of its own: a cgroup namespace with the corner as its root, and mounts of it."""
    used = found()
    for hierarchy in used:
        (hierarchy.below / path / "cgroup.procs").write_text(str(os.getpid()))
    syscalls.unshare(syscalls.CLONE_NEWCGROUP)
    # No other mount of these hierarchies may be seen: runc and kubelet take the first that they find.
    while os.path.ismount("/sys"):
        syscalls.unmount("/sys")
    syscalls.mount("sysfs", "/sys", "sysfs")
    v2 = any(not hierarchy.options for hierarchy in used)
    if v2:
        syscalls.mount("cgroup2", str(ROOT), "cgroup2")
    else:
        syscalls.mount("cgroups", str(ROOT), "tmpfs", data="mode=0755")
        for hierarchy in used:
            (ROOT / hierarchy.name).mkdir()
            data = hierarchy.options if "=" not in hierarchy.options else f"none,{hierarchy.options}"
            syscalls.mount("cgroup", str(ROOT / hierarchy.name), "cgroup", data=data)
    for directory in [ROOT] if v2 else [ROOT / hierarchy.name for hierarchy in used]:
        (directory / SYSTEM).mkdir(exist_ok=True)
        (directory / SYSTEM / "cgroup.procs").write_text(str(os.getpid()))
    sys.stdout.write("there\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    _become_the_root(sys.argv[1])
