"""Links of pods that are gone: taken out of use at once, removed together later.

Removing a link waits 24 ms for the kernel's readers, alone or with fifty others (kernel-and-lab 5). A link that waits is
down, so that what still runs in its sandbox sends nothing; it has another name, so that the pod's next sandbox can have
the old one; and it is in an interface group of ours, so that one message removes them all, also after a restart, and
nothing that is not ours.
"""

from __future__ import annotations

import errno

from vpccni.linux.links import delete_group, link_named, set_link
from vpccni.linux.rtnl import Netlink

REAPED = 0x76706363
"""The interface group of links that wait to be removed."""


def bury(netlink: Netlink, name: str) -> None:
    """Take the link of that name out of use; one that is not there is fine. Raises OSError."""
    link = link_named(netlink, name)
    if link is None:
        return
    # down first: before Linux 6.2 a link that is up cannot be renamed
    requests = [
        set_link(link.index, up=False),
        set_link(link.index, name=f"gone{link.index:x}", group=REAPED),
    ]
    for error in netlink.attempt(requests):
        if error is not None and error.errno != errno.ENODEV:  # its sandbox ended meanwhile, and it with it
            raise error


def reap(netlink: Netlink) -> None:
    """Remove every buried link in one wait of the kernel, during which other threads' sockets are served."""
    netlink.run([delete_group(REAPED)])
