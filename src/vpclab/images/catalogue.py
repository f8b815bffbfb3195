"""The images of a lab, by the names under which the study's cluster asks for them, and what each is made of."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vpccni import VERSION
from vpclab.images import application, compiled, debian_layers
from vpclab.images.archive import RunAs
from vpclab.images.compiled import SOURCES
from vpclab.images.debian import package_files
from vpclab.images.error import ImageError
from vpclab.images.tree import Entry, Tree, from_file

ECR = "602401143452.dkr.ecr.{region}.amazonaws.com"
"""Where EKS's images are in a region (spec 10.1); here it is a name and nothing else."""
CNI_TAG = f"v1.23.1-vpccni.{VERSION.removeprefix('v')}"
"""The release of the original whose behaviour ours has, and our own version."""
LAB_BUILD = "lab.1"
"""In place of EKS's own `eksbuild.N`, for these are not EKS's builds."""

Maker = Callable[[Path], Tree]
"""A layer's tree; it is given where Debian's packages are kept."""


@dataclass(frozen=True, slots=True)
class LayerRecipe:
    """How a layer is made, and what it is made of: the same words, the same layer."""

    name: str
    inputs: tuple[str, ...]
    make: Maker


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """An image: its names, its layers from the lowest, what it runs, and where its content comes from."""

    names: tuple[str, ...]
    layers: tuple[LayerRecipe, ...]
    run: RunAs
    origin: str


def catalogue(region: str, kubernetes: Path | None) -> list[ImageRecipe]:
    """All of them; those of the binaries in `kubernetes` only if it is given. Raises ImageError."""
    ecr = ECR.format(region=region)
    base = LayerRecipe("base", debian_layers.NETWORKING + debian_layers.APPLETS, debian_layers.base)
    python = LayerRecipe("python", debian_layers.PYTHON, _python)
    ours = LayerRecipe("vpc-cni", tuple(application.inputs()), lambda _: _ours())
    plugins = LayerRecipe("plugins", debian_layers.STOCK_PLUGINS, _plugins)
    tools = LayerRecipe("tools", debian_layers.TOOLS, debian_layers.tools)
    pause = LayerRecipe(
        "pause", (_text("pause.c"),), lambda _: {"pause": Entry(0o755, content=compiled.pause())}
    )
    echo = LayerRecipe("echo", (_text("echo.py"),), lambda _: {"app/echo.py": from_file(SOURCES / "echo.py")})
    interpreter = f"/{debian_layers.PYTHON[0].removesuffix('-minimal').replace('python', 'usr/bin/python')}"
    found = [
        ImageRecipe(
            (f"{ecr}/eks/pause:3.5", "registry.k8s.io/pause:3.9"),
            (pause,),
            RunAs(("/pause",)),
            "compiled from src/vpclab/images/sources/pause.c",
        ),
        ImageRecipe(
            (f"{ecr}/amazon-k8s-cni:{CNI_TAG}", f"{ecr}/amazon-k8s-cni:latest"),
            (base, python, ours),
            RunAs(("/app/aws-vpc-cni",), working_dir="/app"),
            "this project and what it imports, on Debian's Python; the plugin is linked with Python's static library",
        ),
        ImageRecipe(
            (f"{ecr}/amazon-k8s-cni-init:{CNI_TAG}",),
            (base, python, ours, plugins),
            RunAs(command=("/init/aws-vpc-cni-init",), working_dir="/init"),
            "the same, and the plugins of Debian's containernetworking-plugins",
        ),
        ImageRecipe(
            ("docker.io/nicolaka/netshoot:latest",),
            (base, tools),
            RunAs(command=("zsh",), env={"HOME": "/root"}, working_dir="/root"),
            "Debian's packages: not nicolaka's image, under its name because the study types it",
        ),
        ImageRecipe(
            ("docker.io/vpc-lab/http-echo:1",),
            (base, python, echo),
            RunAs((interpreter, "-I", "/app/echo.py"), ("8080",)),
            "src/vpclab/images/sources/echo.py on Debian's Python",
        ),
    ]
    return found if kubernetes is None else [*found, *_of_kubernetes(ecr, kubernetes, base)]


def _of_kubernetes(ecr: str, kubernetes: Path, base: LayerRecipe) -> list[ImageRecipe]:
    proxy, dns = kubernetes / "kube-proxy", kubernetes / "coredns"
    missing = [str(path) for path in (proxy, dns) if not path.is_file()]
    if missing:
        raise ImageError(f"not there: {', '.join(missing)}; make kubernetes builds them")
    origin = "built from its Go module by make kubernetes, on Debian's iptables"
    return [
        ImageRecipe(
            (f"{ecr}/eks/kube-proxy:{_version([str(proxy), '--version'])}-{LAB_BUILD}",),
            (base, LayerRecipe("kube-proxy", (_stamp(proxy), _text("kube-proxy.sh")), lambda _: _kube_proxy(proxy))),
            RunAs(command=("kube-proxy",)),
            origin,
        ),
        ImageRecipe(
            (f"{ecr}/eks/coredns:v{_version([str(dns), '-version']).removeprefix('v')}-{LAB_BUILD}",),
            (LayerRecipe("coredns", (_stamp(dns),), lambda _: {"coredns": from_file(dns)}),),
            RunAs(("/coredns",)),
            "built from its Go module by make kubernetes",
        ),
    ]  # fmt: skip


def _kube_proxy(program: Path) -> Tree:
    wrapper = from_file(SOURCES / "kube-proxy.sh")
    return {
        "usr/local/bin/kube-proxy": Entry(0o755, content=wrapper.content),
        "usr/local/lib/kube-proxy": Entry(0o755, content=program.read_bytes()),
    }


def _python(debs: Path) -> Tree:
    found = debian_layers.python(debs)
    return found | application.compiled_python(found)


def _ours() -> Tree:
    return {**application.application(), **application.empty_folders()}


def _plugins(debs: Path) -> Tree:
    return application.stock_plugins(package_files(debian_layers.STOCK_PLUGINS, debs))


def _version(command: list[str]) -> str:
    """The version that a program says it is of: the first word with a dot and a digit in front of it."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
    except OSError as error:
        raise ImageError(f"{command[0]} does not run: {error}") from None
    for word in said.replace("-", " ").replace("CoreDNS", "").split():
        if word.lstrip("v")[:1].isdigit() and "." in word:
            return word.rstrip(",")
    raise ImageError(f"{' '.join(command)} does not tell its version: {said.strip()!r}")


def _stamp(path: Path) -> str:
    found = path.stat()
    return f"{path} {found.st_size} {found.st_mtime_ns}"


def _text(name: str) -> str:
    return (SOURCES / name).read_text()
