"""Files of Debian's packages, with all that they depend on, without installing one.

apt decides what belongs to what, against an empty list of installed packages; no package's script is run. What an image does
not need is left out: manuals, translations, and whole packages that are there for scripts which nobody runs.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from vpclab.images.error import ImageError
from vpclab.images.tree import Entry, Tree, link, merged_usr

NOT_NEEDED = re.compile(
    # for scripts of packages, for perl, for PAM, for Kerberos by way of a library that only `ss` and `nis` load
    r"(debconf|dpkg|perl.*|libperl.*|.*-perl|usrmerge|passwd|adduser|init-system-helpers|libpam.*|libsemanage.*|"
    r"libsepol\d|libaudit.*|readline-common|libsqlite3-0|libreadline8|libdb5\.3|libgdbm.*|media-types|tar|"
    r"debianutils|libsasl2-modules.*|krb5-locales)\Z"
)
LEFT_OUT = re.compile(
    r"usr/share/(man|info|locale|lintian|bug|menu|doc-base|pixmaps|icons|applications|gdb|polkit-1)/|"
    r"usr/share/doc/(?!.*/copyright\Z)|usr/share/i18n/|var/|etc/(init\.d|cron.*|logrotate\.d|default|pam\.d|systemd)/|"
    r"(usr/)?lib/(systemd|udev|modules-load\.d|tmpfiles\.d|sysusers\.d)/|usr/share/bash-completion/|"
    r"usr/lib/[^/]+/gconv/|usr/lib/[^/]+/perl|usr/lib/[^/]+/krb5/"
)


def package_files(packages: Sequence[str], debs: Path) -> Tree:
    """What these packages and those that they need would put on a disk; the downloaded files are kept in `debs`.

    Raises ImageError: there is no apt, or a package cannot be had.
    """
    found: Tree = {}
    for deb in _downloaded(packages, debs):
        found |= _files(deb)
    return found


def _downloaded(packages: Sequence[str], debs: Path) -> list[Path]:
    debs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as empty:
        status = Path(empty) / "status"
        status.touch()
        (Path(empty) / "partial").mkdir()
        options = [
            f"-oDir::State::status={status}",
            f"-oDir::Cache::archives={empty}",
            "-oDebug::NoLocking=1",
        ]
        install = ["apt-get", "-q", "-y", "--no-install-recommends", *options, "install"]
        plan = _run([*install, "--print-uris", *packages])
    names = re.findall(r"^'[^']+' (\S+_\S+_\S+\.deb) ", plan, re.MULTILINE)
    if not names:
        raise ImageError(f"apt-get knows of nothing to download for {' '.join(packages)}: apt-get update")
    wanted = [debs / name for name in names if not NOT_NEEDED.match(name.partition("_")[0])]
    if missing := [_name_and_version(deb) for deb in wanted if not deb.exists()]:
        # root, not the user that apt has for downloads: the cache is somewhere in a home
        _run(["apt-get", "-q", "-oAPT::Sandbox::User=root", "download", *missing], cwd=debs)
    return wanted


def _name_and_version(deb: Path) -> str:
    name, version, _ = deb.name.split("_")
    return f"{name}={version.replace('%3a', ':')}"


def _files(deb: Path) -> Tree:
    listing = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], capture_output=True, check=False)
    if listing.returncode != 0:
        raise ImageError(f"{deb} cannot be read: {listing.stderr.decode(errors='replace').strip()}")
    found: Tree = {}
    with tarfile.open(fileobj=io.BytesIO(listing.stdout)) as tar:
        for path, member in _members(tar):
            if member.issym():
                found[path] = link(member.linkname)
            elif member.islnk():
                found[path] = found[merged_usr(member.linkname.removeprefix("./"))]
            elif member.isfile():
                content = tar.extractfile(member)
                assert content is not None  # noqa: S101 -- it is a file
                found[path] = Entry(member.mode & 0o7777, content=content.read())
    return found


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    for member in tar:
        path = merged_usr(os.path.normpath(member.name).removeprefix("./"))
        if not member.isdir() and not LEFT_OUT.match(path):
            yield path, member


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ImageError(f"images are made of Debian's packages, and there is no {command[0]} here") from None
    if done.returncode != 0:
        raise ImageError(f"{' '.join(command[:2])} failed: {done.stderr.strip()} (apt-get update may help)")
    return done.stdout
