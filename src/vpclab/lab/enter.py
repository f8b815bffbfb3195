"""Coming into a part of a running lab from outside: a command there, with this terminal and its exit status.

The daemon holds every namespace open; its descriptors are seen in /proc by whoever knows their numbers.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from vpclab.lab.state import LabError, LabState

NOT_FOUND, NOT_EXECUTABLE, BY_SIGNAL = 127, 126, 128
"""Exit statuses as shells give them; the last plus the signal's number."""
PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
"""What whoever started us sends to us alone."""
FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""What the terminal sends to the command as well: it decides what comes of it."""


def enter_command(state: LabState, way: Mapping[str, int]) -> list[str]:
    """The start of a command line that runs inside a part of the lab.

    Raises:
        LabError: the lab does not run.
    """
    fds, pid = _descriptors(state)
    return [
        "nsenter",
        f"--net={fds}/{way['net']}",
        f"--mount={fds}/{way['mount']}",
        f"--uts={fds}/{way['uts']}",
        f"--pid=/proc/{pid}/ns/pid",
        "--",
    ]


def run_inside(state: LabState, way: Mapping[str, int], command: Sequence[str]) -> int:
    """Run a command inside a part of the lab, on this terminal; its exit status as a shell tells it.

    Not by nsenter: that dies of a Ctrl-C which the command may want to handle, and leaves the command alone.

    Raises:
        LabError: the lab does not run.
    """
    from vpclab.fabric import syscalls  # noqa: PLC0415 -- loads ctypes; other commands do without

    fds, pid = _descriptors(state)
    try:
        # first of all: a process's children are in the other PID namespace, itself it never is
        with Path(f"/proc/{pid}/ns/pid").open() as ours:
            syscalls.setns(ours.fileno(), syscalls.CLONE_NEWPID)
        opened = [
            (os.open(f"{fds}/{way[part]}", os.O_RDONLY | os.O_CLOEXEC), kind)
            for part, kind in (
                ("uts", syscalls.CLONE_NEWUTS),
                ("net", syscalls.CLONE_NEWNET),
                ("mount", syscalls.CLONE_NEWNS),
            )
        ]
        for fd, kind in opened:
            syscalls.setns(fd, kind)
            os.close(fd)
    except OSError as error:
        raise LabError(f"that part of lab {state.name} can't be entered ({error}): has it ended?") from None
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _become(command)
    with _signals_are_the_childs(child), terminal_comes_back():
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else BY_SIGNAL - code


def _become(command: Sequence[str]) -> None:
    """In the child: be the command. Does not return."""
    status = NOT_EXECUTABLE
    try:
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # Python ignores them, and what is ignored stays so
        # vpc-cni and vpc-lab are there, wherever they were installed
        os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:{Path(sys.executable).parent}"
        os.execvp(command[0], list(command))  # noqa: S606 -- a person's own command
    except FileNotFoundError:
        sys.stderr.write(f"vpc-lab exec: {command[0]}: command not found\n")
        status = NOT_FOUND
    except OSError as error:
        sys.stderr.write(f"vpc-lab exec: {command[0]}: {error.strerror}\n")
    finally:
        sys.stderr.flush()
        os._exit(status)


@contextmanager
def _signals_are_the_childs(child: int) -> Iterator[None]:
    def pass_on(number: int, _: FrameType | None) -> None:
        os.kill(child, number)

    def leave(_: int, __: FrameType | None) -> None:
        """The command got it too."""

    before = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    before |= {number: signal.signal(number, leave) for number in FROM_THE_TERMINAL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminal_comes_back() -> Iterator[None]:
    """A shell inside makes itself the terminal's foreground and can't give back a group it does not see."""
    try:
        yield
    finally:
        if os.isatty(0) and os.tcgetpgrp(0) != os.getpgrp():
            ignored = signal.signal(
                signal.SIGTTOU, signal.SIG_IGN
            )  # asking from the background would stop us
            os.tcsetpgrp(0, os.getpgrp())
            signal.signal(signal.SIGTTOU, ignored)


def _descriptors(state: LabState) -> tuple[str, int]:
    pid = state.pid()
    if pid is None:
        raise LabError(f"lab {state.name} is not running; vpc-lab up --name {state.name} starts it")
    return f"/proc/{pid}/fd", pid
