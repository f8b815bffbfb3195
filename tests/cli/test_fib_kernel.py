"""The walk of rules and routes beside the kernel's own answers, on tables that nobody would write by hand."""

import json
import random
import subprocess
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from tests.linux.namespaces import run

from vpccni.cli.kernel.fib import Flow, look_up
from vpccni.cli.kernel.read import read_network
from vpccni.cli.kernel.source_check import source_refused
from vpccni.cli.kernel.sysctls import device_settings
from vpccni.cli.kernel.values import TABLE_NAMES, Kind, Network
from vpccni.linux.rtnl import Netlink

pytestmark = pytest.mark.kernel
DEVICES = ("d0", "d1", "d2")
TABLES = ("main", "100", "101", "10001")
PROTOCOLS = {"tcp": 6, "udp": 17}


@pytest.fixture
def router(host: Netlink) -> Netlink:
    """A namespace with three devices, of which one has an address, and forwarding on."""
    for number, name in enumerate(DEVICES):
        run("ip", "link", "add", name, "type", "veth", "peer", "name", f"far{number}")
        run("ip", "link", "set", f"far{number}", "up")
        run("ip", "link", "set", name, "up")
        if number < 2:
            run("ip", "addr", "add", f"10.0.{number}.1/24", "dev", name)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    return host


def network(draw: random.Random) -> str:
    length = draw.choice((0, 8, 16, 20, 24, 28, 32))
    return str(
        IPv4Network(
            (f"10.{draw.randrange(2)}.{draw.randrange(4)}.{draw.randrange(64)}", length), strict=False
        )
    )


def some_routes(draw: random.Random) -> None:
    lines: list[str] = []
    for _ in range(25):
        kind = draw.choice(("unicast",) * 8 + ("blackhole", "unreachable", "prohibit", "throw"))
        way = ""
        if kind == "unicast":
            way = f"dev {draw.choice(DEVICES)}"
            if draw.random() < 0.2:
                way = f"nexthop dev {DEVICES[0]} nexthop dev {DEVICES[1]}"
        metric = f" metric {draw.randrange(1, 4)}" if draw.random() < 0.5 else ""
        lines.append(f"route add {kind} {network(draw)} table {draw.choice(TABLES)}{metric} {way}")
    subprocess.run(
        ["ip", "-force", "-batch", "-"], input="\n".join(lines), text=True, capture_output=True, check=False
    )


def some_rules(draw: random.Random) -> None:
    lines: list[str] = []
    for _ in range(25):
        words = [f"pref {draw.randrange(1, 40)}"]
        if draw.random() < 0.1:
            words.append("not")
        if draw.random() < 0.5:
            words.append(f"from {network(draw)}")
        if draw.random() < 0.5:
            words.append(f"to {network(draw)}")
        if draw.random() < 0.3:
            words.append(f"fwmark {draw.choice(('0x80/0x80', '0x1', '0x10000/0x7f0000', '0/0x80'))}")
        if draw.random() < 0.3:
            words.append(f"iif {draw.choice((*DEVICES, 'lo', 'absent'))}")
        if draw.random() < 0.2:
            words.append(f"ipproto {draw.choice(('tcp', 'udp'))}")
        if draw.random() < 0.2:
            words.append("dport 80-443")
        if draw.random() < 0.15:
            words.append(f"goto {draw.randrange(41, 43)}")
        elif draw.random() < 0.1:
            words.append(draw.choice(("blackhole", "unreachable", "prohibit")))
        else:
            words.append(f"lookup {draw.choice(TABLES)}")
            if draw.random() < 0.2:
                words.append(f"suppress_prefixlength {draw.choice((0, 16, 24))}")
        lines.append("rule add " + " ".join(words))
    lines += ["rule add pref 41 lookup 101", "rule add pref 42 lookup main"]
    subprocess.run(
        ["ip", "-force", "-batch", "-"], input="\n".join(lines), text=True, capture_output=True, check=False
    )


