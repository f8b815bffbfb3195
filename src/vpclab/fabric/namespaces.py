"""A place: a network namespace, perhaps a mount namespace, and threads that live in it.

A thread that has entered a namespace stays there, and so is everything that it starts: functions, sockets, child
processes. That needs no extra process per place and no `ip netns exec` (which remounts /sys and so hides the
cgroups). Nothing is pinned in /run/netns: a place is held by open descriptors and dies with its process.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Self, TypeVar

from vpclab.fabric import syscalls
from vpclab.fabric.commands import CommandError, Completed

T = TypeVar("T")

BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Open descriptors of the three namespaces of a place."""

    net: int
    mount: int
    uts: int

    @classmethod
    def of_this_thread(cls) -> Self:
        """Open those that the calling thread is in."""
        here = "/proc/thread-self/ns"
        return cls(*(os.open(f"{here}/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("net", "mnt", "uts")))

    def enter(self) -> None:
        """Move the calling thread in, for good."""
        # A thread that shares its root and working directory with others may not change mount namespace.
        syscalls.unshare(syscalls.CLONE_FS)
        syscalls.setns(self.mount, syscalls.CLONE_NEWNS)
        syscalls.setns(self.net, syscalls.CLONE_NEWNET)
        syscalls.setns(self.uts, syscalls.CLONE_NEWUTS)

    def close(self) -> None:
        """Let go of them; they end when no thread, process or socket is left inside."""
        for fd in (self.net, self.mount, self.uts):
            os.close(fd)

    def nsenter(self, pid: int) -> list[str]:
        """The start of a command line by which a process outside of the lab comes in.

        Args:
            pid: the lab process that holds the place, as the *caller* sees it (outside of the lab's PID
                namespace it is not what the lab's own `os.getpid()` says).
        """
        fds = f"/proc/{pid}/fd"
        return [
            "nsenter",
            f"--net={fds}/{self.net}",
            f"--mount={fds}/{self.mount}",
            f"--uts={fds}/{self.uts}",
            f"--pid=/proc/{pid}/ns/pid",
        ]


class Place:
    """One corner of the lab. Made by `Place.create`; usable from one asyncio loop.

    Processes are started by a thread of their own, so that a long `call` never keeps one from starting. Beware of
    PR_SET_PDEATHSIG in a child: its "parent" is that thread, which ends at `close()`.
    """

    def __init__(self, name: str, namespaces: Namespaces, workers: int = 2) -> None:
        self.name = name
        self.namespaces = namespaces
        self._workers = ThreadPoolExecutor(workers, f"{name}-", namespaces.enter)
        self._starter = ThreadPoolExecutor(1, f"{name}-start-", namespaces.enter)
        self._closed = False

    @classmethod
    def create(
        cls,
        name: str,
        *,
        mount: Callable[[], None] | None = None,
        hostname: str | None = None,
        workers: int = 2,
    ) -> Self:
        """A fresh network namespace, with its loopback up.

        Args:
            name: for messages and thread names.
            mount: if given, the place has a mount namespace of its own, in which this is called once.
            hostname: if given, the place has a UTS namespace of its own with this name.
            workers: how many `call`s run at once.

        Raises:
            OSError: no privilege to make namespaces, or what `mount` raised.
        """
        made: list[Namespaces] = []
        failed: list[BaseException] = []

        def make() -> None:
            try:
                made.append(_make(mount, hostname))
            except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
                failed.append(error)

        # Born in a thread that ends at once: nothing of the caller's changes.
        thread = threading.Thread(target=make, name=f"{name}-birth")
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return cls(name, made[0], workers)

    async def call(self, fn: Callable[..., T], *args: Any) -> T:
        """`fn(*args)` in a thread inside; /proc/sys/net and /proc/thread-self are the place's there."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, partial(fn, *args))

    def spawn(self, argv: Sequence[str], **popen: Any) -> subprocess.Popen[bytes]:
        """Start a process inside; the keywords are `subprocess.Popen`'s.

        Raises:
            CommandError: it could not be started.
        """
        return self._starter.submit(partial(self._start, argv, **popen)).result()

    async def run(
        self,
        argv: Sequence[str],
        *,
        input: str | bytes | None = None,  # noqa: A002 - subprocess.run's name for it
        env: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float | None = 30,  # noqa: ASYNC109 - part of what is told in the error
    ) -> Completed:
        """Run a command inside until it ends; no thread is kept busy meanwhile.

        Output goes through memory files, so a background process that it leaves behind cannot hold us up.

        Args:
            argv: the command and its arguments, no shell.
            input: its standard input; nothing (an empty one) if not given.
            env: its whole environment; the lab's own if not given.
            check: a returncode other than 0 raises.
            timeout: seconds, then it is killed.

        Raises:
            CommandError: it could not start, failed with `check`, or took longer than `timeout`.
        """
        script = input.encode() if isinstance(input, str) else input or b""
        files = [os.memfd_create(kind) for kind in ("stdin", "stdout", "stderr")]
        try:
            os.write(files[0], script)
            os.lseek(files[0], 0, os.SEEK_SET)
            process = await self._started(argv, files, env)
            try:
                async with asyncio.timeout(timeout):
                    await _ended(process.pid)
            except TimeoutError:
                reason = f"took longer than {timeout} s and was killed"
                raise CommandError(self.name, argv, reason, _text(files[2])) from None
            finally:
                _finish(process)
            done = Completed(process.returncode, _text(files[1]), _text(files[2]))
        finally:
            for fd in files:
                os.close(fd)
        if check and done.returncode != 0:
            said = done.stderr or done.stdout
            reason = f"failed with status {done.returncode}"
            raise CommandError(self.name, argv, reason, said, script.decode(errors="replace"))
        return done

    async def _started(
        self, argv: Sequence[str], files: Sequence[int], env: Mapping[str, str] | None
    ) -> subprocess.Popen[bytes]:
        stdin, stdout, stderr = files
        begin = partial(
            self._start, argv, stdin=stdin, stdout=stdout, stderr=stderr, env=env, process_group=0
        )
        starting = asyncio.get_running_loop().run_in_executor(self._starter, begin)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread cannot be stopped half-way; what it started must not be left behind.
            _finish(await starting)
            raise

    def _start(self, argv: Sequence[str], **popen: Any) -> subprocess.Popen[bytes]:
        try:
            process: subprocess.Popen[bytes] = subprocess.Popen(argv, **popen)
        except OSError as error:
            raise CommandError(self.name, argv, f"could not start ({error.strerror or error})") from error
        return process

    async def listen(
        self,
        address: str | IPv4Address | IPv6Address,
        port: int,
        kind: socket.SocketKind = socket.SOCK_STREAM,
    ) -> socket.socket:
        """A non-blocking socket bound inside, to be used by any thread: TCP listening, or UDP.

        Raises:
            OSError: the address is not there, or the port is taken.
        """
        return await self.call(_listen, str(address), port, kind)

    async def ip(self, lines: Sequence[str]) -> None:
        """`ip -batch -`: stops at the first line that fails.

        Raises:
            CommandError: naming that line; the ones before it are done.
        """
        if lines:
            await self.run(("ip", "-batch", "-"), input="\n".join(lines) + "\n")

    async def nft(self, script: str) -> None:
        """`nft -f -`: one transaction.

        Raises:
            CommandError: naming the line; nothing is done then.
        """
        if script:
            await self.run(("nft", "-f", "-"), input=script)

    async def sysctl(self, values: Mapping[str, int | str]) -> None:
        """Write kernel settings, keys as paths below /proc/sys (`net/ipv4/ip_forward`)."""
        await self.call(write_sysctls, values)

    def close(self) -> None:
        """End the threads and let go of the namespaces; calls still running finish first. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for pool in (self._workers, self._starter):
            pool.shutdown(wait=False, cancel_futures=True)
        self.namespaces.close()

    def __repr__(self) -> str:
        return f"Place({self.name!r})"


def veth(name: str, peer: str, there: Namespaces, mtu: int, macs: tuple[str, str] | None = None) -> str:
    """An `ip -batch` line: a veth pair whose other end is made directly there (moving one costs 20 ms)."""
    mine, its = (f"address {mac}" for mac in macs) if macs else ("", "")
    # `ip` takes a path for a namespace; ours is open in this process.
    path = f"/proc/{os.getpid()}/fd/{there.net}"
    return f"link add {name} mtu {mtu} {mine} type veth peer name {peer} mtu {mtu} {its} netns {path}"


def write_sysctls(values: Mapping[str, int | str]) -> None:
    """Write kernel settings of the calling thread's network namespace."""
    for key, value in values.items():
        with open(f"/proc/sys/{key}", "w") as setting:  # noqa: PTH123 - a setting, not a path to work with
            setting.write(str(value))


def _make(mount: Callable[[], None] | None, hostname: str | None) -> Namespaces:
    syscalls.unshare(syscalls.CLONE_NEWNET)
    if hostname is not None:
        syscalls.unshare(syscalls.CLONE_NEWUTS)
        syscalls.sethostname(hostname)
    if mount is not None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        mount()
    _loopback_up()
    return Namespaces.of_this_thread()


def _loopback_up() -> None:
    # SIOCSIFFLAGS on lo: IFF_UP, in the layout of struct ifreq. Saves a process per place.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, 0x8914, struct.pack("16sh14x", b"lo", 1))


def _listen(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        if kind == socket.SOCK_STREAM:
            bound.listen(BACKLOG)
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound


async def _ended(pid: int) -> None:
    """Until the process has ended (it is left to be reaped)."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    pidfd = os.pidfd_open(pid)
    try:
        loop.add_reader(pidfd, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _finish(process: subprocess.Popen[bytes]) -> None:
    """Kill it, with what it started, unless it has ended; reap it."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _text(fd: int) -> str:
    size = os.fstat(fd).st_size
    return os.pread(fd, size, 0).decode(errors="replace")
