"""What the kernel can do: tried in a throw-away network namespace, or else read from the kernel's configuration."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network
from pathlib import Path

from vpccni.cli.doctor.facts import Feature
from vpccni.cli.kernel.namespaces import in_throwaway
from vpccni.linux.errors import KernelError
from vpccni.linux.rtnl import Netlink
from vpccni.linux.rules import Rule, add_rule

TIMEOUT = 20.0
POSTROUTING = ("iptables", "-w", "5", "-t", "nat", "-A", "POSTROUTING")
PREROUTING = ("iptables", "-w", "5", "-t", "mangle", "-A", "PREROUTING")
TRIED: Mapping[str, tuple[str, ...]] = {
    "connection marks (connmark)": (*PREROUTING, "-j", "CONNMARK", "--restore-mark", "--mask", "0x80"),
    "destination types (addrtype)": (
        *PREROUTING, "-m", "addrtype", "--dst-type", "LOCAL", "--limit-iface-in", "-j", "RETURN",
    ),
    "SNAT with random ports (random-fully)": (
        *POSTROUTING, "-j", "SNAT", "--to-source", "192.0.2.1", "--random-fully",
    ),
    "comments in rules (comment)": (*PREROUTING, "-m", "comment", "--comment", "x", "-j", "RETURN"),
    "nf_tables": ("nft", "add table ip probe; add chain ip probe c { type nat hook prerouting priority -90; }"),
}  # fmt: skip
"""Feature → a command that works only with it."""
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "connection marks (connmark)": ("NF_CONNTRACK_MARK", "NETFILTER_XT_CONNMARK"),
    "destination types (addrtype)": ("NETFILTER_XT_MATCH_ADDRTYPE",),
    "SNAT with random ports (random-fully)": ("NF_NAT",),
    "comments in rules (comment)": ("NETFILTER_XT_MATCH_COMMENT",),
    "nf_tables": ("NF_TABLES", "NF_TABLES_IPV4", "NFT_NAT", "NFT_CT", "NFT_FIB_IPV4"),
    "policy routing": ("IP_MULTIPLE_TABLES",),
}
"""Feature → the options of the kernel's configuration that make it."""
POLICY_ROUTING = "policy routing"


def probe(root: Path = Path("/"), *, try_them: bool = True) -> tuple[Feature, ...]:
    """Every feature. Trying them may load the kernel's modules, which the agent needs anyway."""
    config = kernel_config(root)
    why = "not tried"
    if try_them:
        try:
            return in_throwaway(lambda: _tried(config))
        except KernelError as error:
            why = str(error)
    return tuple(_by_config(name, config, why) for name in OPTIONS)


def kernel_config(root: Path = Path("/")) -> Mapping[str, str] | None:
    """Option → y, m or n; None if the kernel does not show its configuration."""
    try:
        text = gzip.decompress((root / "proc/config.gz").read_bytes()).decode()
    except (OSError, EOFError):
        try:
            text = (root / f"boot/config-{os.uname().release}").read_text()
        except OSError:
            return None
    pairs = (line.split("=", 1) for line in text.splitlines() if line.startswith("CONFIG_") and "=" in line)
    return {name.removeprefix("CONFIG_"): value.strip('"') for name, value in pairs}


def _tried(config: Mapping[str, str] | None) -> tuple[Feature, ...]:
    """In the throw-away namespace."""
    found = [_by_command(name, command, config) for name, command in TRIED.items()]
    found.append(_by_call(POLICY_ROUTING, _policy_rule))
    return tuple(found)


def _by_command(name: str, command: tuple[str, ...], config: Mapping[str, str] | None) -> Feature:
    if shutil.which(command[0]) is None:
        return _by_config(name, config, f"there is no {command[0]} to try it with")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return _by_config(name, config, f"{command[0]} did not answer")
    if done.returncode == 0:
        return Feature(name, present=True, how="tried")
    said = done.stderr.strip().splitlines()
    return Feature(name, present=False, how=f"tried: {said[0] if said else 'refused'}")


def _by_call(name: str, call: Callable[[], None]) -> Feature:
    try:
        call()
    except OSError as error:
        return Feature(name, present=False, how=f"tried: {error}")
    return Feature(name, present=True, how="tried")


def _policy_rule() -> None:
    with Netlink() as netlink:
        netlink.run([add_rule(Rule(1536, 2, source=IPv4Network("192.0.2.1/32")))])
        netlink.run([add_rule(Rule(1024, 254, mark=0x80, mask=0x80))])


def _by_config(name: str, config: Mapping[str, str] | None, why: str) -> Feature:
    if config is None:
        return Feature(name, None, f"{why}, and the kernel does not show its configuration")
    missing = [option for option in OPTIONS[name] if config.get(option) not in ("y", "m")]
    if missing:
        return Feature(name, present=False, how=f"its configuration lacks {', '.join(missing)}")
    return Feature(name, present=True, how="by its configuration")
