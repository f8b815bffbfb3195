"""The legacy iptables tell nobody of their changes; the kernel says at once how large a table is.

A module of its own, for ctypes is loaded only where such an iptables is used: Python's getsockopt cannot ask with a name.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct

from vpccni.linux.errors import KernelError

GETINFO = 64
"""IPT_SO_GET_INFO: a table's hooks, number of entries and size."""
GETINFO_SIZE = 84
TABLES = ("nat", "mangle")

libc = ctypes.CDLL(None, use_errno=True)


def legacy_sizes() -> tuple[bytes, ...]:
    """What changes when a rule is added or removed; not so if one of the same size is put in its place.

    Needs CAP_NET_ADMIN and CAP_NET_RAW. Raises OSError.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW) as sock:
        return tuple(_size(sock, table) for table in TABLES)


def _size(sock: socket.socket, table: str) -> bytes:
    buffer = ctypes.create_string_buffer(struct.pack(f"{GETINFO_SIZE}s", table.encode()), GETINFO_SIZE)
    length = ctypes.c_uint32(GETINFO_SIZE)
    if libc.getsockopt(sock.fileno(), socket.IPPROTO_IP, GETINFO, buffer, ctypes.byref(length)) != 0:
        code = ctypes.get_errno()
        if code in (1, 13):
            raise KernelError(code, f"cannot look at the {table} table: {os.strerror(code)}")
        return b""  # nobody has used the table yet
    return buffer.raw
