"""What our images hold above Debian's packages: our package, what it imports, its programs. For `images/Containerfile`, too."""

from __future__ import annotations

import importlib.util
import marshal
import re
import sys
from importlib import metadata
from pathlib import Path

from vpclab.images import compiled
from vpclab.images.error import ImageError
from vpclab.images.tree import Entry, Tree, directory, executable, from_file, from_folder, link, text

PACKAGE = "vpc-cni"
LIBRARY = "app/lib"
SERVICES = frozenset({"ec2", "sts", "sso", "sso-oidc", "signin"})
"""The models of botocore that an agent can need: EC2, and the ways to credentials."""
PROGRAM = "#!/usr/bin/python3.{minor} -Is\nimport sys\n\nsys.path.insert(0, '/app/lib')\nfrom {module} import main\n\nmain()\n"
PROGRAMS = {
    "app/aws-vpc-cni": "vpccni.agent.main",
    "init/aws-vpc-cni-init": "vpccni.agent.init",
    "usr/local/bin/vpc-cni": "vpccni.cli.main",
}
PLUGINS = Path("/usr/lib/cni")
"""Where Debian's containernetworking-plugins are, on this machine and in the package."""
NOT_INSTALLED = frozenset({"__pycache__", "RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "tests"})


def application() -> Tree:
    """Our layer: /app and the command `vpc-cni`. Raises ImageError."""
    found: Tree = {}
    for path, entry in _libraries().items():
        found[f"{LIBRARY}/{path}"] = entry
    found |= compiled_python(found)
    minor = sys.version_info.minor
    for path, module in PROGRAMS.items():
        found[path] = text(PROGRAM.format(minor=minor, module=module), 0o755)
    found["app/aws-cni"] = Entry(0o755, content=compiled.plugin())
    for name in ("egress-cni", "grpc-health-probe"):
        found[f"app/{name}"] = link("aws-cni")
    return found


def stock_plugins(files: Tree) -> Tree:
    """The init image's: the plugins of a package's files, where the init program looks for them."""
    below = f"{PLUGINS.relative_to('/')}/"
    return {
        f"init/plugins/{path.removeprefix(below)}": executable(entry)
        for path, entry in files.items()
        if path.startswith(below) and entry.content is not None
    }


def compiled_python(files: Tree) -> Tree:
    """The compiled form of each module, so that nothing is compiled at a start; it holds without the source's time."""
    found: Tree = {}
    for path, entry in files.items():
        if not path.endswith(".py") or entry.content is None:
            continue
        folder, _, name = path.rpartition("/")
        try:
            code = compile(entry.content, f"/{path}", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue  # a template or a test of an error: not imported
        header = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")  # by hash, not checked
        compact = header + importlib.util.source_hash(entry.content) + marshal.dumps(code)
        cached = f"{folder}/__pycache__/{name[:-3]}.{sys.implementation.cache_tag}.pyc"
        found[cached] = Entry(0o644, content=compact)
    return found


def inputs() -> list[str]:
    """What the layer is made of, in words that change when it does."""
    ours = Path(_package_folder())
    files = [*compiled.inputs(), *sorted(ours.rglob("*.py")), *sorted(ours.rglob("*.json"))]
    hashes = [f"{path.name} {importlib.util.source_hash(path.read_bytes()).hex()}" for path in files]
    return [sys.version, *hashes, *(f"{one.name} {one.version}" for one in _dependencies())]


def write_to(folder: Path) -> None:
    """The layer as files below a folder: how the Containerfile takes it over."""
    for path, entry in application().items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.target is not None:
            place.unlink(missing_ok=True)
            place.symlink_to(entry.target)
        elif entry.content is not None:
            place.write_bytes(entry.content)
            place.chmod(entry.mode)


def empty_folders() -> Tree:
    """Where the DaemonSet mounts the host's directories."""
    return {
        path: directory()
        for path in ("host/opt/cni/bin", "host/etc/cni/net.d", "host/var/log/aws-routed-eni", "run/aws-node")
    }


def _libraries() -> Tree:
    found: Tree = {}
    folder = _package_folder()
    for path, entry in from_folder(folder, "vpccni", leave_out=NOT_INSTALLED).items():
        found[path] = entry
    for one in _dependencies():
        for file in one.files or ():
            path = file.as_posix()
            if path.startswith("..") or NOT_INSTALLED & set(file.parts) or not _is_wanted(path):
                continue
            found[path] = from_file(Path(str(one.locate_file(file))))
    return found


def _is_wanted(path: str) -> bool:
    in_data = re.match(r"botocore/data/([^/]+)/", path)
    return in_data is None or in_data[1] in SERVICES


def _dependencies() -> list[metadata.Distribution]:
    """All that `vpc-cni` needs to run, by the metadata of the environment that this is run in."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [PACKAGE]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if name == PACKAGE:
                raise ImageError(f"{PACKAGE} is not installed in {sys.prefix}: make setup") from None
            continue  # for another system or another Python
        waiting += [
            re.split(r"[^A-Za-z0-9._-]", wanted, maxsplit=1)[0]
            for wanted in found[name].requires or ()
            if "extra ==" not in wanted
        ]
    del found[PACKAGE]
    return [found[name] for name in sorted(found)]


def _package_folder() -> Path:
    spec = importlib.util.find_spec("vpccni")
    assert spec is not None and spec.origin is not None  # noqa: S101, PT018 -- it is our other half
    return Path(spec.origin).parent


if __name__ == "__main__":
    write_to(Path(sys.argv[1]))
