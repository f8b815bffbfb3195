"""A packet's walk through packet filters of the shapes that a node has."""

import json
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

import pytest

from vpccni.cli.netfilter.hooks import Ruleset
from vpccni.cli.netfilter.iptables_text import parse_rule, parse_saved
from vpccni.cli.netfilter.iptables_walk import bases
from vpccni.cli.netfilter.nft_walk import parse_nft, without
from vpccni.cli.netfilter.packet import Hook, Packet, Verdict, Walk
from vpccni.linux.connmark import TABLE, wanted_chains
from vpccni.linux.nft import chain_commands
from vpccni.linux.snat import NatSettings, wanted_tables

NODE = IPv4Address("10.0.0.10")
SETTINGS = NatSettings("eth0", NODE, (IPv4Network("10.0.0.0/16"),), (IPv4Network("10.9.0.0/16"),))
KUBE = """*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-SVC-WEB - [0:0]
:KUBE-EXT-WEB - [0:0]
:KUBE-SEP-A - [0:0]
:KUBE-SEP-B - [0:0]
:KUBE-SEP-C - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-SERVICES -d 172.20.0.80/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-WEB
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -p tcp -m comment --comment "default/web" -m tcp --dport 30080 -j KUBE-EXT-WEB
-A KUBE-EXT-WEB -j KUBE-MARK-MASQ
-A KUBE-EXT-WEB -j KUBE-SVC-WEB
-A KUBE-SVC-WEB -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-A
-A KUBE-SVC-WEB -m statistic --mode random --probability 0.5 -j KUBE-SEP-B
-A KUBE-SVC-WEB -j KUBE-SEP-C
-A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 10.0.1.1:8080
-A KUBE-SEP-B -p tcp -m tcp -j DNAT --to-destination 10.0.1.2:8080
-A KUBE-SEP-C -p tcp -m tcp -j DNAT --to-destination 10.0.1.3:8080
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
COMMIT
"""


def kind(address: IPv4Address, device: str | None) -> str:
    return "LOCAL" if address == NODE and device in (None, "eth0") else "UNICAST"


def walk(packet: Packet, choices: int = 0) -> Walk:
    return Walk(packet, kind, choices)


def packet(destination: str, port: int = 80, protocol: str = "tcp", **more: object) -> Packet:
    made = Packet(IPv4Address("10.0.0.21"), IPv4Address(destination), protocol, 40000, port, "eni0123456789a")
    return made if not more else Packet(**{**{f: getattr(made, f) for f in made.__slots__}, **more})


def saved_by(settings: NatSettings, *, connmark: bool) -> Ruleset:
    """What the agent writes, as iptables-save prints it."""
    lines: list[str] = []
    for name, wanted in wanted_tables(settings, connmark=connmark).items():
        lines.append(f"*{name}")
        lines += [f":{chain} ACCEPT [0:0]" for chain in wanted.jumps] + [
            f":{c} - [0:0]" for c in wanted.chains
        ]
        lines += [
            f"-A {chain} {rule}"
            for part in (wanted.jumps, wanted.chains)
            for chain, rules in part.items()
            for rule in rules
        ]
        lines.append("COMMIT")
    return Ruleset(tuple(bases(parse_saved("nf_tables", "\n".join(lines)))))  # fmt: skip


def listing() -> str:
    """What the agent writes to nft, as nft lists it."""
    commands = chain_commands(TABLE, wanted_chains("eni", 0x80, SETTINGS.exempt))
    made = [{"table": {"family": "ip", "name": TABLE}}, *(command["add"] for command in commands)]
    return json.dumps({"nftables": made})


@pytest.mark.parametrize(
    ("destination", "source", "rule"),
    [
        ("198.51.100.10", "10.0.0.10", "--to-source 10.0.0.10"),
        ("10.0.200.1", "10.0.0.21", "-d 10.0.0.0/16"),
        ("10.9.0.1", "10.0.0.21", "-d 10.9.0.0/16"),
        ("10.0.0.10", "10.0.0.21", "-d 10.0.0.0/16"),
    ],
)
def test_what_leaves_the_vpc_gets_the_nodes_address(destination: str, source: str, rule: str) -> None:
    going = walk(packet(destination, oif="eth0"))
    assert saved_by(SETTINGS, connmark=False).run(going, Hook.POSTROUTING) is Verdict.ACCEPT
    assert str(going.packet.source) == source
    assert rule in going.hits[-1].rule


