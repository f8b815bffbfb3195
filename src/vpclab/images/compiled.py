"""Programs that run on any host of this architecture: compiled from our own sources and linked statically."""

from __future__ import annotations

import functools
import marshal
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from vpclab.images.error import ImageError

SOURCES = Path(__file__).parent / "sources"
PLUGIN_MODULES = ("vpccni.cni.plugin", "vpccni.cni.egress", "vpccni.cni.probe")
ENCODINGS = ("encodings.utf_8", "encodings.ascii", "encodings.latin_1")
"""What Python may ask for before any of our code runs."""
LIST_MODULES = """
import sys
path, *names = sys.argv[1:]
sys.path.insert(0, path)
for name in names:
    __import__(name)
for name, module in sorted(sys.modules.items()):
    spec = getattr(module, "__spec__", None)
    if spec is not None and name != "__main__" and (spec.origin or "").endswith(".py"):
        print(name)
"""


@functools.cache
def pause() -> bytes:
    """The sandbox's process. Raises ImageError."""
    return _compiled(["-Os", str(SOURCES / "pause.c")], [])


@functools.cache
def plugin() -> bytes:
    """aws-cni, egress-cni and grpc-health-probe, by the name it is called: Python and all in one file. Raises ImageError."""
    library = Path(sysconfig.get_config_var("LIBPL") or "") / f"libpython{sysconfig.get_python_version()}.a"
    headers = Path(sysconfig.get_path("platinclude"))
    if not library.exists() or not (headers / "Python.h").exists():
        raise ImageError(
            f"the plugin is linked with Python's static library, and there is no {library} or no {headers}/Python.h; "
            f"on Debian: apt-get install libpython{sysconfig.get_python_version()}-dev libexpat1-dev zlib1g-dev"
        )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "frozen.h").write_text(frozen(_modules()))
        return _compiled(
            ["-O2", "-Wl,--gc-sections", f"-I{folder}", f"-I{headers}", str(SOURCES / "plugin.c")],
            [str(library), "-lexpat", "-lz", "-lm"],
        )


def inputs() -> list[Path]:
    """What the programs are made of, beside the compiler and Python."""
    ours = [_source(name) for name in PLUGIN_MODULES]
    return [*sorted(SOURCES.iterdir()), *ours, Path(__file__)]


def frozen(names: Iterable[str]) -> str:
    """These modules as a table of C, in which the interpreter looks for them first."""
    arrays, rows = [], []
    for number, name in enumerate(names):
        source = _source(name)
        code = compile(source.read_bytes(), source.name, "exec", optimize=2, dont_inherit=True)
        arrays.append(
            f"static const unsigned char m{number}[] = {{{','.join(map(str, marshal.dumps(code)))}}};"
        )
        is_package = int(source.name == "__init__.py")
        rows.append(f'  {{"{name}", m{number}, sizeof m{number}, {is_package}}},')
    table = "\n".join(rows)
    return (
        "\n".join(arrays)
        + f"\nstatic const struct _frozen frozen_modules[] = {{\n{table}\n  {{0, 0, 0, 0}}\n}};\n"
    )


def _modules() -> list[str]:
    """All that they import and that is not built into the interpreter, as a bare one tells it."""
    ours = Path(_source("vpccni.cni.plugin")).parents[2]
    done = subprocess.run(
        [sys.executable, "-IS", "-c", LIST_MODULES, str(ours), *ENCODINGS, *PLUGIN_MODULES],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def _source(name: str) -> Path:
    spec = find_spec(name)
    if spec is None:
        raise ImageError(f"there is no module {name} to put into the plugin")
    if spec.origin in {None, "frozen"}:  # its code is in the interpreter; the file is there all the same
        found = Path(sysconfig.get_path("stdlib"), *name.split("."))
        return found / "__init__.py" if found.is_dir() else found.with_suffix(".py")
    return Path(str(spec.origin))


def _compiled(arguments: Sequence[str], libraries: Sequence[str]) -> bytes:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise ImageError("there is no C compiler; on Debian: apt-get install gcc libc6-dev")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "program"
        done = subprocess.run(
            [compiler, "-static", "-s", "-o", str(out), *arguments, *libraries],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ImageError(f"a program of the images does not compile:\n{done.stderr.strip()}")
        return out.read_bytes()
