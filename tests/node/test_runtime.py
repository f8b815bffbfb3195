"""The runtime calls plugins as libcni does: proven with plugins that write down what they were told."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from vpclab.fabric import Completed, Place
from vpclab.node import conflist as conflist_module
from vpclab.node import runtime as runtime_module
from vpclab.node.conflist import NoNetworkError, first_conflist, plugin_stdin
from vpclab.node.runtime import CniError, Runtime, Sandbox, add_with_patience

PLUGIN = """#!/bin/sh
conf=$(cat)
printf '%s\\n' "$(basename "$0") $CNI_COMMAND netns=$CNI_NETNS if=$CNI_IFNAME args=$CNI_ARGS conf=$conf" >> "$(dirname "$0")/calls"
if [ -f "$(dirname "$0")/$(basename "$0").$CNI_COMMAND.fails" ]; then cat "$(dirname "$0")/$(basename "$0").$CNI_COMMAND.fails"; exit 1; fi
[ "$CNI_COMMAND" = ADD ] && printf '{"cniVersion":"0.4.0","from":"%s"}' "$(basename "$0")"
exit 0
"""
CONF = {
    "cniVersion": "0.4.0",
    "name": "aws-cni",
    "plugins": [
        {"type": "first", "capabilities": {"bandwidth": True, "portMappings": False}, "mtu": "9001"},
        {"type": "second"},
    ],
}
SANDBOX = Sandbox("default", "web", "uid-1", "c0ffee", "/run/netns/cni-1")


class Here:
    """A place that is this very process."""

    async def call(self, fn: Callable[..., Any], *args: Any) -> Any:
        return fn(*args)

    async def run(self, argv: list[str], **options: Any) -> Completed:
        done = subprocess.run(argv, capture_output=True, **options)
        return Completed(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("bin", "net.d"):
        (tmp_path / name).mkdir()
    for name in ("first", "second"):
        (tmp_path / "bin" / name).write_text(PLUGIN)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "net.d" / "10-aws.conflist").write_text(json.dumps(CONF))
    monkeypatch.setattr(runtime_module, "BIN_DIR", tmp_path / "bin")
    monkeypatch.setattr(runtime_module, "CACHE_DIR", tmp_path / "results")
    monkeypatch.setattr(first_conflist, "__defaults__", (tmp_path / "net.d",))
    return tmp_path


def runtime() -> Runtime:
    return Runtime(cast("Place", Here()))


def calls(node: Path) -> list[str]:
    path = node / "bin" / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def told(line: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line.split(" conf=", 1)[1])
    return found


def test_add_goes_through_the_chain_and_del_back_with_the_cached_result(node: Path) -> None:
    async def story() -> None:
        result = await runtime().add(SANDBOX)
        assert result == {"cniVersion": "0.4.0", "from": "second"}
        first, second = calls(node)
        assert first.startswith(
            "first ADD netns=/run/netns/cni-1 if=eth0 args=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;"
        )
        assert told(first) == {"type": "first", "mtu": "9001", "name": "aws-cni", "cniVersion": "0.4.0"}
        assert told(second)["prevResult"] == {"cniVersion": "0.4.0", "from": "first"}
        [cached] = (node / "results").iterdir()
        assert cached.name == "aws-cni-c0ffee-eth0"
        assert json.loads(cached.read_text())["kind"] == "cniCacheV1"
        await runtime().check(SANDBOX)
        assert [line.split()[0:2] for line in calls(node)] == [["first", "CHECK"], ["second", "CHECK"]]
        await runtime().delete(SANDBOX)
        lines = calls(node)
        assert [line.split()[0] for line in lines] == ["second", "first", "second", "first"]
        assert [told(line).get("prevResult") for line in lines] == [result, result, None, None]
        assert ["netns= " in line for line in lines] == [False, False, True, True]
        assert list((node / "results").iterdir()) == []

    asyncio.run(story())


def test_a_failed_add_is_followed_by_del_and_told_by_the_plugins_own_error(node: Path) -> None:
    async def story() -> None:
        failure = {"code": 999, "msg": "no", "details": "because"}
        (node / "bin" / "second.ADD.fails").write_text(json.dumps(failure))
        with pytest.raises(CniError, match=r"second: no \(because\)") as caught:
            await runtime().add(SANDBOX)
        assert caught.value.code == 999
        assert [line.split()[0:2] for line in calls(node)] == [
            ["first", "ADD"], ["second", "ADD"], ["second", "DEL"], ["first", "DEL"],
        ]  # fmt: skip

    asyncio.run(story())


def test_try_again_later_is_tried_again_until_patience_ends(node: Path) -> None:
    async def story() -> None:
        (node / "bin" / "first.ADD.fails").write_text('{"code":11,"msg":"later"}')
        with pytest.raises(CniError, match="later"):
            await add_with_patience(runtime(), SANDBOX, 0.5)
        assert len([line for line in calls(node) if line.startswith("first ADD")]) >= 2

    asyncio.run(story())


def test_a_plugin_that_fails_without_an_error_object_is_told_in_words(node: Path) -> None:
    (node / "bin" / "first.ADD.fails").write_text("panic")
    with pytest.raises(CniError, match="exit status 1: panic"):
        asyncio.run(runtime().add(SANDBOX))


def test_without_a_configuration_the_node_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / ".10-aws.conflist.tmp").write_text("{")
    with pytest.raises(NoNetworkError, match="the agent has not written it"):
        first_conflist(tmp_path)


def test_only_capabilities_that_were_asked_for_are_given() -> None:
    body = CONF | {"disableCheck": True}
    parsed = conflist_module.ConfList(
        "aws-cni", "0.4.0", disable_check=True, plugins=(), raw=json.dumps(body).encode()
    )
    plugin = {"type": "portmap", "capabilities": {"portMappings": True}}
    runtime_config = {"portMappings": [{"hostPort": 80}], "bandwidth": {"ingressRate": 1}}
    given = json.loads(plugin_stdin(parsed, plugin, None, runtime_config, {}))
    assert given == {
        "type": "portmap", "name": "aws-cni", "cniVersion": "0.4.0", "runtimeConfig": {"portMappings": [{"hostPort": 80}]},
    }  # fmt: skip
