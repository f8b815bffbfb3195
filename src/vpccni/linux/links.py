"""Network devices: as values, and as rtnetlink messages."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from functools import lru_cache

from vpccni.linux.rtnl import (
    CREATE,
    EXCL,
    GONE,
    KNOWN,
    Netlink,
    Request,
    attribute,
    attributes,
    name_value,
    u32,
)

NEWLINK, DELLINK, GETLINK = 16, 17, 18
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_LINKINFO, IFLA_GROUP, IFLA_NET_NS_FD = (
    1,
    3,
    4,
    5,
    18,
    27,
    28,
)
IFLA_EXT_MASK, SKIP_STATS = 29, 8
"""RTEXT_FILTER_SKIP_STATS: nobody here asks for a device's counters."""
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER, VLAN_ID = 1, 2, 1, 1
IFF_UP = 1
IFINFO = struct.Struct("=BxHiII")


@dataclass(frozen=True, slots=True)
class Link:
    """A network device."""

    index: int
    name: str
    mac: str
    mtu: int
    up: bool
    group: int
    peer: int
    """The index of a veth's other end, in the namespace where that is; of a stacked device, its parent's; else 0."""


def add_veth(name: str, mac: bytes, mtu: int, *, peer: str, peer_netns: int, peer_mtu: int) -> Request:
    """A pair whose other end is made right in another namespace: moving it there later waits 20 ms for the kernel.

    Both ends are down: the kernel refuses a peer that is made up (kernel-and-lab 5).
    """
    other = IFINFO.pack(0, 0, 0, 0, 0)
    other += attribute(IFLA_IFNAME, name_value(peer)) + attribute(IFLA_MTU, struct.pack("=I", peer_mtu))
    other += attribute(IFLA_NET_NS_FD, struct.pack("=I", peer_netns))
    info = attribute(IFLA_INFO_KIND, b"veth") + attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, other))
    body = (
        IFINFO.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name_value(name)) + attribute(IFLA_ADDRESS, mac)
    )
    body += attribute(IFLA_MTU, struct.pack("=I", mtu)) + attribute(IFLA_LINKINFO, info)
    return Request(NEWLINK, CREATE | EXCL, body, f"add veth {name} with peer {peer}")


def add_vlan(name: str, mac: str, parent: int, vlan: int) -> Request:
    """A device of its own MAC for what the parent receives and sends with that VLAN's tag (802.1Q)."""
    info = attribute(IFLA_INFO_KIND, b"vlan")
    info += attribute(IFLA_INFO_DATA, attribute(VLAN_ID, struct.pack("=H", vlan)))
    body = IFINFO.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name_value(name))
    body += attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    body += attribute(IFLA_LINK, struct.pack("=I", parent)) + attribute(IFLA_LINKINFO, info)
    return Request(NEWLINK, CREATE | EXCL, body, f"add VLAN {vlan} as {name}")


def set_link(index: int, *, up: bool | None = None, mtu: int | None = None, name: str | None = None,
             group: int | None = None) -> Request:  # fmt: skip
    """Change a device."""
    body = IFINFO.pack(0, 0, index, IFF_UP if up else 0, 0 if up is None else IFF_UP)
    if mtu is not None:
        body += attribute(IFLA_MTU, struct.pack("=I", mtu))
    if name is not None:
        body += attribute(IFLA_IFNAME, name_value(name))
    if group is not None:
        body += attribute(IFLA_GROUP, struct.pack("=I", group))
    return Request(NEWLINK, 0, body, f"set link {index}")


def delete_link(index: int) -> Request:
    """Remove a device, and a veth's other end with it; waits 24 ms for the kernel (kernel-and-lab 5)."""
    return Request(DELLINK, 0, IFINFO.pack(0, 0, index, 0, 0), f"delete link {index}", GONE)


def delete_group(group: int) -> Request:
    """Remove every device of a group in one wait of the kernel."""
    body = IFINFO.pack(0, 0, 0, 0, 0) + attribute(IFLA_GROUP, struct.pack("=I", group))
    return Request(DELLINK, 0, body, f"delete links of group {group}", GONE)


def link_named(netlink: Netlink, name: str) -> Link | None:
    """The device of that name, if there is one."""
    return _one(netlink, IFINFO.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name_value(name)), name)


def link_numbered(netlink: Netlink, index: int) -> Link | None:
    """The device of that index, if there is one."""
    return _one(netlink, IFINFO.pack(0, 0, index, 0, 0), str(index))


def links(netlink: Netlink) -> list[Link]:
    """Every device, by index."""
    body = IFINFO.pack(0, 0, 0, 0, 0) + attribute(IFLA_EXT_MASK, struct.pack("=I", SKIP_STATS))
    answers = netlink.dump(GETLINK, body, "list links")
    found = [parse_link(payload) for kind, payload in answers if kind == NEWLINK]
    return sorted(found, key=lambda link: link.index)


def _one(netlink: Netlink, body: bytes, which: str) -> Link | None:
    try:
        return parse_link(netlink.get(GETLINK, body, f"get link {which}"))
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise


@lru_cache(KNOWN)
def parse_link(payload: bytes) -> Link:
    """The device that a message of the kernel is about."""
    _, _, index, flags, _ = IFINFO.unpack_from(payload)
    found = attributes(payload[IFINFO.size :])
    return Link(
        index=index,
        name=found.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(),
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        mtu=u32(found.get(IFLA_MTU)),
        up=bool(flags & IFF_UP),
        group=u32(found.get(IFLA_GROUP)),
        peer=u32(found.get(IFLA_LINK)),
    )
