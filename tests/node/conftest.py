"""A node's directories with plugins that write down what they were told."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.node.here import here
from vpclab.node import Runtime, Sandbox

PLUGIN = """#!/bin/sh
# keeps its environment and its standard input, and does as its files say
cd "$(dirname "$0")"
me=$(basename "$0")
n=$(ls calls | wc -l)
mkdir "calls/$(printf %03d $n)-$me-$CNI_COMMAND"
cd "calls/$(printf %03d $n)-$me-$CNI_COMMAND"
env | grep '^CNI_' | sort > env
cat > stdin
if [ -f "../../$me.$CNI_COMMAND.fails" ]; then cat "../../$me.$CNI_COMMAND.fails"; exit 1; fi
if [ -f "../../$me.$CNI_COMMAND.prints" ]; then cat "../../$me.$CNI_COMMAND.prints"; fi
exit 0
"""
VERSION = "0.4.0"
SANDBOX = Sandbox("default", "web", "uid-1", "c0ffee", "/run/netns/cni-1")


@dataclass(frozen=True)
class Call:
    """What a plugin was told."""

    plugin: str
    command: str
    env: dict[str, str]
    stdin: bytes

    @property
    def conf(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stdin)
        return found


@dataclass(frozen=True)
class PluginBench:
    """Plugins named `first` and `second`, and the runtime that calls them."""

    root: Path

    @property
    def runtime(self) -> Runtime:
        return Runtime(here(), self.root / "net.d", self.root / "bin", self.root / "results")

    def configure(self, **changes: object) -> bytes:
        conf = {
            "cniVersion": VERSION,
            "name": "aws-cni",
            "plugins": [
                {"type": "first", "capabilities": {"portMappings": True, "dns": False}, "mtu": "9001"},
                {"type": "second", "name": "its own"},
            ],
            **changes,
        }
        raw = json.dumps(conf).encode()
        (self.root / "net.d" / "10-aws.conflist").write_bytes(raw)
        return raw

    def says(self, plugin: str, command: str, text: str) -> None:
        (self.root / "bin" / f"{plugin}.{command}.prints").write_text(text)

    def fails(self, plugin: str, command: str, text: str) -> None:
        (self.root / "bin" / f"{plugin}.{command}.fails").write_text(text)

    def heals(self, plugin: str, command: str) -> None:
        (self.root / "bin" / f"{plugin}.{command}.fails").unlink()

    def calls(self) -> list[Call]:
        """Since the last look, in order."""
        found = []
        for directory in sorted((self.root / "bin" / "calls").iterdir()):
            _, plugin, command = directory.name.split("-")
            lines = (directory / "env").read_text().splitlines()
            env = dict(line.split("=", 1) for line in lines)
            found.append(Call(plugin, command, env, (directory / "stdin").read_bytes()))
            for file in directory.iterdir():
                file.unlink()
            directory.rmdir()
        return found

    def order(self) -> list[str]:
        return [f"{call.command} {call.plugin}" for call in self.calls()]


@pytest.fixture
def bench(tmp_path: Path) -> PluginBench:
    for name in ("bin/calls", "net.d"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("first", "second"):
        (tmp_path / "bin" / name).write_text(PLUGIN)
        (tmp_path / "bin" / name).chmod(0o755)
    made = PluginBench(tmp_path)
    made.configure()
    made.says("first", "ADD", '{"cniVersion": "0.4.0", "from": "first"}')
    made.says("second", "ADD", '{"cniVersion": "0.4.0", "from": "second"}')
    return made
