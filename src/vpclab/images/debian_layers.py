"""The layers that come from Debian: networking tools for every image, Python for ours, the tools of a person who looks."""

from __future__ import annotations

import sys
from pathlib import Path

from vpclab.images.compiled import SOURCES
from vpclab.images.debian import package_files
from vpclab.images.tree import Tree, directory, from_file, link, text, usr_links

NETWORKING = ("iptables", "nftables", "conntrack", "iproute2", "busybox-static")
PYTHON = (f"python3.{sys.version_info.minor}-minimal", f"libpython3.{sys.version_info.minor}-stdlib")
STOCK_PLUGINS = ("containernetworking-plugins",)
TOOLS = (
    *NETWORKING,
    "bash", "zsh", "coreutils", "grep", "sed", "less", "procps", "hostname",
    "iputils-ping", "traceroute", "mtr-tiny", "curl", "bind9-dnsutils", "tcpdump", "iperf3", "netcat-openbsd", "socat",
    "jq", "net-tools", "ethtool",
)  # fmt: skip
APPLETS = (
    "sh", "ash", "cat", "ls", "cp", "mv", "rm", "mkdir", "ln", "chmod", "sleep", "tail", "head", "grep", "sed", "awk", "sort",
    "uniq", "wc", "cut", "tr", "find", "xargs", "ps", "env", "id", "hostname", "date", "df", "du", "vi", "less", "more",
    "tree", "wget", "nc", "ping", "true", "false", "test", "kill", "top", "which", "od", "stat", "touch", "tar",
)  # fmt: skip
"""Of busybox, in the images that have no other shell."""
IPTABLES = (
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
)
BACKENDS = "usr/local/lib/iptables"
"""A directory for each of the kernel's two interfaces, with the same names in it: whoever starts has one on PATH."""
STANDARD_LIBRARY_UNUSED = (
    "test", "idlelib", "tkinter", "lib2to3", "turtledemo", "ensurepip", "distutils", "pydoc_data", "sqlite3", "curses",
    "dbm", "unittest", "wsgiref", "xmlrpc", "__pycache__", "venv",
)  # fmt: skip


def base(debs: Path) -> Tree:
    """libc, busybox and what programs a host's packets: iptables of both kinds, nft, conntrack, ip."""
    found = {**usr_links(), **package_files(NETWORKING, debs)}
    for name in APPLETS:
        found.setdefault(f"usr/bin/{name}", link("busybox"))
    for kind in ("nft", "legacy"):
        for name in IPTABLES:
            found[f"{BACKENDS}/{kind}/{name}"] = link(f"/usr/sbin/xtables-{kind}-multi")
    for name in IPTABLES:
        found[f"usr/sbin/{name}"] = link("xtables-nft-multi")
    return {
        **found,
        "etc/passwd": text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"),
        "etc/group": text("root:x:0:\nnogroup:x:65534:\n"),
        "etc/nsswitch.conf": text("passwd: files\ngroup: files\nhosts: files dns\n"),
        "etc/os-release": text('NAME="Debian files, put together by vpc-lab"\nID=debian\n'),
        "tmp": directory(0o1777),
        "root": directory(0o700),
        "run": directory(),
        "var/run": link("/run"),
        "var/tmp": directory(0o1777),
        "proc": directory(),
        "sys": directory(),
        "dev": directory(),
    }  # fmt: skip


def python(debs: Path) -> Tree:
    """An interpreter of the minor version that runs the lab, without what no daemon needs."""
    library = f"usr/lib/python3.{sys.version_info.minor}/"
    return {
        path: entry
        for path, entry in package_files(PYTHON, debs).items()
        if not (
            path.startswith(library) and path[len(library) :].partition("/")[0] in STANDARD_LIBRARY_UNUSED
        )
    }


def tools(debs: Path) -> Tree:
    """What `nicolaka/netshoot` is for: looking at a network from inside a pod."""
    found = package_files(TOOLS, debs)
    found["root/.zshrc"] = from_file(SOURCES / "zshrc")
    found["usr/bin/awk"] = link("mawk")
    found["usr/bin/nc"] = link("nc.openbsd")
    found["usr/bin/traceroute"] = link("traceroute.db")
    found["etc/passwd"] = text(
        "root:x:0:0:root:/root:/bin/zsh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
    )
    return found
