"""egress-cni as a runtime runs it: the installed program, the stock host-local, the agent's socket and the kernel."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.linux.conftest import NODE_IPV6, OUTSIDE_IPV6
from tests.linux.namespaces import MakeSandbox, Sandbox, run, wiring

from vpccni.agent.conflist import conflist
from vpccni.agent.egress import Egress
from vpccni.agent.host import KernelHost
from vpccni.agent.install import interpreter, plugin_text
from vpccni.agent.loop import Agent
from vpccni.agent.service import Service
from vpccni.agent.settings import Settings
from vpccni.agent.wire import PluginServer
from vpccni.cni import plugin
from vpccni.linux.egress import chain_of
from vpccni.linux.egress_family import IPV6
from vpccni.linux.pod import wire
from vpccni.linux.rtnl import Netlink

pytestmark = pytest.mark.kernel
PREVIOUS = {
    "cniVersion": "0.4.0",
    "interfaces": [
        {"name": "eni1"},
        {"name": "eth0", "mac": "2", "sandbox": "/n"},
        {"name": "dummy1", "mac": "0"},
    ],
    "ips": [{"version": "4", "address": "10.0.0.5/32", "interface": 1}],
    "dns": {},
}


@dataclass
class Runtime:
    """What containerd does with one plugin of the list."""

    folder: Path
    conf: dict[str, Any]

    def call(self, command: str, pod: Sandbox | None, **more: object) -> subprocess.CompletedProcess[str]:
        netns = f"/proc/{os.getpid()}/fd/{pod.fd}" if pod is not None else ""
        env = {
            "CNI_COMMAND": command, "CNI_CONTAINERID": "c0ffee", "CNI_NETNS": netns, "CNI_IFNAME": "eth0",
            "CNI_PATH": f"{self.folder}:/usr/lib/cni", "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web",
        }  # fmt: skip
        conf = {**self.conf, "cniVersion": "0.4.0", "name": "aws-cni", **more}
        program = self.folder / "egress-cni"
        return subprocess.run([program], input=json.dumps(conf), env=env, capture_output=True, text=True)

    def leases(self) -> list[str]:
        """The addresses that host-local has given out."""
        network = Path(self.conf["ipam"]["dataDir"], "aws-cni")
        return sorted(path.name for path in network.glob("fd00*"))


@pytest.fixture
def runtime(host: Netlink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Installed in a directory of the test's, with the agent's socket there."""
    del host
    moved = Path(plugin.__file__).read_text()
    moved = moved.replace('b"/var/run/aws-node"', repr(bytes(tmp_path)))
    (tmp_path / "plugin.py").write_text(moved)
    monkeypatch.setattr(plugin, "__file__", str(tmp_path / "plugin.py"))
    (tmp_path / "egress-cni").write_bytes(plugin_text(interpreter(), "egress-cni"))
    (tmp_path / "egress-cni").chmod(0o755)
    settings = Settings(v6_egress=True, egress_log_file=str(tmp_path / "egress.log"))
    listed = conflist(settings, node_ip=IPv6Address(NODE_IPV6))
    [conf] = [one for one in listed["plugins"] if one["type"] == "egress-cni"]
    conf["ipam"]["dataDir"] = str(tmp_path / "leases")
    return Runtime(tmp_path, conf)


@contextmanager
def agent(folder: Path) -> Iterator[None]:
    """The agent's socket and its part of egress-cni, on a thread that is in the node's namespace as we are."""
    ready, over = Event(), Event()

    async def serve() -> None:
        host = KernelHost(Settings())
        service = Service()
        service.started(cast("Agent", SimpleNamespace()), Egress(host))
        server = PluginServer(folder / "cni.sock", service.handle)
        server.start()
        ready.set()
        await asyncio.to_thread(over.wait)
        await server.stop()
        host.close()

    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(asyncio.run, serve())
        assert ready.wait(10)
        try:
            yield
        finally:
            over.set()
            running.result(10)