def test_with_external_snat_nothing_is_translated() -> None:
    external = NatSettings("eth0", NODE, SETTINGS.vpc_cidrs, external_snat=True)
    going = walk(packet("198.51.100.10", oif="eth0"))
    saved_by(external, connmark=False).run(going, Hook.POSTROUTING)
    assert going.packet.source == IPv4Address("10.0.0.21")
    assert going.hits == []


def test_branch_devices_are_not_translated() -> None:
    going = walk(packet("198.51.100.10", oif="vlan.eth.7"))
    saved_by(SETTINGS, connmark=False).run(going, Hook.POSTROUTING)
    assert going.packet.source == IPv4Address("10.0.0.21")


@pytest.mark.parametrize(
    ("destination", "marked"), [("198.51.100.10", True), ("10.0.3.3", False), ("10.9.1.1", False)]
)
def test_the_connections_mark_is_the_same_in_iptables_and_in_nft(destination: str, marked: bool) -> None:
    legacy = saved_by(SETTINGS, connmark=True)
    _, chains = parse_nft(listing())
    for ruleset in (legacy, Ruleset((*saved_by(SETTINGS, connmark=False).chains, *chains))):
        coming = walk(packet(destination))
        ruleset.run(coming, Hook.PREROUTING)
        assert coming.packet.mark == (0x80 if marked else 0)
        assert coming.packet.ct_mark == (0x80 if marked else 0)


def test_a_node_port_by_the_primary_is_marked() -> None:
    coming = walk(packet("10.0.0.10", 30080, iif="eth0", source=IPv4Address("10.0.5.5")))
    saved_by(SETTINGS, connmark=False).run(coming, Hook.PREROUTING)
    assert coming.packet.ct_mark == 0x80
    elsewhere = walk(packet("10.0.0.10", 30080, iif="eth1", source=IPv4Address("10.0.5.5")))
    saved_by(SETTINGS, connmark=False).run(elsewhere, Hook.PREROUTING)
    assert elsewhere.packet.ct_mark == 0


def endpoints(ruleset: Ruleset, start: Packet, hook: Hook) -> Iterator[str]:
    for choice in range(5):
        going = walk(start, choice)
        ruleset.run(going, hook)
        yield f"{going.packet.destination}:{going.packet.destination_port}"
        if choice >= going.randoms:
            return


def test_a_service_leads_to_each_of_its_endpoints() -> None:
    ruleset = Ruleset(tuple(bases(parse_saved("legacy", KUBE))))
    wanted = ["10.0.1.1:8080", "10.0.1.2:8080", "10.0.1.3:8080"]
    assert list(endpoints(ruleset, packet("172.20.0.80"), Hook.PREROUTING)) == wanted
    assert list(endpoints(ruleset, packet("172.20.0.80"), Hook.OUTPUT)) == wanted
    assert list(endpoints(ruleset, packet("172.20.0.80", 443), Hook.PREROUTING)) == ["172.20.0.80:443"]
    assert list(endpoints(ruleset, packet("172.20.0.80", protocol="udp"), Hook.PREROUTING)) == [
        "172.20.0.80:80"
    ]


def test_a_node_port_is_masqueraded_and_says_which_rule_does_it() -> None:
    ruleset = Ruleset(tuple(bases(parse_saved("legacy", KUBE))))
    going = walk(packet("10.0.0.10", 30080, iif="eth0"))
    ruleset.run(going, Hook.PREROUTING)
    assert going.packet.mark == 0x4000
    assert "nat KUBE-SEP-A" in [hit.where for hit in going.hits]
    going.change(oif="eth0")
    ruleset.run(going, Hook.POSTROUTING)
    assert "source" in going.translated
    assert any("MASQUERADE takes the address of eth0" in doubt for doubt in going.doubts)


