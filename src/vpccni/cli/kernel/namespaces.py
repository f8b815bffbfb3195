"""Other network namespaces: a throw-away one to try things in, and pods' own. Each is entered by a thread that then ends."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from vpccni.cli.kernel.read import namespace_number
from vpccni.linux.errors import KernelError
from vpccni.linux.rtnl import Netlink

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
NAMED = (Path("/run/netns"), Path("/run/docker/netns"))
"""Where runtimes keep the pods' namespaces."""


def in_throwaway(function: Callable[[], T]) -> T:
    """Call it in a new network namespace, which is gone when it returns. Raises KernelError where that may not be made."""
    return _in_thread(lambda: _system("unshare", CLONE_NEWNET), function)


def inside(fd: int, function: Callable[[], T]) -> T:
    """Call it in the namespace of that descriptor. Raises KernelError where that may not be entered."""
    return _in_thread(lambda: _system("setns", fd, CLONE_NEWNET), function)


def namespace_of(netlink: Netlink, number: int) -> int | None:
    """A descriptor of the namespace that has this number here, which the caller closes; None if it is not found.

    Named ones are looked at first, then those of processes.
    """
    for path in _candidates():
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # went meanwhile, or is somebody else's
            continue
        if namespace_number(netlink, fd) == number:
            return fd
        os.close(fd)
    return None


def _candidates() -> Iterator[Path]:
    for directory in NAMED:
        if directory.is_dir():
            yield from sorted(directory.iterdir())
    seen: set[str] = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            path = process / "ns/net"
            try:
                which = path.readlink().name
            except OSError:
                continue
            if which not in seen:
                seen.add(which)
                yield path


def _in_thread(enter: Callable[[], None], function: Callable[[], T]) -> T:
    # a thread's namespace is its own: when it ends, nobody has to come back from anywhere
    done: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            enter()
            done.append(function())
        except BaseException as error:  # noqa: BLE001 -- raised again by who waits
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def _system(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise KernelError(code, f"{name} of a network namespace: {os.strerror(code)}")
