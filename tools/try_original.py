"""Runs the original's own Go plugin and the gRPC health probe against our agent, as root, and says what came of it.

    go build -C …/amazon-vpc-cni-k8s -o /tmp/aws-cni ./cmd/routed-eni-cni-plugin     (v1.23.x of its public module)
    GOBIN=/tmp go install github.com/grpc-ecosystem/grpc-health-probe@latest
    .venv/bin/python tools/try_original.py /tmp/aws-cni /tmp/grpc-health-probe

The agent is the real one but for EC2: its loop, the journal, the kernel's wiring, both sockets, in namespaces of its own, so
that /var/run/aws-node, links, routes and rules of the machine are not touched. The Go plugin wires its pods itself; pods
that the one plugin added are deleted by the other.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from grpclib.server import Server, Stream

from vpccni.agent.clock import steady_clock
from vpccni.agent.host import KernelHost
from vpccni.agent.install import install_plugins
from vpccni.agent.loop import Agent
from vpccni.agent.rpc.backend import NodeConfig
from vpccni.agent.rpc.rpc_grpc import NPBackendBase
from vpccni.agent.rpc.rpc_pb2 import DeleteNpReply, DeleteNpRequest, EnforceNpReply, EnforceNpRequest
from vpccni.agent.rpc.serve import Rpc
from vpccni.agent.service import Service
from vpccni.agent.settings import Settings
from vpccni.agent.store import Store
from vpccni.agent.wire import PluginServer
from vpccni.ipam.actions import Action, Failed, Outcome
from vpccni.ipam.checkpoint import snapshot
from vpccni.ipam.decide import Ipam
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import AttachedEni, Block, Eni, EniId, SubnetId

RUN_DIR = Path("/run/aws-node")
NODE = NodeConfig(
    "i-0123456789abcdef0", "eu-north-1", IPv4Address("10.0.0.10"), (IPv4Network("10.0.0.0/16"),)
)
CONF = {"cniVersion": "0.4.0", "name": "aws-cni", "type": "aws-cni", "vethPrefix": "eni", "mtu": "9001",
        "pluginLogFile": "/run/plugin.log", "pluginLogLevel": "DEBUG"}  # fmt: skip
Answer = tuple[int, dict[str, Any]]


class Policies(NPBackendBase):
    """A network-policy agent that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def EnforceNpToPod(self, stream: Stream[EnforceNpRequest, EnforceNpReply]) -> None:
        """Say yes."""
        request = await stream.recv_message()
        assert request is not None
        self.asked.append(
            f"enforce {request.K8S_POD_NAME} {request.NETWORK_POLICY_MODE} {request.InterfaceCount}"
        )
        await stream.send_message(EnforceNpReply(Success=True))

    async def DeletePodNp(self, stream: Stream[DeleteNpRequest, DeleteNpReply]) -> None:
        """Say yes."""
        request = await stream.recv_message()
        assert request is not None
        self.asked.append(f"delete {request.K8S_POD_NAME}")
        await stream.send_message(DeleteNpReply(Success=True))


def eni(number: int, *addresses: str) -> AttachedEni:
    """An ENI of the node."""
    mac, subnet = f"02:00:00:00:00:{number:02x}", IPv4Network("10.0.0.0/16")
    own = Eni(EniId(f"eni-{number}"), mac, number, SubnetId("subnet-1"), subnet, IPv4Address(f"10.0.{number}.1"),
              is_primary=number == 0)  # fmt: skip
    return AttachedEni(own, tuple(Block.of_address(IPv4Address(address)) for address in addresses))


async def no_ec2(action: Action) -> Outcome:
    """Nothing more is to be had."""
    return Failed(action, Refusal(Reason.SUBNET_FULL, "subnet-1"))


@asynccontextmanager
async def agent_behind(rpc: Rpc) -> AsyncIterator[Agent]:
    """Two ENIs of two addresses each; both plugins are served."""
    settings = Settings(checkpoint=RUN_DIR / "ipam.json")
    ipam = Ipam(NodeLimits(max_enis=2, slots_per_eni=2, max_pods=100), WarmTargets(warm_eni=2), cooldown=0.0)
    enis = {}
    for attached in (eni(0, "10.0.0.21", "10.0.0.22"), eni(1, "10.0.1.21", "10.0.1.22")):
        ipam.add_attached(attached, 0.0)
        enis[attached.eni.id] = attached.eni
    store = Store(settings.checkpoint)
    store.snapshot = lambda: snapshot(ipam.pool.assignments(), ipam.pool.cooling())
    store.rewrite(store.snapshot())
    host, service = KernelHost(settings), Service()
    agent = Agent(ipam, enis, host, store, no_ec2, steady_clock())
    server = PluginServer(RUN_DIR / "cni.sock", service.handle)
    server.start()
    service.started(agent)
    rpc.started(agent, NODE)
    try:
        yield agent
    finally:
        await server.stop()
        await agent.owner.stop()
        await store.close(store.snapshot())
        host.close()


