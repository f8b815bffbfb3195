"""Puts the plugin on the host: our file with a first line that names an interpreter the host has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from vpccni import VERSION
from vpccni.agent.files import write_whole
from vpccni.cni import plugin

OLDEST = (3, 11)


def interpreter() -> Path:
    """The quickest interpreter at hand that is new enough.

    A distribution's own starts in 7-11 ms, one built as a shared library or reached through a version manager's
    script takes 15-80 (kernel-and-lab 4).
    """
    newest_first = [Path(f"/usr/bin/python3.{minor}") for minor in range(20, OLDEST[1] - 1, -1)]
    own = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    return next((path for path in newest_first if path.is_file()), own)


def plugin_text(python: Path) -> bytes:
    """The plugin as it is installed: compiled by that very interpreter, which saves a millisecond of each call.

    -I -S: nothing of the host's site or environment is read, or waited for. Raises OSError if it does not run.
    """
    compiled = subprocess.run(
        [python, "-IS", "-c", COMPILE, plugin.__file__], capture_output=True, check=False
    )
    if compiled.returncode != 0:
        raise OSError(
            f"{python} cannot compile the plugin: {compiled.stderr.decode(errors='replace').strip()}"
        )
    return HEAD % (os.fsencode(python), VERSION.encode()) + compiled.stdout


def install_plugin(bin_dir: Path) -> bool:
    """Install `aws-cni` into `bin_dir`; True if it changed. A running call keeps the file it was started from."""
    return write_whole(bin_dir / "aws-cni", plugin_text(interpreter()), 0o755)


HEAD = b"#!%s -IS\n# aws-cni of vpc-cni %s: vpccni/cni/plugin.py, compiled for this interpreter\n"
COMPILE = """
import marshal, sys
with open(sys.argv[1], encoding="utf-8") as source:
    code = compile(source.read(), "aws-cni", "exec", optimize=2)
print("import marshal")
print(f"exec(marshal.loads({marshal.dumps(code)!r}))")
"""
