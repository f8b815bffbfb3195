"""Programs that the machine may lack, from Debian's packages, without installing one on it; and a key pair for each lab."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vpclab.images.build import cache_directory
from vpclab.images.debian import package_files
from vpclab.images.error import ImageError
from vpclab.images.tree import Tree

PROGRAMS: Mapping[str, str] = {
    "sbin/sshd": "openssh-server",
    "bin/ssh": "openssh-client",
    "bin/ssh-keygen": "openssh-client",
    "bin/sudo": "sudo",
    "bin/tree": "tree",
    "bin/jq": "jq",
    "bin/watch": "procps",
    "bin/less": "less",
}
"""Below /usr, and the Debian package that has it."""
AWS_CLI = "awscli==1.46.3"
FORMAT = "1"


@dataclass(frozen=True, slots=True)
class Kit:
    """What the machines of one lab are given."""

    tools: Path | None
    """A folder like /usr with the programs that the machine lacks; None: it lacks none."""
    aws: Path
    """The folder of the `aws` command."""
    private_key: str
    public_key: str


def gather_kit(cache: Path | None = None) -> Kit:
    """Programs found or fetched, and a new key pair. Raises ImageError: something cannot be had."""
    directory = cache or cache_directory()
    tools = _tools(directory / "tools")
    return Kit(tools, _aws(directory / "aws"), *_key_pair(tools))


def missing(usr: Path = Path("/usr")) -> list[str]:
    """Packages with a program that this machine does not have."""
    return sorted({package for program, package in PROGRAMS.items() if not (usr / program).exists()})


def write_tree(tree: Tree, folder: Path) -> None:
    """A tree as files; links come last, for they may lead to what is not there yet."""
    for path, entry in tree.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.content is not None:
            place.write_bytes(entry.content)
            place.chmod(entry.mode)
    for path, entry in tree.items():
        if entry.target is not None:
            (folder / path).symlink_to(entry.target)


def _tools(directory: Path) -> Path | None:
    packages = missing()
    if not packages:
        return None
    key = hashlib.sha256(" ".join((FORMAT, *packages)).encode()).hexdigest()[:16]
    done = directory / key
    if not done.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            fresh = Path(scratch) / "root"
            below_usr = _below_usr(package_files(packages, directory / "debs"))
            write_tree(below_usr, fresh)
            fresh.chmod(0o755)
            _put(fresh, done)
    return done


def _below_usr(files: Tree) -> Tree:
    return {path.removeprefix("usr/"): entry for path, entry in files.items() if path.startswith("usr/")}


def _aws(directory: Path) -> Path:
    """Beside our own interpreter (as in a checkout), or the person's own, or one in an environment that is made once."""
    beside = Path(sys.executable).parent / "aws"
    own = str(beside) if beside.exists() else shutil.which("aws")
    if own is not None:
        return Path(own).parent
    done = directory / AWS_CLI
    if not (done / "bin/aws").exists():
        directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(done, ignore_errors=True)
        _run((sys.executable, "-m", "venv", str(done)), "a virtual environment for the aws command")
        _run((str(done / "bin/pip"), "install", "-q", AWS_CLI), "the aws command (pip install awscli)")
    return done / "bin"


def _key_pair(tools: Path | None) -> tuple[str, str]:
    program = shutil.which("ssh-keygen") or (str(tools / "bin/ssh-keygen") if tools else "ssh-keygen")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key"
        libraries = ":".join(str(one) for one in (tools / "lib").glob("*-linux-gnu")) if tools else ""
        _run(
            (program, "-q", "-t", "ed25519", "-N", "", "-C", "vpc-lab", "-f", str(path)),
            "a key pair",
            {**os.environ, **({"LD_LIBRARY_PATH": libraries} if libraries else {})},
        )
        return path.read_text(), path.with_suffix(".pub").read_text()


def _run(command: Iterable[str], what: str, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(tuple(command), capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        raise ImageError(f"{what} cannot be made: {done.stderr.strip() or done.stdout.strip()}")


def _put(fresh: Path, done: Path) -> None:
    """Another lab may have been quicker: its folder is the same."""
    try:
        fresh.rename(done)
    except OSError:
        if not done.is_dir():
            raise
