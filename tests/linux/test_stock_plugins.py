"""The stock plugins behind ours in the chain, as the runtime calls them, under both layouts."""

import json
import subprocess
from typing import Any

import pytest
from tests.linux.namespaces import MakeSandbox, Sandbox, rules, run, wiring
from tests.linux.vpc import OUTSIDE, Vpc, connect

from vpccni.agent.cni_call import CniCall, Connected, result_json
from vpccni.agent.conflist import conflist
from vpccni.agent.settings import Settings
from vpccni.linux.leftovers import keep_pods, leftovers
from vpccni.linux.pod import wire
from vpccni.linux.rtnl import Netlink
from vpccni.linux.sources import Sources

pytestmark = pytest.mark.kernel
WANT = wiring(102, table=2)
SETTINGS = Settings(bandwidth_plugin=True, disable_pod_v6=True)


def plugin(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(p for p in conflist(SETTINGS)["plugins"] if p["type"] == kind)
    return found


def call(command: str, pod: Sandbox, kind: str, previous: dict[str, Any], **offered: object) -> str:
    conf = plugin(kind)
    wanted = {name: offered[name] for name in conf.get("capabilities", {}) if name in offered}
    conf = {**conf, "cniVersion": "0.4.0", "name": "aws-cni", "prevResult": previous, "runtimeConfig": wanted}
    env = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": previous["interfaces"][1]["sandbox"],
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/usr/lib/cni",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    }
    done = subprocess.run(
        [f"/usr/lib/cni/{kind}"],
        input=json.dumps(conf),
        env=env,
        pass_fds=[pod.fd],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def wired(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None
) -> tuple[Sandbox, dict[str, Any]]:
    """A pod on a secondary ENI, and what our ADD answered."""
    pod = sandbox()
    connect(host, vpc, pod, WANT, sources)
    netns = f"/proc/self/fd/{pod.fd}"
    call = CniCall("ADD", "0.4.0", "aws-cni", "c1", "eth0", netns)
    result = result_json(call, [Connected(WANT.host_veth, "eth0", WANT.address, WANT.table, 1)])
    return pod, json.loads(result)


def answers(vpc: Vpc, address: str, port: int) -> str:
    command = ["curl", "-s", "-m", "3", "--interface", OUTSIDE, f"http://{address}:{port}/"]
    return vpc.router.call(lambda: subprocess.run(command, capture_output=True, text=True)).stdout


def test_a_host_port_is_answered_by_the_eni_that_was_asked(
    host: Netlink, vpc: Vpc, wired: tuple[Sandbox, dict[str, Any]], sources: Sources | None
) -> None:
    pod, previous = wired
    serve = ["python3", "-c", SERVER]
    server = pod.call(lambda: subprocess.Popen(serve, stdout=subprocess.PIPE, text=True))
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        mapping = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
        passed = call("ADD", pod, "portmap", previous, portMappings=mapping)
        assert json.loads(passed)["ips"] == previous["ips"]
        assert (
            answers(vpc, "10.0.0.10", 8080) == OUTSIDE
        )  # the pod sees who asks: the reply went by the primary
        assert keep_pods(host, [WANT], sources) == []
        assert not leftovers(host, "eni", [WANT], sources=sources)
        call("DEL", pod, "portmap", previous, portMappings=mapping)
        assert answers(vpc, "10.0.0.10", 8080) == ""
        assert "AWS-SNAT-CHAIN-0" in run("iptables", "-t", "nat", "-S")
    finally:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()


def test_a_bandwidth_is_held_at_both_ends(wired: tuple[Sandbox, dict[str, Any]]) -> None:
    pod, previous = wired
    limits = {
        "ingressRate": 8_000_000,
        "ingressBurst": 80_000,
        "egressRate": 8_000_000,
        "egressBurst": 80_000,
    }
    call("ADD", pod, "bandwidth", previous, bandwidth=limits)
    assert "rate 8Mbit" in run("tc", "qdisc", "show", "dev", WANT.host_veth)
    assert (
        run("tc", "qdisc").count("rate 8Mbit") == 2
    )  # the other at the ifb that stands for what the pod sends
    assert pod.pings("10.0.0.1")
    call("DEL", pod, "bandwidth", previous, bandwidth=limits)


def test_a_pod_may_have_no_ipv6(wired: tuple[Sandbox, dict[str, Any]]) -> None:
    pod, previous = wired
    call("ADD", pod, "tuning", previous)
    for key in ("all", "default", "lo"):
        assert pod.run("cat", f"/proc/sys/net/ipv6/conf/{key}/disable_ipv6") == "1\n"
    assert pod.pings("10.0.0.1")


def test_our_add_again_after_the_chain_changes_nothing_of_it(
    host: Netlink, wired: tuple[Sandbox, dict[str, Any]], sources: Sources | None
) -> None:
    pod, previous = wired
    call("ADD", pod, "bandwidth", previous, bandwidth={"ingressRate": 8_000_000, "ingressBurst": 80_000})
    before = rules(), run("tc", "qdisc")
    wire(host, pod.netlink, pod.fd, WANT, None, sources)
    assert (rules(), run("tc", "qdisc")) == before


SERVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Who(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())

    def log_message(self, *_):
        pass

server = HTTPServer(("", 80), Who)
print("listening", flush=True)
server.serve_forever()
"""
