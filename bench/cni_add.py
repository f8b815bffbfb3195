"""ADD and DEL end to end, process start to exit, beside ptp+host-local of Debian's containernetworking-plugins.

    python bench/cni_add.py [PODS]          # as root; brings up a lab of its own

Both run in the same node of the lab, turn by turn, so that a noisy machine is noisy for both.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from vpclab.demo.eyes import Eyes
from vpclab.lab.start import up

TYPE = "c5.4xlarge"  # 8 ENIs of 29 addresses
AT_ONCE = 8
ROUNDS, BURST = 4, 48
Conf = dict[str, object]
OURS: Conf = {"cniVersion": "0.4.0", "name": "aws-cni", "type": "aws-cni", "vethPrefix": "eni", "mtu": "9001"}
PTP: Conf = {
    "cniVersion": "0.4.0",
    "name": "ptp",
    "type": "ptp",
    "mtu": 9001,
    "ipam": {"type": "host-local", "subnet": "10.88.0.0/16", "routes": [{"dst": "0.0.0.0/0"}]},
}
KINDS: tuple[tuple[str, str, Conf], ...] = (("ours", "aws-cni", OURS), ("ptp", "ptp", PTP))
NAMES = {"ours": "vpc-cni", "ptp": "ptp+host-local"}


def call(command: str, plugin: str, conf: Conf, name: str) -> float:
    """Seconds of one call of a plugin."""
    env = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": name,
        "CNI_NETNS": f"/run/netns/{name}",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/opt/cni/bin",
        "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME={name}",
        "PATH": os.environ["PATH"],
    }
    body = json.dumps(conf).encode()
    began = time.perf_counter()
    done = subprocess.run([f"/opt/cni/bin/{plugin}"], env=env, input=body, capture_output=True, check=False)
    took = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{plugin} {command} {name}: {done.stdout.decode()}{done.stderr.decode()}")
    return took


def netns(verb: str, name: str) -> None:
    subprocess.run(["ip", "netns", verb, name], check=True)


def inside(pods: int) -> None:
    """Runs in the node: prints the figures as JSON."""
    run = uuid.uuid4().hex[:6]
    rows: dict[str, list[float]] = {f"{who} {what}": [] for who in NAMES for what in ("ADD", "DEL")}
    for number in range(pods):
        for who, plugin, conf in KINDS:
            name = f"{who}-{run}-{number}"
            netns("add", name)
            rows[f"{who} ADD"].append(call("ADD", plugin, conf, name))
    rss = agent_rss()
    for number in range(pods):
        for who, plugin, conf in KINDS:
            name = f"{who}-{run}-{number}"
            rows[f"{who} DEL"].append(call("DEL", plugin, conf, name))
            netns("del", name)
    rates: dict[str, list[float]] = {who: [] for who in NAMES}
    with ThreadPoolExecutor(AT_ONCE) as workers:
        for turn in range(ROUNDS):
            for who, plugin, conf in KINDS:
                names = [f"{who}-{run}-{turn}-{number}" for number in range(BURST)]
                for name in names:
                    netns("add", name)
                began = time.perf_counter()
                list(workers.map(partial(call, "ADD", plugin, conf), names))
                rates[who].append(len(names) / (time.perf_counter() - began))
                list(workers.map(partial(call, "DEL", plugin, conf), names))
                for name in names:
                    netns("del", name)
    print(json.dumps({"rows": rows, "rates": rates, "rss": rss}))


def agent_rss() -> int:
    """KiB of the agent in this node: the one whose network namespace is ours."""
    here = Path("/proc/self/ns/net").stat().st_ino
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or b"vpccni.agent" not in (entry / "cmdline").read_bytes():
                continue
            if (entry / "ns/net").stat().st_ino == here:
                return int((entry / "status").read_text().split("VmRSS:")[1].split()[0])
        except OSError:
            continue
    return 0


def main(pods: int) -> None:
    env = {"WARM_IP_TARGET": "60", "MINIMUM_IP_TARGET": "230", "IP_COOLDOWN_PERIOD": "0"}
    state = up(f"bench-{os.getpid()}", 1, TYPE, env, "none", lambda _: None)
    try:
        eyes = Eyes(state)
        held, deadline = 0, time.monotonic() + 60
        while held < pods and time.monotonic() < deadline:
            machines = eyes.ask("status")["machines"]
            held = sum(len(e["secondary"]) for m in machines if m["name"] == "node1" for e in m["enis"])
        script = eyes.command("node1", sys.executable, str(Path(__file__).resolve()), "--inside", str(pods))
        done = subprocess.run(script, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(done.stderr)
        found = json.loads(done.stdout)
    finally:
        state.remove()
    report(pods, found["rows"], found["rates"], found["rss"])


def report(pods: int, rows: dict[str, list[float]], rates: dict[str, list[float]], rss: int) -> None:
    print(f"{pods} pods; ms, process start to exit")
    print(f"{'':22}{'median':>8}{'p99':>8}{'median, of ptp':>17}")
    for what in ("ADD", "DEL"):
        base = statistics.median(rows[f"ptp {what}"])
        for who, name in NAMES.items():
            spans = sorted(rows[f"{who} {what}"])
            middle, late = statistics.median(spans), spans[min(len(spans) - 1, int(len(spans) * 0.99))]
            print(f"{what} {name:18}{middle * 1000:8.1f}{late * 1000:8.1f}{middle / base:17.2f}")
    base = statistics.median(rates["ptp"])
    for who, name in NAMES.items():
        middle = statistics.median(rates[who])
        print(f"ADDs a second, {AT_ONCE} at once: {name:16}{middle:6.0f}{middle / base:10.2f} of ptp's")
    print(f"the agent's resident memory with {pods} pods: {rss / 1024:.1f} MiB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
