"""The kernel's check of a packet's source (rp_filter), set over netlink: an unprivileged container cannot write /proc/sys.

The sysctl of a device and the configuration that a link message bears are the same number in the kernel.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from vpccni.linux.links import GETLINK, IFINFO, IFLA_IFNAME, NEWLINK
from vpccni.linux.rtnl import Netlink, Request, attribute, attributes

IFLA_AF_SPEC, IFLA_INET_CONF = 26, 1
RP_FILTER = 8
"""IPV4_DEVCONF_RP_FILTER: the numbers begin with 1."""
STRICT, LOOSE = 1, 2
NESTED = 0x8000
ALL = Path("/proc/sys/net/ipv4/conf/all/rp_filter")


def loosen(netlink: Netlink, index: int) -> list[str]:
    """A packet's source need not be reachable by the device it came in by; returns the changes. Raises OSError.

    A device without any check is left so: the kernel takes the greater of the device's number and the one for all.
    """
    own, _ = source_check(netlink, index)
    if max(own, int(ALL.read_text())) != STRICT:
        return []
    return set_source_check(netlink, index, LOOSE)


def set_source_check(netlink: Netlink, index: int, wanted: int) -> list[str]:
    """Set a device's own number unless it is that; returns the changes. Raises OSError."""
    own, name = source_check(netlink, index)
    if own == wanted:
        return []
    setting = attribute(RP_FILTER, struct.pack("=I", wanted))
    spec = attribute(socket.AF_INET | NESTED, attribute(IFLA_INET_CONF | NESTED, setting))
    body = IFINFO.pack(0, 0, index, 0, 0) + attribute(IFLA_AF_SPEC | NESTED, spec)
    netlink.run([Request(NEWLINK, 0, body, f"set rp_filter of {name}")])
    return [f"set rp_filter of {name} to {wanted}"]


def source_check(netlink: Netlink, index: int) -> tuple[int, str]:
    """A device's own number, and its name. Raises OSError."""
    payload = netlink.get(GETLINK, IFINFO.pack(0, 0, index, 0, 0), f"get link {index}")
    found = attributes(payload[IFINFO.size :])
    inet = attributes(found.get(IFLA_AF_SPEC, b"")).get(socket.AF_INET, b"")
    values = attributes(inet).get(IFLA_INET_CONF, b"")
    offset = 4 * (RP_FILTER - 1)
    own = struct.unpack_from("=I", values, offset)[0] if len(values) >= offset + 4 else 0
    return int(own), found[IFLA_IFNAME].rstrip(b"\0").decode()