async def run(*command: str, text: str = "", env: dict[str, str] | None = None) -> tuple[int, str]:
    """A program's exit status and what it prints."""
    program = await asyncio.create_subprocess_exec(
        *command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    printed, _ = await program.communicate(text.encode())
    return program.returncode or 0, printed.decode()


class Kubelet:
    """Calls plugins as a container runtime does."""

    def __init__(self, theirs: str) -> None:
        self.plugins = {"Go": theirs, "our": "/run/bin/aws-cni"}
        self.results: dict[str, object] = {}

    async def call(self, who: str, command: str, pod: str) -> Answer:
        """Exit status and the answer."""
        if command == "ADD" and not Path(f"/run/netns/{pod}").exists():
            await run("ip", "netns", "add", pod)
        env = {
            "CNI_COMMAND": command, "CNI_CONTAINERID": f"sandbox-{pod}", "CNI_NETNS": f"/run/netns/{pod}",
            "CNI_IFNAME": "eth0", "CNI_PATH": "/run/bin", "PATH": os.environ["PATH"],
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod};"
                        f"K8S_POD_INFRA_CONTAINER_ID=sandbox-{pod};K8S_POD_UID=uid-{pod}",
        }  # fmt: skip
        conf: dict[str, object] = dict(CONF)
        if command in {"DEL", "CHECK"} and pod in self.results:
            conf["prevResult"] = self.results[pod]
        status, printed = await run(self.plugins[who], text=json.dumps(conf), env=env)
        answer = json.loads(printed) if printed.strip() else {}
        if command == "ADD" and status == 0:
            self.results[pod] = answer
        return status, answer


def address_of(answer: Answer) -> str:
    """The pod's address in an ADD's result."""
    status, result = answer
    if status:
        raise AssertionError(f"ADD failed: {result}")
    return str(result["ips"][0]["address"]).removesuffix("/32")


async def traces(address: str) -> list[str]:
    """What the host has about a pod's address: rules and routes."""
    _, rules = await run("ip", "rule")
    _, routes = await run("ip", "route", "show", "table", "all", "type", "unicast")
    exact = re.compile(rf"\b{re.escape(address)}\b")
    return [" ".join(line.split()) for line in (rules + routes).splitlines() if exact.search(line)]


def say(what: str, *, holds: bool, shown: object = "") -> None:
    """One line; ends everything if it does not hold."""
    print(f"{'ok  ' if holds else 'FAIL'} {what}{f': {shown}' if shown != '' else ''}", flush=True)
    if not holds:
        raise SystemExit(1)


async def health(probe: str) -> None:
    """Every name before and after the start."""
    rpc = Rpc(RUN_DIR)
    await rpc.open()
    where = f"-addr=unix://{RUN_DIR / 'ipamd.sock'}"
    names = ("", "grpc.health.v1.aws-node", "liveness")
    before = [(await run(probe, where, f"-service={name}"))[0] for name in names]
    say("health probe before the start: not ready, alive", holds=before == [4, 4, 0], shown=before)
    async with agent_behind(rpc):
        after = [(await run(probe, where, f"-service={name}"))[0] for name in names]
        say("health probe after the start", holds=after == [0, 0, 0], shown=after)
    await rpc.close()
    status, printed = await run(probe, where)
    say("health probe when the agent has gone", holds=status == 2, shown=printed.strip())