@pytest.fixture
def pod(host: Netlink, sandbox: MakeSandbox) -> Sandbox:
    """An IPv4 pod, connected."""
    pod = sandbox()
    wire(host, pod.netlink, pod.fd, wiring(5))
    return pod


def test_from_add_to_del(runtime: Runtime, internet: Sandbox, pod: Sandbox) -> None:
    del internet
    with agent(runtime.folder):
        added = runtime.call("ADD", pod, prevResult=PREVIOUS)
        assert added.returncode == 0, added.stdout
        result = json.loads(added.stdout)
        assert result["interfaces"][:3] == PREVIOUS["interfaces"]
        assert [one["name"] for one in result["interfaces"][3:]][1] == "v6if0"
        assert (result["ips"], result["cniVersion"]) == (PREVIOUS["ips"], "0.4.0")
        assert pod.pings(OUTSIDE_IPV6)
        assert len(runtime.leases()) == 1
        checked = runtime.call("CHECK", pod, prevResult=result)
        assert checked.returncode == 0, checked.stdout
        run("ip6tables", "-t", "nat", "-F", chain_of(IPV6, "aws-cni", "c0ffee"))
        harmed = runtime.call("CHECK", pod, prevResult=result)
        assert "is missing or empty" in json.loads(harmed.stdout)["msg"]
        for _ in range(2):
            deleted = runtime.call("DEL", None)
            assert (deleted.returncode, deleted.stdout) == (0, "")
    assert runtime.leases() == []
    assert "CNI-E6-" not in run("ip6tables-save")


def test_switched_off_it_hands_on_what_it_was_given(runtime: Runtime, pod: Sandbox) -> None:
    runtime.conf["enabled"] = "false"
    added = runtime.call("ADD", pod, prevResult=PREVIOUS)
    assert json.loads(added.stdout) == PREVIOUS
    assert runtime.call("DEL", pod).returncode == runtime.call("CHECK", pod).returncode == 0
    assert runtime.leases() == []


def test_by_itself_it_refuses(runtime: Runtime, pod: Sandbox) -> None:
    added = runtime.call("ADD", pod)
    assert added.returncode == 1
    assert "must be called as a chained plugin" in json.loads(added.stdout)["msg"]


@pytest.mark.parametrize("node", ["", "fe80::1", "10.0.0.10"])
def test_without_a_global_address_of_the_node_it_refuses_and_keeps_nothing(
    runtime: Runtime, pod: Sandbox, node: str
) -> None:
    runtime.conf["nodeIP"] = node
    with agent(runtime.folder):
        added = runtime.call("ADD", pod, prevResult=PREVIOUS)
    assert added.returncode == 1
    assert json.loads(added.stdout)["msg"] == (
        "global unicast IPv6 not found in host primary interface which is mandatory to support IPv6 egress"
    )
    assert runtime.leases() == []


def test_without_the_agent_an_add_is_tried_again_and_a_del_succeeds(runtime: Runtime, pod: Sandbox) -> None:
    added = runtime.call("ADD", pod, prevResult=PREVIOUS)
    error = json.loads(added.stdout)
    assert (added.returncode, error["code"]) == (1, 11)
    assert "ipamd.log" in error["details"]
    assert runtime.leases() == []
    assert runtime.call("DEL", pod).returncode == 0


def test_an_address_manager_that_is_not_there_or_refuses_is_told(runtime: Runtime, pod: Sandbox) -> None:
    runtime.conf["ipam"]["type"] = "nobody"
    added = runtime.call("ADD", pod, prevResult=PREVIOUS)
    assert "nobody is in no directory of CNI_PATH" in json.loads(added.stdout)["msg"]
    runtime.conf["ipam"]["type"] = "host-local"
    runtime.conf["ipam"]["ranges"] = [[{"subnet": "nonsense"}]]
    added = runtime.call("ADD", pod, prevResult=PREVIOUS)
    assert added.returncode == 1
    assert "nonsense" in added.stdout
