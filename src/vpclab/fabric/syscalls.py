"""The few system calls of namespaces and mounts that Python 3.11 does not offer.

`os.setns` and `os.unshare` exist from 3.12, mount(2) never: one way through ctypes serves all versions. All of
them act on the calling *thread*.
"""

from __future__ import annotations

import ctypes
import os

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Give the calling thread namespaces (or file-system attributes) of its own."""
    _checked(_libc.unshare(flags), f"unshare({flags:#x})")


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace behind `fd`."""
    _checked(_libc.setns(fd, kind), f"setns({fd}, {kind:#x})")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount in the calling thread's mount namespace."""
    _checked(
        _libc.mount(source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None),
        f"mount({source}, {target}, {kind or 'bind'})",
    )


def unmount(target: str) -> None:
    """Unmount in the calling thread's mount namespace, even if somebody still uses it."""
    _checked(_libc.umount2(target.encode(), MNT_DETACH), f"umount({target})")


def sethostname(name: str) -> None:
    """The hostname of the calling thread's UTS namespace (`socket.sethostname` checks nothing more)."""
    raw = name.encode()
    _checked(_libc.sethostname(raw, len(raw)), f"sethostname({name})")
