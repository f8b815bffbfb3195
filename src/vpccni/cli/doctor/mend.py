"""What --fix does: ours, safe, and said. The only part of the command line that changes the host."""

from __future__ import annotations

from collections.abc import Iterable

from vpccni.cli.doctor.finding import (
    LoosenSourceCheck,
    MakeExecutable,
    Mend,
    RemoveLink,
    RemoveRoute,
    RemoveRule,
    SetMtu,
)
from vpccni.cli.kernel.read import read_devices
from vpccni.linux.links import delete_link, set_link
from vpccni.linux.routes import delete_route
from vpccni.linux.rtnl import Netlink
from vpccni.linux.source_check import LOOSE, set_source_check
from vpccni.linux.wanted import remove_rules


def mend(netlink: Netlink, mends: Iterable[Mend]) -> tuple[str, ...]:
    """Do it; what was done, and what could not be, in words."""
    said: list[str] = []
    for each in mends:
        try:
            said += _one(netlink, each)
        except OSError as error:
            said.append(f"could not: {error}")
    return tuple(said)


def _one(netlink: Netlink, wanted: Mend) -> list[str]:
    match wanted:
        case LoosenSourceCheck(index):
            return set_source_check(netlink, index, LOOSE)
        case SetMtu(index, device, mtu):
            netlink.run([set_link(index, mtu=mtu)])
            return [f"set the MTU of {device} to {mtu}"]
        case RemoveRule(rule):
            return remove_rules(netlink, [rule])
        case RemoveRoute(route):
            netlink.run([delete_route(route)])
            return [f"removed route {route}"]
        case RemoveLink(index, device):
            return _remove_link(netlink, index, device)
        case MakeExecutable(path):
            path.chmod(0o755)
            return [f"made {path} executable"]


def _remove_link(netlink: Netlink, index: int, device: str) -> list[str]:
    """Unless it became somebody's since."""
    now = next((each for each in read_devices(netlink) if each.index == index), None)
    if now is None or now.name != device or (now.up and now.carrier):
        return [f"left {device}: it is another now, or in use"]
    netlink.run([delete_link(index)])
    return [f"removed {device}"]
