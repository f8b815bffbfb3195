from collections.abc import Callable
from pathlib import Path

import pytest

from vpccni.agent.install import interpreter
from vpccni.cni import plugin

InstallAt = Callable[[Path], Path]


@pytest.fixture
def plugin_at() -> InstallAt:
    """Installs the real plugin with its run directory moved below a test's own."""

    def install(run_dir: Path) -> Path:
        text = b"#!%s -IS\n%s" % (bytes(interpreter()), Path(plugin.__file__).read_bytes())
        moved = text.replace(b'RUN_DIR = b"/var/run/aws-node"', b'RUN_DIR = b"%s"' % bytes(run_dir))
        moved = moved.replace(
            b'LOG = b"/var/log/aws-routed-eni/plugin.log"', b'LOG = b"%s/plugin.log"' % bytes(run_dir)
        )
        assert moved != text
        path = run_dir / "aws-cni"
        path.write_bytes(moved)
        path.chmod(0o755)
        return path

    return install
