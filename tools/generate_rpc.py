"""Makes the Python of the gRPC wire from its .proto: messages, their types, and grpclib's service bases and stubs.

Run after a change of src/vpccni/agent/rpc/rpc.proto, with the development requirements installed:

    .venv/bin/python tools/generate_rpc.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "src"
PROTO = "vpccni/agent/rpc/rpc.proto"


def generate(target: Path) -> None:
    """Write rpc_pb2.py, rpc_pb2.pyi and rpc_grpc.py below `target`, as their package's path asks."""
    kinds = [f"--{kind}_out={target}" for kind in ("python", "mypy", "grpclib_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{SOURCES}", *kinds, PROTO]
    # grpclib's generator is found on PATH, beside this interpreter
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run(command, check=True, cwd=SOURCES, env={**os.environ, "PATH": path})


if __name__ == "__main__":
    generate(SOURCES)
