"""Puts the plugins on the host.

In our container image they are one program with an interpreter of its own in it, so the host needs no Python. Elsewhere
(the lab's bare nodes, a checkout) they are our file with a first line that names an interpreter the host has.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from vpccni import VERSION
from vpccni.agent.files import write_whole
from vpccni.cni import egress, plugin

OLDEST = (3, 11)


def interpreter() -> Path:
    """The quickest interpreter at hand that is new enough.

    A distribution's own starts in 7-11 ms, one built as a shared library or reached through a version manager's
    script takes 15-80 (kernel-and-lab 4).
    """
    newest_first = [Path(f"/usr/bin/python3.{minor}") for minor in range(20, OLDEST[1] - 1, -1)]
    own = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    return next((path for path in newest_first if path.is_file()), own)


def plugin_text(python: Path, name: str = "aws-cni") -> bytes:
    """A plugin as it is installed: compiled by that very interpreter, which saves a millisecond of each call.

    -I -S: nothing of the host's site or environment is read, or waited for. Raises OSError if it does not run.
    """
    sources = [plugin.__file__, *([egress.__file__] if name == "egress-cni" else [])]
    compiled = subprocess.run([python, "-IS", "-c", COMPILE, *sources], capture_output=True, check=False)
    if compiled.returncode != 0:
        raise OSError(
            f"{python} cannot compile the plugin: {compiled.stderr.decode(errors='replace').strip()}"
        )
    return HEAD % (os.fsencode(python), name.encode(), VERSION.encode()) + compiled.stdout


def install_plugins(bin_dir: Path, ready_made: Path | None = None) -> bool:
    """Install aws-cni and egress-cni; True if one changed. A running call keeps the file it was started from.

    `ready_made` is the image's program, READY_MADE by default.
    """
    program = ready_made or READY_MADE
    if program.is_file():
        return _install_program(program, bin_dir)
    python = interpreter()
    changed = [write_whole(bin_dir / name, plugin_text(python, name), 0o755) for name in PLUGINS]
    return any(changed)


def _install_program(program: Path, bin_dir: Path) -> bool:
    """One file by both names: which of them it is asked to be, it sees by its name."""
    first, *others = (bin_dir / name for name in PLUGINS)
    changed = write_whole(first, program.read_bytes(), 0o755)
    for other in others:
        if other.exists() and other.samefile(first):
            continue
        fresh = other.with_name(f".{other.name}.tmp")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        fresh.hardlink_to(first)
        fresh.rename(other)
        changed = True
    return changed


READY_MADE = Path("/app/aws-cni")
"""Where our image has the plugins as a program (src/vpclab/images/sources/plugin.c)."""
PLUGINS = ("aws-cni", "egress-cni")
HEAD = b"#!%s -IS\n# %s of vpc-cni %s: from vpccni/cni, compiled for this interpreter\n"
COMPILE = """
import marshal, sys
*modules, program = sys.argv[1:]
def dumped(path):
    with open(path, encoding="utf-8") as source:
        return marshal.dumps(compile(source.read(), path.rsplit("/", 1)[-1], "exec", optimize=2))
print("import marshal, sys")
if modules:  # aws-cni's own, which egress-cni imports
    print("def module(name): return sys.modules.setdefault(name, type(sys)(name))")
    print("module('vpccni').cni, plugin = module('vpccni.cni'), module('vpccni.cni.plugin')")
    print("sys.modules['vpccni.cni'].plugin = plugin")
    print(f"exec(marshal.loads({dumped(modules[0])!r}), plugin.__dict__)")
print(f"exec(marshal.loads({dumped(program)!r}))")
"""
