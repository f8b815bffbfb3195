"""A node's pods: kubelet's patience, and nothing left of what failed."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.node.conftest import PluginBench
from tests.node.here import here
from vpclab.node import AgentProcess, CniError, Node, NodeNotReadyError, agent_process
from vpclab.node import node as node_module

RESULT = {
    "cniVersion": "0.4.0",
    "interfaces": [{"name": "eni1"}, {"name": "eth0", "sandbox": "/x"}],
    "ips": [{"address": "192.168.1.5/32", "interface": 1}],
}
LATER = '{"code": 11, "msg": "later"}'


@pytest.fixture
def node(bench: PluginBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """With sandboxes that are plain files."""

    def make(path: str) -> int:
        (tmp_path / Path(path).name).touch()
        return os.open(tmp_path / Path(path).name, os.O_RDONLY)

    monkeypatch.setattr(node_module, "make_netns", make)
    monkeypatch.setattr(node_module, "remove_netns", lambda path: (tmp_path / Path(path).name).unlink())
    monkeypatch.setattr(node_module, "CONF_DIR", bench.root / "net.d")
    monkeypatch.setattr(agent_process, "RESTART_FIRST", 0.01)
    bench.says("second", "ADD", json.dumps(RESULT))
    agent = AgentProcess(here(), {"PATH": "/usr/bin:/bin"}, ("sh", "-c", "exit 2"), tmp_path / "stderr")
    return Node("node1", "i-1", here(), agent, bench.runtime)


def sandboxes(tmp_path: Path) -> list[str]:
    return [path.name for path in tmp_path.glob("cni-*")]


def test_a_pod_comes_and_goes(node: Node, bench: PluginBench, tmp_path: Path) -> None:
    async def story() -> None:
        record = await node.add_pod("default", "web", {})
        assert (record.address, record.host_veth) == ("192.168.1.5", "eni1")
        assert node.pods == {("default", "web"): record}
        assert sandboxes(tmp_path) == [Path(record.sandbox.netns).name]
        bench.fails("first", "DEL", LATER)
        with pytest.raises(CniError):
            await node.delete_pod("default", "web")
        assert node.pods
        bench.heals("first", "DEL")
        await node.delete_pod("default", "web")
        assert (node.pods, sandboxes(tmp_path)) == ({}, [])
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(record.netns_fd)

    asyncio.run(story())


def test_later_is_tried_again_each_time_in_a_new_sandbox_of_the_same_pod(
    node: Node, bench: PluginBench, tmp_path: Path
) -> None:
    bench.fails("first", "ADD", LATER)
    with pytest.raises(CniError, match="later"):
        asyncio.run(node.add_pod("default", "web", {}, patience=2.0))
    tries = [call for call in bench.calls() if (call.plugin, call.command) == ("first", "ADD")]
    assert len(tries) >= 2
    assert len({call.env["CNI_CONTAINERID"] for call in tries}) == len(tries)
    assert len({call.env["CNI_ARGS"].rpartition("K8S_POD_UID=")[2] for call in tries}) == 1
    assert (node.pods, sandboxes(tmp_path)) == ({}, [])


def test_another_error_is_not_tried_again(node: Node, bench: PluginBench, tmp_path: Path) -> None:
    bench.fails("second", "ADD", '{"code": 999, "msg": "never"}')
    with pytest.raises(CniError, match="never"):
        asyncio.run(node.add_pod("default", "web", {}))
    assert bench.order() == ["ADD first", "ADD second", "DEL second", "DEL first"]
    assert sandboxes(tmp_path) == []


def test_a_result_without_an_address_is_undone(node: Node, bench: PluginBench, tmp_path: Path) -> None:
    bench.says("second", "ADD", '{"cniVersion": "0.4.0", "interfaces": [], "ips": []}')
    with pytest.raises(CniError, match="names no address"):
        asyncio.run(node.add_pod("default", "web", {}))
    assert bench.order()[2:4] == ["DEL second", "DEL first"]
    assert sandboxes(tmp_path) == []


def test_ready_is_when_the_conflist_is_whole(node: Node, bench: PluginBench) -> None:
    asyncio.run(asyncio.wait_for(node.wait_ready(), 5))
    (bench.root / "net.d" / "10-aws.conflist").write_text("{")

    async def story() -> None:
        waiting = asyncio.create_task(node.wait_ready())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        bench.configure()
        await asyncio.wait_for(waiting, 5)

    asyncio.run(story())


def test_an_agent_that_keeps_ending_is_not_waited_for(node: Node, bench: PluginBench) -> None:
    (bench.root / "net.d" / "10-aws.conflist").unlink()

    async def story() -> None:
        node.agent.start()
        with pytest.raises(
            NodeNotReadyError, match=r"node1 is not ready: its agent keeps ending \(exit status 2\)"
        ):
            await asyncio.wait_for(node.wait_ready(), 10)
        await node.agent.stop()

    asyncio.run(story())
