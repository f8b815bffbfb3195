"""Ways of packets through a node, without a kernel."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from tests.cli.healthy import ADDRESS, NAT, NETWORK, PRIMARY, SECOND, VETH
from tests.cli.test_netfilter_walk import KUBE

from vpccni.cli.cloud.values import FarEni, GroupRule, NodeEni, Vpc, VpcRoute, VpcTable
from vpccni.cli.kernel.source_check import DeviceSettings, SourceCheck
from vpccni.cli.kernel.values import Action, Device, Hop, Network, PolicyRule, TableRoute
from vpccni.cli.netfilter.hooks import Ruleset
from vpccni.cli.netfilter.iptables_text import parse_saved
from vpccni.cli.netfilter.iptables_walk import bases
from vpccni.cli.trace.path import trace
from vpccni.cli.trace.scene import Scene
from vpccni.cli.trace.steps import Outcome, Question, Stage, Trace, to_plain, to_text
from vpccni.cli.unknown import Unknown

EVERYWHERE = IPv4Network("0.0.0.0/0")
OPEN = (GroupRule(egress=True, protocol="-1", low=0, high=65535, networks=(EVERYWHERE,)),
        GroupRule(egress=False, protocol="-1", low=0, high=65535, groups=("sg-1",)))  # fmt: skip
TABLE = VpcTable(
    "rtb-1", True, (), (VpcRoute(IPv4Network("10.0.0.0/16"), "local"), VpcRoute(EVERYWHERE, "igw-1"))
)
VPC = Vpc(
    (IPv4Network("10.0.0.0/16"),),
    (TABLE,),
    (("sg-1", OPEN), ("sg-shut", ())),
    FarEni("eni-far", "of instance i-9", ("sg-1",)),
)
POD_NETWORK = Network(
    (Device(1, "lo"), Device(2, "eth0")),
    rules=(PolicyRule(0, table=255), PolicyRule(32766, table=254)),
    routes=(TableRoute(EVERYWHERE, 254, hops=(Hop(2, IPv4Address("169.254.1.1")),)),),
)
LOOSE = DeviceSettings(SourceCheck.LOOSE)
MARKING = """*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -i eni+ ! -d 10.0.0.0/15 -j MARK --set-xmark 0x80/0x80
COMMIT
"""


def filters(*texts: str) -> Ruleset:
    return Ruleset(tuple(base for text in texts for base in bases(parse_saved("nf_tables", text))))


def scene(**changes: Any) -> Scene:
    made = Scene(
        host=NETWORK,
        ruleset=filters(NAT, MARKING),
        vpc=VPC,
        pod=POD_NETWORK,
        settings={"eth0": LOOSE},
        enis=(PRIMARY, SECOND),
        pods={ADDRESS: "default/web"},
    )
    return replace(made, **changes)


def ask(
    destination: str,
    port: int = 443,
    protocol: str = "tcp",
    pod: str | None = "default/web",
    source: object = ADDRESS,
) -> Question:
    return Question(IPv4Address(str(source)), IPv4Address(destination), protocol, port, pod)


def stages(found: Trace) -> list[Stage]:
    return [step.stage for step in found.steps]


def last(found: Trace) -> str:
    return " ".join((found.steps[-1].what, *found.steps[-1].why))


def test_to_the_internet_by_the_primary_with_its_address() -> None:
    found = trace(scene(), ask("198.51.100.10"))
    assert (found.outcome, str(found.seen_source)) == (Outcome.DELIVERED, "203.0.113.7")
    assert stages(found) == [
        Stage.POD, Stage.VETH, Stage.PREROUTING, Stage.ROUTE, Stage.SNAT, Stage.ENI, Stage.VPC, Stage.VPC, Stage.REPLY,
    ]  # fmt: skip
    assert "fwmark 0x80/0x80" in " ".join(found.steps[3].why)
    assert "source becomes 10.0.0.10" in found.steps[4].what
    assert "eni-1" in found.steps[5].what
    assert found.steps[-1].what.endswith(f"goes to {VETH}")
    eni = found.steps[5].capture
    assert eni is not None
    assert (eni.place, eni.interface) == ("node", "eth0")
    assert eni.expression == "tcp and src host 10.0.0.10 and dst host 198.51.100.10 and dst port 443"


def test_within_the_vpc_by_the_pods_own_eni_with_its_own_address() -> None:
    found = trace(scene(), ask("10.0.7.7"))
    assert (found.outcome, found.seen_source) == (Outcome.DELIVERED, ADDRESS)
    text = to_text(to_plain(found))
    assert "tcp from pod default/web (10.0.0.21) to 10.0.7.7 port 443" in text
    assert "rule 1536: from 10.0.0.21/32 lookup 2" in text
    assert "its destination is in one of the VPC's CIDRs" in text
    assert "it leaves the node by eth1, eni-2" in text
    assert text.endswith("It arrives; the far end sees 10.0.0.21 as the source.")
    plain = to_plain(found)
    assert plain["seenSource"] == "10.0.0.21"
    assert [step["seen"] for step in plain["steps"]] == [None] * len(found.steps)


def test_an_excluded_destination_and_external_snat_keep_the_pods_address() -> None:
    excluded = trace(scene(ruleset=filters(NAT)), ask("10.9.0.5"))
    assert "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS" in next(
        s.what for s in excluded.steps if s.stage is Stage.SNAT
    )
    external = trace(scene(ruleset=filters()), ask("198.51.100.10"))
    assert "no rule translates it" in next(s.what for s in external.steps if s.stage is Stage.SNAT)
    assert external.outcome is Outcome.LOST  # a public subnet: nothing gives the pod a public address
    assert "10.0.0.21 has no public address" in last(external)
    behind_nat = replace(VPC, tables=(replace(TABLE, routes=(VpcRoute(EVERYWHERE, "nat-1"),)),))
    known = replace(behind_nat, nat_addresses=(("nat-1", IPv4Address("203.0.113.99")),))
    assert str(trace(scene(ruleset=filters(), vpc=known), ask("198.51.100.10")).seen_source) == "203.0.113.99"
    guessed = trace(
        scene(ruleset=filters(), vpc=replace(behind_nat, nat_addresses=Unknown("no"))), ask("198.51.100.10")
    )
    assert (guessed.outcome, guessed.seen_source) == (Outcome.DELIVERED, None)
    assert "which source the far end sees is not known" in to_text(to_plain(guessed))


def test_a_packet_that_leaves_by_an_eni_that_does_not_hold_its_source() -> None:
    unmarked = trace(scene(ruleset=filters(NAT)), ask("198.51.100.10"))
    assert unmarked.outcome is Outcome.LOST
    assert "10.0.0.10 is not an address of eni-2" in last(unmarked)
    unchecked = scene(ruleset=filters(NAT), enis=(PRIMARY, replace(SECOND, checks_source=False)))
    assert "has no public address" in last(trace(unchecked, ask("198.51.100.10")))


def test_another_pod_of_the_node() -> None:
    other = IPv4Address("10.0.0.22")
    host = replace(
        NETWORK,
        devices=(*NETWORK.devices, Device(5, "enibbbbbbbbbbb", kind="veth")),
        routes=(*NETWORK.routes, TableRoute(IPv4Network(other), 254, hops=(Hop(5),), scope=253)),
        rules=(
            NETWORK.rules[0],
            PolicyRule(512, table=254, destination=IPv4Network(other)),
            *NETWORK.rules[1:],
        ),
    )
    found = trace(scene(host=host, pods={other: "default/db"}), ask(str(other)))
    assert (found.outcome, found.seen_source) == (Outcome.DELIVERED, ADDRESS)
    assert "leads to default/db on this node" in last(found)
    assert "a pod that the agent does not know of" in last(trace(scene(host=host), ask(str(other))))


def test_the_node_itself() -> None:
    found = trace(scene(), ask("10.0.0.10"))
    assert (stages(found)[-1], found.outcome) == (Stage.INPUT, Outcome.DELIVERED)
    from_node = trace(scene(), ask("198.51.100.10", pod=None, source="0.0.0.0"))
    assert (str(from_node.question.source), str(from_node.seen_source)) == ("10.0.0.10", "203.0.113.7")
    assert stages(from_node)[0] is Stage.OUTPUT
    to_itself = trace(scene(), ask("10.0.0.20", pod=None, source="0.0.0.0"))
    assert to_itself.outcome is Outcome.DELIVERED
    to_pod = trace(scene(), ask("10.0.0.21", pod=None, source="0.0.0.0"))
    assert to_pod.outcome is Outcome.DELIVERED
    assert "leads to default/web" in last(to_pod)


def test_a_service_tells_its_endpoints_and_a_node_process_meets_output() -> None:
    ruleset = filters(KUBE, MARKING)
    found = trace(scene(ruleset=ruleset), ask("172.20.0.80", 80))
    assert "destination becomes 10.0.1.1 port 8080" in to_text(to_plain(found))
    assert "KUBE-SEP-A" in to_text(to_plain(found))
    assert found.alternatives == ("10.0.1.2 port 8080", "10.0.1.3 port 8080")
    from_node = trace(scene(ruleset=ruleset), ask("172.20.0.80", 80, pod=None, source="0.0.0.0"))
    assert "destination becomes 10.0.1.1 port 8080" in to_text(to_plain(from_node))


def test_ways_that_end_on_the_node() -> None:
    blocked = replace(NETWORK, rules=(NETWORK.rules[0], PolicyRule(7, Action.PROHIBIT), *NETWORK.rules[1:]))
    assert "declared prohibited" in last(trace(scene(host=blocked), ask("198.51.100.10")))
    nowhere = replace(NETWORK, routes=tuple(r for r in NETWORK.routes if r.destination.prefixlen))
    assert "no way to 198.51.100.10" in last(trace(scene(host=nowhere), ask("198.51.100.10")))
    off = {VETH: DeviceSettings(forwarding=False)}
    assert "ip_forward must be 1" in last(trace(scene(settings=off), ask("198.51.100.10")))
    drops = filters(NAT, "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -d 10.0.0.0/8 -j ACCEPT\nCOMMIT\n")
    dropped = trace(scene(ruleset=drops), ask("198.51.100.10"))
    assert "has it dropped (forward)" in last(dropped)
    assert to_text(to_plain(dropped)).endswith("It does not arrive: see the last step.")
    down = replace(NETWORK, devices=tuple(replace(d, carrier=d.name != VETH) for d in NETWORK.devices))
    assert "which is down" in last(trace(scene(host=down), ask("198.51.100.10")))
    gone = replace(NETWORK, routes=tuple(r for r in NETWORK.routes if r.destination != IPv4Network(ADDRESS)))
    assert "its pod is not connected" in last(trace(scene(host=gone), ask("198.51.100.10")))


def test_a_strict_source_check_loses_the_reply() -> None:
    strict = {"eth0": DeviceSettings(SourceCheck.STRICT)}
    found = trace(scene(settings=strict), ask("198.51.100.10"))
    assert found.outcome is Outcome.LOST
    assert found.steps[-1].stage is Stage.REPLY
    assert "rp_filter of eth0 is strict (1)" in last(found)
    assert trace(scene(settings={"eth0": LOOSE}), ask("198.51.100.10")).outcome is Outcome.DELIVERED


def test_inside_the_pod() -> None:
    no_way = replace(POD_NETWORK, routes=())
    found = trace(scene(pod=no_way), ask("198.51.100.10"))
    assert "the pod has no way to" in last(found)
    unread = trace(scene(pod=None, pod_unread="setns: not permitted"), ask("198.51.100.10"))
    assert "setns: not permitted" in unread.steps[0].why[0]
    assert unread.outcome is Outcome.DELIVERED


@pytest.mark.parametrize(
    ("vpc", "outcome", "says"),
    [
        (replace(VPC, far=None), Outcome.LOST, "no ENI of the VPC has 10.0.7.7"),
        (replace(VPC, far=Unknown("denied")), Outcome.UNKNOWN, "denied"),
        (replace(VPC, groups=Unknown("denied")), Outcome.UNKNOWN, "denied"),
        (replace(VPC, far=FarEni("eni-far", "of nobody", ("sg-shut",))), Outcome.LOST, "do not let it in"),
        (replace(VPC, groups=(("sg-1", ()),)), Outcome.LOST, "do not let it out"),
        (replace(VPC, cidrs=(), tables=()), Outcome.LOST, "no route to 10.0.7.7"),
        (replace(VPC, cidrs=(), tables=Unknown("denied")), Outcome.UNKNOWN, "outside of the VPC, in a private network"),
        (replace(VPC, cidrs=(), tables=(replace(TABLE, routes=(VpcRoute(EVERYWHERE, "pcx-1"),)),)), Outcome.UNKNOWN, "peered VPC"),
        (replace(VPC, cidrs=(), tables=(replace(TABLE, routes=(VpcRoute(EVERYWHERE, "tgw-1", active=False),)),)), Outcome.LOST, "blackhole"),
    ],
)  # fmt: skip
def test_beyond_the_node(vpc: Vpc, outcome: Outcome, says: str) -> None:
    found = trace(scene(vpc=vpc), ask("10.0.7.7"))
    assert found.outcome is outcome
    assert says in to_text(to_plain(found))


def test_an_unknown_eni_and_the_metadata_service() -> None:
    assert "is not known" in last(trace(scene(enis=()), ask("10.0.7.7")))
    imds = trace(scene(ruleset=filters(NAT)), ask("169.254.169.254", 80))
    assert "the instance metadata service" in last(imds) + imds.steps[-2].what


@pytest.mark.parametrize(
    ("rule", "port", "protocol", "through"),
    [
        (GroupRule(egress=False, protocol="tcp", low=400, high=500, networks=(EVERYWHERE,)), 443, "tcp", Outcome.DELIVERED),
        (GroupRule(egress=False, protocol="tcp", low=400, high=440, networks=(EVERYWHERE,)), 443, "tcp", Outcome.LOST),
        (GroupRule(egress=False, protocol="udp", low=443, high=443, networks=(EVERYWHERE,)), 443, "tcp", Outcome.LOST),
        (GroupRule(egress=False, protocol="icmp", low=-1, high=-1, networks=(EVERYWHERE,)), 0, "icmp", Outcome.DELIVERED),
        (GroupRule(egress=False, protocol="icmp", low=3, high=4, networks=(EVERYWHERE,)), 0, "icmp", Outcome.LOST),
        (GroupRule(egress=False, protocol="-1", low=0, high=0, networks=(IPv4Network("10.0.0.0/28"),)), 443, "tcp", Outcome.LOST),
        (GroupRule(egress=False, protocol="-1", low=0, high=0, groups=("sg-1",)), 443, "tcp", Outcome.DELIVERED),
        (GroupRule(egress=False, protocol="-1", low=0, high=0, groups=("sg-2",)), 443, "tcp", Outcome.LOST),
        (GroupRule(egress=False, protocol="-1", low=0, high=0, others=("pl-1",)), 443, "tcp", Outcome.UNKNOWN),
    ],
)  # fmt: skip
def test_security_groups(rule: GroupRule, port: int, protocol: str, through: Outcome) -> None:
    vpc = replace(
        VPC, groups=(("sg-1", OPEN), ("sg-far", (rule,))), far=FarEni("eni-far", "of x", ("sg-far",))
    )
    assert trace(scene(vpc=vpc), ask("10.0.7.7", port, protocol)).outcome is through


def test_an_eni_is_known_by_its_mac() -> None:
    made: NodeEni | None = scene().eni_of("eth1")
    assert made == SECOND
    assert scene().eni_of("lo") is None