async def pods(kubelet: Kubelet, rpc: Rpc, agent: Agent) -> None:
    """Each way alone and both mixed; then a node that is full."""
    for pod, (adder, deleter) in enumerate([("Go", "Go"), ("Go", "our"), ("our", "Go"), ("our", "our")]):
        name = f"pod{pod}"
        address = address_of(await kubelet.call(adder, "ADD", name))
        again = address_of(await kubelet.call(adder, "ADD", name))
        if adder == "Go":  # its second try made the link anew; ours finds it right
            again = address_of(await kubelet.call("our", "ADD", name)) if again == address else again
        reached, _ = await run("ping", "-c1", "-W2", "-I", "10.0.0.10", address)
        ok = reached == 0 and again == address and agent.ipam.numbers.assigned == 1
        say(f"{adder} plugin's ADD, twice: reached by ping", holds=ok, shown=address)
        status, answer = await kubelet.call("our", "CHECK", name)
        say("our CHECK finds nothing that our own wiring has otherwise", holds=status == 0, shown=answer)
        status, answer = await kubelet.call(deleter, "DEL", name)
        left = await traces(address)
        ok = status == 0 and not left and agent.ipam.numbers.assigned == 0
        say(f"{deleter} plugin's DEL: no rule or route is left", holds=ok, shown=(status, answer, left))
        status, answer = await kubelet.call(deleter, "DEL", name)
        say(f"{deleter} plugin's DEL again", holds=status == 0, shown=(status, answer))
        await run("ip", "netns", "del", name)
    addresses = [address_of(await kubelet.call("Go", "ADD", f"many{n}")) for n in range(4)]
    say("four pods by the Go plugin", holds=len(set(addresses)) == 4, shown=addresses)
    second = next(address for address in addresses if address.startswith("10.0.1."))
    found = await traces(second)
    say(
        "a pod of the second ENI has a rule to its table",
        holds=any("lookup 2" in line for line in found),
        shown=found,
    )
    status, answer = await kubelet.call("Go", "ADD", "toomany")
    ok = status != 0 and "failed to assign an IP address to container" in str(answer.get("msg"))
    say("the fifth finds the node full", holds=ok, shown=answer)
    rpc.started(agent, replace(NODE, client_version="v9.9.9"))
    status, answer = await kubelet.call("Go", "ADD", "toomany")
    say("a plugin of another version", holds="wrong client version" in str(answer.get("msg")), shown=answer)
    rpc.started(agent, NODE)
    for number in range(4):
        status, answer = await kubelet.call("Go", "DEL", f"many{number}")
        say("deleted", holds=status == 0, shown=answer)
    left = await traces(second)
    say(
        "nothing of the second ENI's pod is left",
        holds=not left and agent.ipam.numbers.assigned == 0,
        shown=left,
    )


async def policies(kubelet: Kubelet, rpc: Rpc, agent: Agent) -> None:
    """The Go plugin asks the network-policy agent when the reply says so."""
    rpc.started(agent, replace(NODE, network_policy_mode="strict"))
    asked = Policies()
    server = Server([asked])
    await server.start(path=str(RUN_DIR / "npa.sock"))
    address_of(await kubelet.call("Go", "ADD", "guarded"))
    status, _ = await kubelet.call("Go", "DEL", "guarded")
    wanted = ["enforce guarded strict 1", "delete guarded"]
    say("the network-policy agent was asked", holds=status == 0 and asked.asked == wanted, shown=asked.asked)
    server.close()
    await server.wait_closed()
    (RUN_DIR / "npa.sock").unlink(missing_ok=True)
    status, answer = await kubelet.call("Go", "ADD", "unguarded")
    say(
        "without it an ADD fails",
        holds="failed to setup network policy" in str(answer.get("msg")),
        shown=answer,
    )
    status, answer = await kubelet.call("Go", "DEL", "unguarded")
    say(
        "and so does a DEL, the first time",
        holds="network policy agent" in str(answer.get("msg")),
        shown=answer,
    )
    status, answer = await kubelet.call("Go", "DEL", "unguarded")
    say("and the second time not", holds=status == 0 and agent.ipam.numbers.assigned == 0, shown=answer)
    rpc.started(agent, NODE)


async def inside(theirs: str, probe: str) -> None:
    """All of it, in the namespaces."""
    for command in ("ip link set lo up", "ip address add 10.0.0.10/32 dev lo"):
        await run(*command.split())
    RUN_DIR.mkdir()
    install_plugins(Path("/run/bin"))
    await health(probe)
    kubelet, rpc = Kubelet(theirs), Rpc(RUN_DIR)
    await rpc.open()
    async with agent_behind(rpc) as agent:
        steps: list[Callable[[Kubelet, Rpc, Agent], Awaitable[None]]] = [pods, policies]
        for step in steps:
            await step(kubelet, rpc, agent)
        address = address_of(await kubelet.call("Go", "ADD", "late"))
    await rpc.close()
    status, answer = await kubelet.call("Go", "ADD", "nobody")
    say("an ADD that finds no agent fails", holds=status != 0, shown=answer)
    status, answer = await kubelet.call("Go", "DEL", "late")
    left = await traces(address)
    say(
        "a DEL that finds no agent is done from prevResult",
        holds=status == 0 and not left,
        shown=(answer, left),
    )


def main() -> None:
    """Enter the namespaces, then begin."""
    match sys.argv[1:]:
        case ["--inside", theirs, probe]:
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
            asyncio.run(inside(theirs, probe))
        case [theirs, probe]:
            here = [
                sys.executable,
                __file__,
                "--inside",
                str(Path(theirs).resolve()),
                str(Path(probe).resolve()),
            ]
            os.execvp("unshare", ["unshare", "--mount", "--net", "--propagation", "private", *here])  # noqa: S606 -- no shell
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