def a_flow(draw: random.Random) -> Flow:
    iif = draw.choice((*DEVICES, "lo"))
    own = iif == "lo"
    source = (
        draw.choice(("10.0.0.1", "10.0.1.1", "0.0.0.0"))
        if own
        else f"10.{draw.randrange(2)}.{draw.randrange(4)}.{draw.randrange(2, 64)}"
    )
    return Flow(
        destination=IPv4Address(f"10.{draw.randrange(2)}.{draw.randrange(4)}.{draw.randrange(64)}"),
        source=IPv4Address(source),
        mark=draw.choice((0, 0, 0x80, 0x1, 0x10000, 0x10080)),
        iif=iif,
        protocol=PROTOCOLS[draw.choice(("tcp", "udp"))],
        source_port=40000,
        destination_port=draw.choice((80, 444, 22)),
    )  # fmt: skip


def kernels(flow: Flow) -> dict[str, str] | None:
    """Table, prefix and type by `ip route get fibmatch`; None if the kernel refuses."""
    words = ["ip", "-j", "route", "get", "fibmatch", str(flow.destination)]
    if flow.source != IPv4Address(0):
        words += ["from", str(flow.source)]
    words += ["iif", flow.iif] if flow.iif != "lo" else []
    words += ["mark", hex(flow.mark)] if flow.mark else []
    protocol = {6: "tcp", 17: "udp"}[flow.protocol]
    words += ["ipproto", protocol, "sport", str(flow.source_port), "dport", str(flow.destination_port)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    [found] = json.loads(done.stdout)
    length = "/32" if "/" not in found["dst"] and found["dst"] != "default" else ""
    prefix = "0.0.0.0/0" if found["dst"] == "default" else f"{found['dst']}{length}"
    devices = ",".join(hop["dev"] for hop in found["nexthops"]) if "nexthops" in found else found["dev"]
    return {
        "table": found.get("table", "main"),
        "prefix": prefix,
        "type": found.get("type", "unicast"),
        "devices": devices,
        "metric": str(found.get("metric", 0)),
    }


def ours(dump: Network, flow: Flow) -> list[dict[str, str] | None]:
    """One answer for each next hop: which of them the kernel takes depends on a hash."""
    way = look_up(dump, flow)
    if way.refusal is not None or way.route is None:
        return [None]
    found = {
        "table": TABLE_NAMES.get(way.route.table, str(way.route.table)),
        "prefix": str(way.route.destination),
        "type": Kind(way.route.kind).name.lower(),
        "devices": ",".join(dump.name_of(hop.index) for hop in way.route.hops),
        "metric": str(way.route.metric),
    }
    if flow.iif == "lo":
        return [found]
    settings = device_settings([flow.iif])[flow.iif]
    outs = [None] if way.local else [dump.name_of(hop.index) for hop in way.hops]
    return [found if source_refused(dump, flow, out, settings) is None else None for out in outs]


@pytest.mark.parametrize("rp_filter", ["0", "1", "2"])
@pytest.mark.parametrize("seed", range(6))
def test_our_choice_is_the_kernels_on_random_rules(router: Netlink, seed: int, rp_filter: str) -> None:
    draw = random.Random(seed)  # noqa: S311 -- tables, no secrets
    some_routes(draw)
    some_rules(draw)
    for name in ("all", *DEVICES):
        Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text(rp_filter)
    dump = read_network(router)
    flows = [a_flow(draw) for _ in range(60)]
    answers = [(flow, ours(dump, flow), kernels(flow)) for flow in flows]
    differing = [(flow, mine, theirs) for flow, mine, theirs in answers if theirs not in mine]
    tables = run("ip", "rule") + run("ip", "route", "show", "table", "all")
    assert differing == [], f"{differing}\n{tables}"
    assert sum(theirs is not None for _, _, theirs in answers) >= 5  # the tables say something