def test_after_one_translation_no_other_nat_chain_is_asked() -> None:
    _, chains = parse_nft(listing())  # its chain hangs behind kube-proxy's, and marks what leaves the VPC
    ruleset = Ruleset((*bases(parse_saved("legacy", KUBE.replace("10.0.1.1", "198.51.100.9"))), *chains))
    going = walk(packet("172.20.0.80"))
    ruleset.run(going, Hook.PREROUTING)
    assert going.packet.destination == IPv4Address("198.51.100.9")
    assert going.packet.ct_mark == 0


KUBE_NFT = [
    {"table": {"family": "ip", "name": "kube-proxy"}},
    {"map": {"family": "ip", "name": "service-ips", "table": "kube-proxy", "type": ["ipv4_addr", "inet_proto", "inet_service"], "map": "verdict",
             "elem": [[{"concat": ["172.20.0.80", "tcp", 80]}, {"goto": {"target": "service-web"}}]]}},
    {"set": {"family": "ip", "name": "cluster-ips", "table": "kube-proxy", "type": "ipv4_addr", "elem": ["172.20.0.80", {"prefix": {"addr": "172.20.1.0", "len": 24}}]}},
    {"chain": {"family": "ip", "table": "kube-proxy", "name": "nat-prerouting", "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}},
    {"chain": {"family": "ip", "table": "kube-proxy", "name": "service-web"}},
    {"chain": {"family": "ip", "table": "kube-proxy", "name": "endpoint-a"}},
    {"chain": {"family": "ip", "table": "kube-proxy", "name": "endpoint-b"}},
    {"chain": {"family": "ip", "table": "kube-proxy", "name": "filter-forward", "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}},
    {"rule": {"family": "ip", "table": "kube-proxy", "chain": "nat-prerouting", "expr": [
        {"vmap": {"key": {"concat": [{"payload": {"protocol": "ip", "field": "daddr"}}, {"meta": {"key": "l4proto"}}, {"payload": {"protocol": "th", "field": "dport"}}]}, "data": "@service-ips"}}]}},
    {"rule": {"family": "ip", "table": "kube-proxy", "chain": "service-web", "expr": [
        {"vmap": {"key": {"numgen": {"mode": "random", "mod": 2, "offset": 0}}, "data": {"set": [[0, {"goto": {"target": "endpoint-a"}}], [1, {"goto": {"target": "endpoint-b"}}]]}}}]}},
    {"rule": {"family": "ip", "table": "kube-proxy", "chain": "endpoint-a", "expr": [
        {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}, {"dnat": {"addr": "10.0.1.1", "port": 8080}}]}},
    {"rule": {"family": "ip", "table": "kube-proxy", "chain": "endpoint-b", "expr": [
        {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}, {"dnat": {"addr": "10.0.1.2", "port": 8080}}]}},
    {"rule": {"family": "ip", "table": "kube-proxy", "chain": "filter-forward", "expr": [
        {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}},
        {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "@cluster-ips"}}, {"reject": {"type": "icmpx", "expr": "port-unreachable"}}]}},
    {"rule": {"family": "ip", "table": "kube-proxy", "chain": "filter-forward", "expr": [
        {"match": {"op": "==", "left": {"exthdr": {"name": "rt"}}, "right": 1}}, {"drop": None}]}},
]  # fmt: skip


def test_kube_proxys_nft_mode() -> None:
    _, chains = parse_nft(json.dumps({"nftables": KUBE_NFT}))
    ruleset = Ruleset(chains)
    assert list(endpoints(ruleset, packet("172.20.0.80"), Hook.PREROUTING)) == [
        "10.0.1.1:8080",
        "10.0.1.2:8080",
    ]
    assert list(endpoints(ruleset, packet("172.20.0.80", 0, "icmp"), Hook.PREROUTING)) == ["172.20.0.80:0"]
    refused = walk(packet("172.20.1.9"))
    assert ruleset.run(refused, Hook.FORWARD) is Verdict.REJECT
    assert "@cluster-ips" in refused.hits[0].rule
    unsure = walk(packet("10.0.1.1"))
    assert ruleset.run(unsure, Hook.FORWARD) is Verdict.ACCEPT
    assert "cannot tell what" in unsure.doubts[0]


def test_iptables_tables_that_nft_shows_are_left_to_iptables() -> None:
    shown = [
        {"table": {"family": "ip", "name": "nat"}},
        {"chain": {"family": "ip", "table": "nat", "name": "POSTROUTING", "type": "nat", "hook": "postrouting", "prio": 100, "policy": "accept"}},
    ]  # fmt: skip
    _, chains = parse_nft(json.dumps({"nftables": shown}))
    assert list(without(chains, ["nat"])) == []
    assert len(list(without(chains, []))) == 1


@pytest.mark.parametrize(
    ("text", "port", "held"),
    [
        ("-p tcp -m tcp --dport 80 -j DROP", 80, True),
        ("-p tcp -m tcp ! --dport 80 -j DROP", 80, False),
        ("-p udp -m udp --dport 80 -j DROP", 80, False),
        ("-p tcp -m multiport --dports 22,80:90 -j DROP", 85, True),
        ("-p tcp -m multiport --dports 22,80:90 -j DROP", 91, False),
        ("-s 10.0.0.0/24 ! -d 10.0.0.0/8 -j DROP", 80, True),
        ("-m mark --mark 0x0/0x80 -j DROP", 80, True),
        ("-m connmark --mark 0x80/0x80 -j DROP", 80, False),
        ("-m conntrack --ctstate RELATED,ESTABLISHED -j DROP", 80, False),
        ("-m conntrack --ctstate NEW -j DROP", 80, True),
        ("-i eni+ -j DROP", 80, True),
        ("-i eth+ -j DROP", 80, False),
        ("-m addrtype --dst-type LOCAL,BROADCAST -j DROP", 80, False),
        ('-m comment --comment "-j ACCEPT" -j DROP', 80, True),
        ("-p icmp -m icmp --icmp-type 8 -j DROP", 80, False),
        ("-m set --match-set some dst -j DROP", 80, None),
        ("-m set --match-set some dst -d 10.0.0.0/8 -j DROP", 80, False),
        ("-m limit --limit 3/min -j DROP", 80, None),
    ],
)
def test_matches(text: str, port: int, held: bool | None) -> None:
    ruleset = Ruleset(
        tuple(bases(parse_saved("legacy", f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD {text}\nCOMMIT\n")))
    )
    going = walk(packet("198.51.100.10", port))
    verdict = ruleset.run(going, Hook.FORWARD)
    assert (verdict is Verdict.DROP) is bool(held)
    assert bool(going.doubts) is (held is None)
    assert parse_rule(text).target == "DROP"


def test_goto_returns_to_the_callers_caller_and_a_policy_decides_at_the_end() -> None:
    text = """*filter
:FORWARD DROP [0:0]
:A - [0:0]
:B - [0:0]
-A FORWARD -j A
-A A -g B
-A A -j DROP
-A B -j RETURN
-A FORWARD -p tcp -j ACCEPT
COMMIT
"""
    ruleset = Ruleset(tuple(bases(parse_saved("legacy", text))))
    assert ruleset.run(walk(packet("10.0.0.1")), Hook.FORWARD) is Verdict.ACCEPT
    assert ruleset.run(walk(packet("10.0.0.1", protocol="udp")), Hook.FORWARD) is Verdict.DROP


@pytest.mark.parametrize(
    ("target", "mark"),
    [
        ("MARK --set-xmark 0x4000/0xffffffff", 0x4000),
        ("MARK --set-xmark 0x81/0x80", 0x0180),
        ("MARK --set-mark 0x1/0xf", 0x0181 & ~0xF | 1),
        ("MARK --and-mark 0x80", 0x80),
        ("MARK --or-mark 0x2", 0x0183),
        ("MARK --xor-mark 0x1", 0x0180),
        ("CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80", 0x0101),
        ("CONNMARK --restore-mark --mask 0x3", 0x0182),
    ],
)
def test_marks(target: str, mark: int) -> None:
    text = f"*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j {target}\nCOMMIT\n"
    going = walk(packet("10.0.0.1", mark=0x0181, ct_mark=0x0002))
    Ruleset(tuple(bases(parse_saved("legacy", text)))).run(going, Hook.PREROUTING)
    assert going.packet.mark == mark
