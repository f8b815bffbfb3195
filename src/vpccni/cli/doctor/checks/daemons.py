"""Daemons that manage the host's network, and would manage ours."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from vpccni.cli.doctor.facts import Facts, LinkFile, NetworkDaemons, known
from vpccni.cli.doctor.finding import Finding, Severity

SAMPLE = "0123456789a"
"""What may follow the prefix in a host veth's name."""
PERSISTENT = frozenset({"persistent", "random"})


def network_manager(facts: Facts) -> Iterator[Finding]:
    """It takes up devices that appear."""
    daemons, prefix = known(facts.daemons), facts.settings.settings.veth_prefix
    if not daemons.network_manager:
        return
    if any(_leaves_alone(pattern, prefix) for pattern in daemons.unmanaged):
        return
    yield Finding(
        "network-manager",
        Severity.RISKY,
        f"NetworkManager runs and was not told to leave devices {prefix}* and ENIs alone",
        "it may give addresses and routes to pods' devices and to ENIs, or set them down",
        f"write `[keyfile]` and `unmanaged-devices=interface-name:{prefix}*` to /etc/NetworkManager/conf.d/, and "
        "restart it",
    )


def networkd(facts: Facts) -> Iterator[Finding]:
    """It removes rules and routes that are not of its making when it starts."""
    daemons = known(facts.daemons)
    if not daemons.networkd:
        return
    missing = [
        name
        for name, kept in (
            ("ManageForeignRoutingPolicyRules", daemons.keeps_foreign_rules),
            ("ManageForeignRoutes", daemons.keeps_foreign_routes),
        )
        if not kept
    ]
    if missing:
        settings = " and ".join(f"{name}=no" for name in missing)
        yield Finding(
            "systemd-networkd",
            Severity.RISKY,
            f"systemd-networkd runs without {settings}",
            "whenever it is restarted (an update does that) it removes the pods' rules and the ENIs' routes; until the "
            "agent puts them back pods are cut off",
            f"write `[Network]` and {settings} to /etc/systemd/networkd.conf.d/, and restart it",
        )


def mac_policy(facts: Facts) -> Iterator[Finding]:
    """Udev gives new devices another MAC. Ours are made with one, which udev leaves."""
    daemons, prefix = known(facts.daemons), facts.settings.settings.veth_prefix
    file = link_file_for(daemons, f"{prefix}{SAMPLE}")
    if daemons.udev and file is not None and file.mac_policy in PERSISTENT:
        yield Finding(
            "mac-policy",
            Severity.NOTE,
            f"{file.path} has udev change the MAC of new devices (MACAddressPolicy={file.mac_policy})",
            "our devices are made with a MAC, which udev then leaves; other plugins' and older releases' pods lose the "
            "neighbour that they were given",
            f"a file like /etc/systemd/network/10-{prefix}.link with `[Match]` OriginalName={prefix}* and `[Link]` "
            "MACAddressPolicy=none",
        )


def link_file_for(daemons: NetworkDaemons, name: str) -> LinkFile | None:
    """The .link file that udev uses for a veth of that name: the first that matches."""
    return next((file for file in daemons.link_files if _is_for(file, name)), None)


def _is_for(file: LinkFile, name: str) -> bool:
    names = not file.names or any(fnmatchcase(name, pattern) for pattern in file.names)
    kinds = not file.kinds or any(fnmatchcase("veth", pattern) for pattern in file.kinds)
    return names and kinds and not file.narrower


def _leaves_alone(pattern: str, prefix: str) -> bool:
    """One of unmanaged-devices; what begins with ~ or except: is the other way round."""
    kind, colon, value = pattern.partition(":")
    if not colon:
        return pattern == "*"
    if kind in ("interface-name", "type", "driver"):
        return fnmatchcase(f"{prefix}{SAMPLE}" if kind == "interface-name" else "veth", value.lstrip("="))
    return False
