"""One bash on the bastion that lives through all steps: what one sets, the next finds, as in a person's own shell.

Commands come by a pipe of their own, so that its standard streams are a terminal's: the person's, or one of ours when
the output is to be judged.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from vpclab.lab.enter import terminal_comes_back

COMMANDS, STATUSES = 8, 9
"""Descriptors in the shell."""
LOOP = f"""
trap : INT
while IFS= read -r -d '' -u {COMMANDS} STUDY_COMMAND; do
  eval "$STUDY_COMMAND"
  printf '%s\\n' "$?" >&{STATUSES}
done
"""
COLUMNS, ROWS = 200, 50
LONGEST = 400.0
"""Seconds for one command."""


class SessionError(Exception):
    """The shell ended, or a command did not; the text says which."""


class Session:
    """A shell; a context manager. With `captured`, what it prints is kept instead of shown."""

    def __init__(self, enter: Sequence[str], *, captured: bool) -> None:
        """`enter` is a command line that ends in a bash on the bastion, to which options can be added."""
        self._terminal: int | None = None
        self._at_work = False
        slave: int | None = None
        if captured:
            self._terminal, slave = pty.openpty()
            termios.tcsetwinsize(slave, (ROWS, COLUMNS))
        commands, self._commands = os.pipe()
        self._statuses, statuses = os.pipe()
        commands, statuses = _far_from_the_shells(commands), _far_from_the_shells(statuses)
        # nsenter and env hand descriptors on
        script = f"exec {COMMANDS}<&{commands} {STATUSES}>&{statuses} {commands}<&- {statuses}>&-\n{LOOP}"
        try:
            self._process = subprocess.Popen(
                (*enter, "-c", script),
                stdin=slave, stdout=slave, stderr=slave, pass_fds=(commands, statuses), start_new_session=captured,
            )  # fmt: skip
        finally:
            for fd in (commands, statuses, *([slave] if slave is not None else [])):
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, and what it left running in its session."""
        os.close(self._commands)
        try:
            self._process.wait(0 if self._at_work else 2)  # a command that was given up has had its time
        except subprocess.TimeoutExpired:
            if self._terminal is not None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        os.close(self._statuses)
        if self._terminal is not None:
            os.close(self._terminal)

    def run(self, command: str, patience: float = LONGEST) -> tuple[int, str]:
        """Its status, and what it printed if that is captured. Raises SessionError."""
        with _interrupts_are_the_shells(), terminal_comes_back():
            os.write(self._commands, command.encode() + b"\0")
            self._at_work = True
            said, status = b"", b""
            deadline = time.monotonic() + patience
            watched = [self._statuses, *([self._terminal] if self._terminal is not None else [])]
            while not status.endswith(b"\n"):
                ready, _, _ = select.select(watched, [], [], max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise SessionError(
                        f"no end after {patience:.0f} s: {command.strip()[:200]}; so far: {_shown(said)}"
                    )
                if self._terminal in ready:
                    said += self._read()
                if self._statuses in ready:
                    chunk = os.read(self._statuses, 64)
                    if not chunk:
                        self._at_work = False
                        raise SessionError(f"the shell has ended; last: {_shown(said)}")
                    status += chunk
            self._at_work = False
            # what it printed last may still be in the terminal
            while self._terminal is not None and select.select([self._terminal], [], [], 0)[0]:
                said += self._read()
        return int(status), _shown(said)

    def _read(self) -> bytes:
        try:
            return os.read(self._terminal, 65536) if self._terminal is not None else b""
        except OSError:  # nobody has the other end open
            return b""


def _far_from_the_shells(fd: int) -> int:
    """The same, by a number that the shell does not use for another."""
    far = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, STATUSES + 1)
    os.close(fd)
    return far


def _shown(said: bytes) -> str:
    return said.decode(errors="replace").replace("\r\n", "\n")


@contextmanager
def _interrupts_are_the_shells() -> Iterator[None]:
    """Ctrl-C ends what runs in the shell, and neither the shell nor us."""

    def leave(_: int, __: object) -> None:
        """The command got it too."""

    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        with contextlib.suppress(TypeError):
            signal.signal(signal.SIGINT, before)
