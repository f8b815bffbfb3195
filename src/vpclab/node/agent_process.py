"""The node's agent as a process that is kept alive, as kubelet keeps a container."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from vpclab.fabric import CommandError, Place

STDERR = Path("/var/log/aws-routed-eni/agent.stderr")
AS_AWS_NODE = ("setpriv", "--bounding-set=-all,+net_admin,+net_raw", "--inh-caps=-all")
"""The capabilities of the aws-node container (spec 10.2), and no others: so every lab proves that they are enough."""
RESTART_FIRST, RESTART_MOST = 0.5, 10.0
"""Seconds between its end and its next start: doubled each time, from the first to the most."""
STEADY = 10.0
"""Seconds after which a start counts as one that went well."""
STOP_GRACE = 5.0
"""Seconds for it to end by itself before it is killed."""


class AgentProcess:
    """Starts it, starts it again when it ends, and knows how it ended. Used from the lab's loop."""

    def __init__(
        self, place: Place, env: Mapping[str, str], argv: tuple[str, ...] = (), stderr: Path = STDERR
    ) -> None:
        self._place = place
        self._env = dict(env)
        self._argv = argv or (*AS_AWS_NODE, sys.executable, "-m", "vpccni.agent")
        self._stderr = stderr
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._unwanted = asyncio.Event()
        self.starts = 0
        """How often it was started."""
        self.failures = 0
        """How often in a row it ended by itself soon after its start."""
        self.last_end: str | None = None
        """How it last ended, in words."""

    @property
    def pid(self) -> int | None:
        """Inside the lab's PID namespace; None while it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def wanted(self) -> bool:
        """Whether it is kept alive."""
        return self._keeper is not None and not self._keeper.done() and not self._unwanted.is_set()

    def start(self) -> None:
        """Keep it alive from now on; nothing happens if it is."""
        if self.wanted:
            return
        self._unwanted = asyncio.Event()
        self.failures = 0
        self._keeper = asyncio.get_running_loop().create_task(self._keep(self._unwanted))

    @property
    def env(self) -> Mapping[str, str]:
        """What the agent is started with."""
        return self._env

    def set_environment(self, env: Mapping[str, str]) -> None:
        """The whole environment from its next start on."""
        self._env = dict(env)

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """End it with a signal and leave it so; one that does not heed it in time is killed."""
        self._unwanted.set()
        if self._keeper is None:
            return
        self._signal(number)
        try:
            async with asyncio.timeout(STOP_GRACE):
                await asyncio.shield(self._keeper)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._keeper

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _keep(self, unwanted: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        pause = RESTART_FIRST
        while not unwanted.is_set():
            began = loop.time()
            self.last_end = await self._one_life(unwanted)
            if unwanted.is_set():
                return
            if loop.time() - began >= STEADY:
                self.failures, pause = 0, RESTART_FIRST
            self.failures += 1
            await _set_or_passed(unwanted, pause)
            pause = min(pause * 2, RESTART_MOST)

    async def _one_life(self, unwanted: asyncio.Event) -> str | None:
        """From its start to its end, in words."""
        stderr = await self._place.call(_log_file, self._stderr)
        try:
            if unwanted.is_set():
                return self.last_end
            # nothing is awaited between the look above and here: no stop() can miss the new process
            self._process = self._place.spawn(
                self._argv, env=self._env, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                start_new_session=True,
            )  # fmt: skip
        except CommandError as error:
            return str(error)
        finally:
            os.close(stderr)
        self.starts += 1
        return in_words(await _ended(self._process))


def in_words(status: int) -> str:
    """How a process ended, by Popen's returncode."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


async def _ended(process: subprocess.Popen[bytes]) -> int:
    """Its returncode, once it has one; reaped here."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    pidfd = os.pidfd_open(process.pid)
    try:
        loop.add_reader(pidfd, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    return process.wait()


async def _set_or_passed(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _log_file(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
