"""Files that tell what else manages the host's network, below a root that tests may choose."""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Sequence
from pathlib import Path

from vpccni.cli.doctor.facts import LinkFile, NetworkDaemons

LINK_DIRECTORIES = (
    "etc/systemd/network",
    "run/systemd/network",
    "usr/local/lib/systemd/network",
    "usr/lib/systemd/network",
    "lib/systemd/network",
)
"""Of files with one name the first directory's counts; then all are sorted by name (systemd.link(5))."""
NETWORKD_CONFIGURATION = ("usr/lib/systemd", "usr/local/lib/systemd", "run/systemd", "etc/systemd")
NETWORK_MANAGER = ("usr/lib/NetworkManager", "run/NetworkManager", "etc/NetworkManager")
"""The last to say something wins."""
ANY_VETH_HAS = frozenset({"OriginalName", "Kind", "Driver", "Type"})
NO_WORDS = frozenset({"no", "false", "0", "off"})


def read_daemons(root: Path = Path("/")) -> NetworkDaemons:
    """Which of them run, and what they were told."""
    networkd = dict(_networkd(root))
    return NetworkDaemons(
        # by what each keeps below /run while it runs
        network_manager=(root / "run/NetworkManager").is_dir(),
        unmanaged=tuple(_unmanaged(root)),
        networkd=(root / "run/systemd/netif/state").exists(),
        keeps_foreign_rules=networkd.get("ManageForeignRoutingPolicyRules", "yes").lower() in NO_WORDS,
        keeps_foreign_routes=networkd.get("ManageForeignRoutes", "yes").lower() in NO_WORDS,
        udev=(root / "run/udev/control").exists(),
        link_files=tuple(_link_files(root)),
    )


def _networkd(root: Path) -> Iterator[tuple[str, str]]:
    for path in _with_drop_ins(root, NETWORKD_CONFIGURATION, "networkd.conf"):
        parsed = _ini(path)
        if parsed.has_section("Network"):
            yield from parsed.items("Network")


def _unmanaged(root: Path) -> Iterator[str]:
    found: dict[str, str] = {}
    for path in _with_drop_ins(root, NETWORK_MANAGER, "NetworkManager.conf", "conf.d"):
        parsed = _ini(path)
        if parsed.has_option("keyfile", "unmanaged-devices"):
            found["keyfile"] = parsed.get("keyfile", "unmanaged-devices")
        for section in parsed.sections():
            if (
                section.startswith("device")
                and parsed.get(section, "managed", fallback="1").lower() in NO_WORDS
            ):
                found[section] = parsed.get(section, "match-device", fallback="")
    for text in found.values():
        yield from (part for part in text.replace(",", ";").split(";") if part)


def _with_drop_ins(
    root: Path, directories: Sequence[str], name: str, drop_ins: str | None = None
) -> Iterator[Path]:
    """The main file, then every drop-in by name."""
    for directory in directories:
        if (root / directory / name).is_file():
            yield root / directory / name
    parts: dict[str, Path] = {}
    for directory in directories:
        for path in sorted((root / directory / (drop_ins or f"{name}.d")).glob("*.conf")):
            parts[path.name] = path
    yield from (parts[each] for each in sorted(parts))


def _link_files(root: Path) -> Iterator[LinkFile]:
    found: dict[str, Path] = {}
    for directory in LINK_DIRECTORIES:
        for path in (root / directory).glob("*.link"):
            found.setdefault(path.name, path)
    for name in sorted(found):
        parsed = _ini(found[name])
        match = dict(parsed.items("Match")) if parsed.has_section("Match") else {}
        yield LinkFile(
            "/" + str(found[name].relative_to(root)),
            names=tuple(match.get("OriginalName", "").split()),
            kinds=tuple(f"{match.get('Kind', '')} {match.get('Driver', '')}".split()),
            narrower=bool(match.keys() - ANY_VETH_HAS),
            mac_policy=parsed.get("Link", "MACAddressPolicy", fallback=""),
        )


def _ini(path: Path) -> configparser.RawConfigParser:
    parsed = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=",))
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parsed.read_string(path.read_text(errors="replace"))
    except (OSError, configparser.Error):
        return configparser.RawConfigParser()
    return parsed
