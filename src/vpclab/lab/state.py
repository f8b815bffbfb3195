"""What the machine knows of its labs: a directory for each, and whose process it is."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vpclab.cgroup_tree import remove_groups

ROOT = Path("/run/vpclab")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}\Z")
GRACE = 3.0
"""Seconds for a daemon to end by itself before it is killed; with it goes its PID namespace, and so all that is in it."""


class LabError(Exception):
    """What a person asked for can't be done; the message says why and what to do."""


def must_be_root() -> None:
    """Raises LabError for a user who can't see or make labs."""
    if os.geteuid() != 0:
        raise LabError("a lab is made of network namespaces, which only root may make and enter: use sudo")


@dataclass(frozen=True, slots=True)
class LabState:
    """One lab's directory."""

    name: str

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return ROOT / self.name

    @property
    def control(self) -> Path:
        """Its daemon's socket."""
        return self.directory / "control.sock"

    @property
    def log(self) -> Path:
        """What its daemon says."""
        return self.directory / "daemon.log"

    def claim(self) -> None:
        """Make the directory; only one `up` can. Raises LabError."""
        if not NAME.match(self.name):
            raise LabError(
                f"{self.name!r} is no name for a lab: lower-case letters, digits and dashes, please"
            )
        ROOT.mkdir(mode=0o700, exist_ok=True)
        try:
            self.directory.mkdir(mode=0o700)
        except FileExistsError:
            running = "is running" if self.pid() is not None else "was stopped: vpc-lab start brings it back"
            raise LabError(
                f"lab {self.name} {running}; vpc-lab down --name {self.name} ends it; --name starts another beside it"
            ) from None

    def write_pid(self, pid: int, *, unless_known: bool = False) -> None:
        """Remember whose process it is; its start time keeps a later process of that number safe.

        `unless_known`: somebody who knows better may be writing at this very moment, and wins.
        """
        fresh = self.directory / f"lab.json.{os.getpid()}"
        fresh.write_text(json.dumps({"pid": pid, "start": _start_time(pid)}))
        if unless_known:
            with contextlib.suppress(FileExistsError):
                (self.directory / "lab.json").hardlink_to(fresh)
            fresh.unlink()
        else:
            fresh.rename(self.directory / "lab.json")

    def pid(self) -> int | None:
        """The daemon's pid, if it runs."""
        try:
            known = json.loads((self.directory / "lab.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        pid = int(known["pid"])
        return pid if _start_time(pid) == known["start"] else None

    def stop(self) -> str:
        """End the lab and leave what was kept of it; what was done, in words. Raises LabError: it does not run."""
        pid = self.pid()
        if pid is None:
            raise LabError(f"lab {self.name} does not run")
        return _end(pid)

    def remove(self) -> list[str]:
        """End the lab and remove its files; what was done, in words."""
        done: list[str] = []
        pid = self.pid()
        if pid is not None:
            done.append(_end(pid))
        done += self._remove_outside()
        if self.directory.exists():
            shutil.rmtree(self.directory)
            done.append(f"removed {self.directory}")
        if ROOT.exists() and not any(ROOT.iterdir()):
            ROOT.rmdir()
        return done

    def note_outside(self, cgroups: Iterable[Path], directories: Iterable[Path]) -> None:
        """Remember what the lab makes that does not go with its processes, before it makes it."""
        noted = {"cgroups": [str(one) for one in cgroups], "directories": [str(one) for one in directories]}
        self._outside.write_text(json.dumps(noted))

    @property
    def _outside(self) -> Path:
        return self.directory / "outside.json"

    def _remove_outside(self) -> list[str]:
        try:
            noted = json.loads(self._outside.read_text())
        except (FileNotFoundError, ValueError):
            return []
        done = [f"removed {path}" for path in noted["directories"] if Path(path).exists()]
        for path in noted["directories"]:
            shutil.rmtree(path, ignore_errors=True)
        busy = remove_groups(Path(path) for path in noted["cgroups"])
        return [*done, *(f"still in use: {path}" for path in busy)]


def labs() -> tuple[LabState, ...]:
    """Every lab that has a directory."""
    if not ROOT.exists():
        return ()
    return tuple(LabState(path.name) for path in sorted(ROOT.iterdir()) if path.is_dir())


def running(name: str) -> LabState:
    """The lab of that name.

    Raises:
        LabError: it does not run.
    """
    state = LabState(name)
    if state.pid() is not None:
        return state
    if state.directory.is_dir():
        raise LabError(
            f"lab {name} does not run: vpc-lab start --name {name} brings it back, vpc-lab down --name {name} removes it; "
            f"if nobody stopped it, why it ended is in {state.log}"
        )
    others = ", ".join(lab.name for lab in labs() if lab.pid() is not None)
    known = f"running: {others}" if others else "none is running; vpc-lab up starts one"
    raise LabError(f"lab {name} is not running ({known})")


def known_names(what: str, name: str, known: Iterable[str]) -> LabError:
    """The error for a name that nobody has."""
    return LabError(f"there is no {what} {name}; known: {', '.join(sorted(known)) or 'none'}")


def _start_time(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # the command's name may hold anything, so count from behind its closing bracket; the start is field 22
    fields = stat.rpartition(")")[2].split()
    # one that has ended and is not buried yet runs no lab
    return None if fields[0] == "Z" else fields[19]


def _end(pid: int) -> str:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return f"process {pid} was gone"
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        if _wait(pidfd, GRACE):
            return f"ended process {pid}"
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        _wait(pidfd, GRACE)
    except ProcessLookupError:
        return f"ended process {pid}"
    else:
        return f"killed process {pid}, which did not end by itself within {GRACE:.0f} s"
    finally:
        os.close(pidfd)


def _wait(pidfd: int, seconds: float) -> bool:
    ready, _, _ = select.select([pidfd], [], [], seconds)
    return bool(ready)
