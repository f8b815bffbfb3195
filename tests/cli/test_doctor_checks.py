"""Each thing that can be wrong, and that it is not found where it is right."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from tests.cli.healthy import (
    ADDRESS,
    ASSIGNMENT,
    CONFIG,
    NAT,
    NETWORK,
    PRIMARY,
    SECOND,
    VETH,
    healthy,
    settings,
)

from vpccni.cli.doctor.diagnose import CHECKS, diagnose, to_plain, to_text
from vpccni.cli.doctor.facts import (
    AgentFacts,
    CniFiles,
    ConfigFile,
    Conntrack,
    Facts,
    Feature,
    LinkFile,
    NetworkDaemons,
    Permission,
    PluginFile,
    Routing,
    RunDir,
    known,
)
from vpccni.cli.doctor.finding import (
    Finding,
    LoosenSourceCheck,
    MakeExecutable,
    RemoveLink,
    RemoveRoute,
    RemoveRule,
    SetMtu,
    Severity,
)
from vpccni.cli.kernel.source_check import DeviceSettings, SourceCheck
from vpccni.cli.kernel.values import Action, Device, Held, Hop, Kind, Network, PolicyRule, TableRoute
from vpccni.cli.netfilter.iptables_text import parse_saved
from vpccni.cli.netfilter.read import LEGACY, NF_TABLES, Filters
from vpccni.cli.unknown import Unknown
from vpccni.ipam.values import Pod
from vpccni.linux.layout import PODS_TABLE
from vpccni.linux.names import host_veth
from vpccni.linux.routes import Route, Scope
from vpccni.linux.rules import Rule

GHOST = IPv4Address("10.0.0.40")
GHOST_VETH = host_veth("eni", Pod("default", "ghost"))
BROKEN, RISKY, NOTE = Severity.BROKEN, Severity.RISKY, Severity.NOTE


def found(facts: Facts) -> list[Finding]:
    return list(diagnose(facts).findings)


def one(facts: Facts) -> Finding:
    findings = found(facts)
    assert len(findings) == 1, [finding.found for finding in findings]
    assert findings[0].why
    assert findings[0].fix
    return findings[0]


def routed(network: Network, later: Network | None = None, **settings_of: DeviceSettings) -> Facts:
    old = known(healthy().routing)
    return replace(
        healthy(),
        routing=Routing(network, later or network, {**old.settings, **settings_of}, forwarding=True),
    )


def with_rule(rule: PolicyRule) -> Network:
    return replace(NETWORK, rules=tuple(sorted((*NETWORK.rules, rule), key=lambda each: each.priority)))


def test_a_healthy_node_has_every_check_passed() -> None:
    diagnosis = diagnose(healthy())
    assert diagnosis.findings == ()
    assert diagnosis.not_checked == ()
    assert not diagnosis.ill
    assert diagnosis.passed == CHECKS
    assert "nothing is wrong" in to_text(diagnosis, (), "a test")


def test_notes_do_not_make_a_node_ill_and_the_rest_does() -> None:
    noted = diagnose(replace(healthy(), hop_limit=2))
    assert [each.severity for each in noted.findings] == [NOTE]
    assert not noted.ill
    ill = diagnose(replace(healthy(), hop_limit=2, imds="IMDS does not answer"))
    assert [each.severity for each in ill.findings] == [BROKEN, NOTE]
    plain = to_plain(ill, ("did this",))
    assert plain["healthy"] is False
    assert plain["fixed"] == ["did this"]
    assert plain["findings"][0]["check"] == "imds"
    assert "BROKEN imds: IMDS does not answer" in to_text(ill, (), "a test")


def test_what_is_unknown_is_said_and_is_no_finding() -> None:
    diagnosis = diagnose(replace(healthy(), permissions=Unknown("EC2 was not asked")))
    assert diagnosis.findings == ()
    assert [(check.name, why) for check, why in diagnosis.not_checked] == [("iam", "EC2 was not asked")]
    assert "not checked: the node's role may do what the agent does (EC2 was not asked)" in to_text(
        diagnosis, (), "a test"
    )


# --- forwarding


@pytest.mark.parametrize(
    ("check", "wrong"), [(SourceCheck.OFF, False), (SourceCheck.STRICT, True), (SourceCheck.LOOSE, False)]
)
def test_a_strict_source_check_of_the_primary(check: SourceCheck, wrong: bool) -> None:
    facts = routed(NETWORK, eth0=DeviceSettings(check))
    if wrong:
        finding = one(facts)
        assert finding.check == "rp-filter"
        assert finding.mends == (LoosenSourceCheck(2, "eth0"),)
    else:
        assert found(facts) == []


def test_a_strict_source_check_of_a_secondary_matters_in_the_compact_layout_only() -> None:
    facts = routed(NETWORK, eth1=DeviceSettings(SourceCheck.STRICT))
    assert found(facts) == []
    compact = replace(facts, settings=settings(VPC_CNI_RULES="compact"))
    assert one(compact).mends == (LoosenSourceCheck(3, "eth1"),)


def test_without_imds_the_primary_is_where_the_default_route_leads() -> None:
    facts = routed(NETWORK, eth0=DeviceSettings(SourceCheck.STRICT))
    assert [each.check for each in found(replace(facts, primary_mac=Unknown("silent")))] == ["rp-filter"]


def test_forwarding_that_is_off() -> None:
    routing = known(healthy().routing)
    off = one(replace(healthy(), routing=replace(routing, forwarding=False)))
    assert (off.check, off.severity, off.mends) == ("ip-forward", BROKEN, ())
    device = one(routed(NETWORK, eth0=DeviceSettings(SourceCheck.LOOSE, forwarding=False)))
    assert "net.ipv4.conf.eth0.forwarding" in device.found


def test_a_feature_that_the_kernel_lacks_and_one_that_nobody_knows_of() -> None:
    lacking = Feature("nf_tables", present=False, how="tried: Protocol not supported")
    assert "nf_tables" in one(replace(healthy(), features=(lacking,))).found
    assert found(replace(healthy(), features=(replace(lacking, present=None),))) == []


@pytest.mark.parametrize(("count", "severity"), [(790, None), (800, RISKY), (949, RISKY), (950, BROKEN)])
def test_a_table_of_connections_that_fills(count: int, severity: Severity | None) -> None:
    facts = replace(healthy(), conntrack=Conntrack(count, 1000))
    assert [each.severity for each in found(facts)] == ([severity] if severity else [])


# --- rules


def test_a_strangers_rule_that_a_pod_follows() -> None:
    finding = one(routed(with_rule(PolicyRule(100, table=254, source=IPv4Network("10.0.0.0/24")))))
    assert (finding.check, finding.severity) == ("foreign-rules", BROKEN)
    assert "in front of ours" in finding.found
    assert "default/web" in finding.found
    among = one(
        routed(with_rule(PolicyRule(600, action=Action.UNREACHABLE, source=IPv4Network("10.0.0.21/32"))))
    )
    assert "among ours" in among.found


@pytest.mark.parametrize(
    "rule",
    [
        PolicyRule(100, table=99, source=IPv4Network("10.0.0.0/24")),  # an empty table: asked, and passed
        PolicyRule(100, table=254, source=IPv4Network("172.16.0.0/12")),
        PolicyRule(1030, table=254, inverted=True),
    ],
)
def test_a_strangers_rule_that_no_pod_follows(rule: PolicyRule) -> None:
    assert one(routed(with_rule(rule))).severity is RISKY


def test_a_strangers_rule_that_wants_a_mark_or_a_port() -> None:
    rule = PolicyRule(200, table=254, mark=0x1000, mask=0x1000, destination_ports=(80, 90), protocol=6)
    assert one(routed(with_rule(rule))).severity is BROKEN  # it may have them


@pytest.mark.parametrize(
    "rule",
    [
        PolicyRule(20, table=255),
        PolicyRule(10, table=107, iif="vlan.eth.7"),
        PolicyRule(512, table=PODS_TABLE),
        PolicyRule(1535, table=254, destination=IPv4Network("198.51.100.0/24")),
        PolicyRule(1536, table=3, mark=0x1, mask=0x7F),
        PolicyRule(1536, table=3, source=IPv4Network("10.0.0.21/32"), destination=IPv4Network("10.0.0.0/16")),
        PolicyRule(2000, table=99),  # behind ours
        PolicyRule(5000, table=99, iif="eth0"),
    ],
)
def test_ours_and_what_is_behind_ours(rule: PolicyRule) -> None:
    assert found(routed(with_rule(rule))) == []


# --- packet filters

LEGACY_RULES = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE\nCOMMIT\n"
HINT = "*mangle\n:PREROUTING ACCEPT [0:0]\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n"


def test_iptables_of_both_kinds() -> None:
    both = (parse_saved(LEGACY, LEGACY_RULES), parse_saved(NF_TABLES, NAT + HINT))
    finding = one(replace(healthy(), filters=Filters(both, used=NF_TABLES)))
    assert (finding.check, finding.severity) == ("iptables-mixed", RISKY)
    assert "1 in legacy" in finding.found
    assert "kubelet's chain is in nf_tables" in finding.found
    empty = (parse_saved(LEGACY, ""), parse_saved(NF_TABLES, NAT + HINT))
    assert found(replace(healthy(), filters=Filters(empty, used=NF_TABLES))) == []


def test_our_rules_in_the_kind_that_kubelet_does_not_use() -> None:
    apart = (parse_saved(LEGACY, HINT), parse_saved(NF_TABLES, NAT))
    assert (
        "our rules are in nf_tables, kubelet's in legacy"
        in one(replace(healthy(), filters=Filters(apart))).found
    )


def test_snat_rules_that_are_missing() -> None:
    def with_nat(text: str) -> Facts:
        return replace(healthy(), filters=Filters((parse_saved(NF_TABLES, text),)))

    lines = NAT.splitlines(keepends=True)
    assert (
        "POSTROUTING does not lead to it"
        in one(with_nat("".join(line for line in lines if "-A POST" not in line))).found
    )
    assert "no SNAT rule" in one(with_nat("".join(line for line in lines if "-j SNAT" not in line))).found
    none = with_nat("*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n")
    assert "there is no chain" in one(none).found
    external = replace(none, settings=settings(AWS_VPC_K8S_CNI_EXTERNALSNAT="true"))
    assert found(external) == []


# --- devices


def with_device(index: int, **changes: Any) -> Network:
    return replace(
        NETWORK,
        devices=tuple(replace(each, **changes) if each.index == index else each for each in NETWORK.devices),
    )


def test_an_mtu_that_is_not_the_settings() -> None:
    finding = one(routed(with_device(3, mtu=1500)))
    assert (finding.check, finding.mends) == ("mtu", (SetMtu(3, "eth1", 9001),))
    both = found(replace(healthy(), settings=settings(AWS_VPC_ENI_MTU="1500")))
    assert {each.check for each in both} == {"mtu", "pod-mtu", "conflist"}
    pods = one(routed(with_device(4, mtu=1400)))
    assert (pods.check, pods.severity) == ("pod-mtu", NOTE)


def test_an_eni_without_device_and_one_that_is_down() -> None:
    gone = replace(NETWORK, devices=tuple(each for each in NETWORK.devices if each.index != 3))
    assert "no device has its MAC" in one(routed(gone)).found
    for change in ({"up": False}, {"carrier": False}):
        assert one(routed(with_device(3, **change))).severity is BROKEN


# --- daemons


def test_network_manager() -> None:
    running = NetworkDaemons(network_manager=True)
    assert one(replace(healthy(), daemons=running)).check == "network-manager"
    told = ("interface-name:eni*", "interface-name:=eni*", "type:veth", "driver:veth", "*")
    for pattern in told:
        assert found(replace(healthy(), daemons=replace(running, unmanaged=(pattern,)))) == [], pattern
    for pattern in ("interface-name:cali*", "mac:02:00:00:00:00:01", "except:interface-name:eni*"):
        assert len(found(replace(healthy(), daemons=replace(running, unmanaged=(pattern,))))) == 1, pattern


def test_networkd() -> None:
    running = NetworkDaemons(networkd=True)
    finding = one(replace(healthy(), daemons=running))
    assert "ManageForeignRoutingPolicyRules=no and ManageForeignRoutes=no" in finding.found
    half = one(replace(healthy(), daemons=replace(running, keeps_foreign_rules=True)))
    assert "without ManageForeignRoutes=no" in half.found
    told = replace(running, keeps_foreign_rules=True, keeps_foreign_routes=True)
    assert found(replace(healthy(), daemons=told)) == []


def test_udevs_mac_policy() -> None:
    usual = LinkFile("/usr/lib/systemd/network/99-default.link", ("*",), mac_policy="persistent")
    running = NetworkDaemons(udev=True, link_files=(usual,))
    assert one(replace(healthy(), daemons=running)).severity is NOTE
    own = LinkFile("/etc/systemd/network/10-eni.link", ("eni*",), mac_policy="none")
    others = LinkFile("/etc/systemd/network/05-x.link", ("en*",), ("virtio_net",), mac_policy="none")
    for files, wrong in (
        ((own, usual), False),
        ((others, usual), True),
        ((replace(own, narrower=True), usual), True),
        ((replace(usual, mac_policy="none"),), False),
    ):
        assert bool(found(replace(healthy(), daemons=replace(running, link_files=files)))) is wrong
    assert found(replace(healthy(), daemons=replace(running, udev=False))) == []


# --- files


def with_configs(*configs: ConfigFile) -> Facts:
    return replace(healthy(), cni=replace(known(healthy().cni), configs=configs))


OURS = ConfigFile("10-aws.conflist", (CONFIG, {"type": "portmap"}))


def test_no_conflist_a_broken_one_and_one_that_is_not_the_first() -> None:
    assert one(with_configs()).check == "conflist"
    broken = found(with_configs(ConfigFile("10-aws.conflist", problem="Expecting value")))
    assert "Expecting value" in broken[0].found
    other = ConfigFile("05-bridge.conf", ({"type": "bridge"},))
    first, noted = found(with_configs(other, OURS))
    assert (first.severity, noted.severity) == (BROKEN, NOTE)
    assert "05-bridge.conf comes before 10-aws.conflist" in first.found
    behind = one(with_configs(OURS, replace(other, name="87-bridge.conf")))
    assert (behind.check, behind.severity) == ("other-conflists", NOTE)
    unreadable = one(with_configs(OURS, ConfigFile("99-x.conf", problem="no JSON")))
    assert "cannot be read: no JSON" in unreadable.found


def test_a_conflist_that_is_not_as_the_settings_say() -> None:
    changed = ConfigFile("10-aws.conflist", ({**CONFIG, "vethPrefix": "veth"}, {"type": "portmap"}))
    finding = one(with_configs(changed))
    assert finding.severity is RISKY
    assert "vethPrefix veth" in finding.found
    absent = ConfigFile("10-aws.conflist", ({"type": "aws-cni"}, {"type": "portmap"}))
    assert found(with_configs(absent)) == []


def test_plugins_that_are_missing_or_cannot_run() -> None:
    cni: CniFiles = known(healthy().cni)

    def with_plugin(name: str, file: PluginFile | None) -> Facts:
        plugins = {key: value for key, value in cni.plugins.items() if key != name}
        return replace(healthy(), cni=replace(cni, plugins={**plugins, **({name: file} if file else {})}))

    path = Path("/opt/cni/bin/aws-cni")
    assert "aws-cni is not installed" in one(with_plugin("aws-cni", None)).found
    assert "portmap is not installed" in one(with_plugin("portmap", None)).found
    assert one(with_plugin("aws-cni", PluginFile(path, executable=False))).mends == (MakeExecutable(path),)
    assert one(with_plugin("portmap", PluginFile(path, executable=False))).mends == ()
    lost = PluginFile(path, executable=True, interpreter="/usr/bin/python3.9", interpreter_there=False)
    assert "wants /usr/bin/python3.9" in one(with_plugin("aws-cni", lost)).found


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"read_only": True}, BROKEN),
        ({"mode": 0o777}, RISKY),
        ({"mode": 0o775}, RISKY),
        ({"mode": 0o700}, None),
        ({"owner": 1000}, RISKY),
        ({"free_bytes": 1 << 20}, BROKEN),
        ({"free_bytes": 32 << 20}, RISKY),
        ({"free_files": 3}, RISKY),
        ({"free_files": None}, None),
    ],
)
def test_the_agents_directory(changes: dict[str, Any], severity: Severity | None) -> None:
    run_dir: RunDir = replace(known(healthy().run_dir), **changes)
    assert [each.severity for each in found(replace(healthy(), run_dir=run_dir))] == (
        [severity] if severity else []
    )


# --- the agent


@pytest.mark.parametrize(
    ("socket", "severity"), [("cni.sock", BROKEN), ("ipamd.sock", RISKY), ("introspection", NOTE)]
)
def test_a_socket_on_which_nobody_answers(socket: str, severity: Severity) -> None:
    agent = AgentFacts({"cni.sock": None, "ipamd.sock": None, "introspection": None, socket: "refused"})
    finding = one(replace(healthy(), agent=agent))
    assert finding.severity is severity
    assert f"nobody answers on {socket}: refused" in finding.found


def test_an_agent_that_is_not_ready_gives_its_reasons() -> None:
    agent = replace(known(healthy().agent), not_ready=("subnet-full: no free address; use another subnet",))
    assert "subnet-full" in one(replace(healthy(), agent=agent)).found
    assert found(replace(healthy(), agent=replace(agent, not_ready=None))) == []


def test_settings_that_could_not_be_used() -> None:
    assert "WARM_IP_TARGET" in one(replace(healthy(), settings=settings(WARM_IP_TARGET="many"))).found


def test_a_checkpoint_that_cannot_be_read() -> None:
    diagnosis = diagnose(replace(healthy(), assignments=Unknown("line 3 of the journal cannot be read")))
    assert [each.check for each in diagnosis.findings] == ["checkpoint"]
    assert {check.name for check, _ in diagnosis.not_checked} == {
        "leftovers",
        "unconnected-pods",
        "addresses",
    }


# --- pods


def ghost(*, carrier: bool, table: int = 2) -> Network:
    """What is left of a pod that nobody wrote down."""
    single = IPv4Network(GHOST)
    return replace(
        NETWORK,
        devices=(*NETWORK.devices, Device(9, GHOST_VETH, mtu=9001, carrier=carrier, kind="veth")),
        routes=(*NETWORK.routes, TableRoute(single, 254, hops=(Hop(9),), scope=253)),
        rules=tuple(
            sorted(
                (
                    *NETWORK.rules,
                    PolicyRule(512, table=254, destination=single),
                    PolicyRule(1536, table=table, source=single),
                ),
                key=lambda rule: rule.priority,
            )
        ),
    )


def test_what_is_left_of_a_pod_is_removed() -> None:
    rules, link = found(routed(ghost(carrier=False)))
    assert (rules.check, rules.severity) == ("leftovers", RISKY)
    single = IPv4Network(GHOST)
    assert rules.mends == (
        RemoveRule(Rule(512, 254, destination=single)),
        RemoveRule(Rule(1536, 2, source=single)),
        RemoveRoute(Route(single, 254, 9, scope=Scope.LINK)),
    )
    assert link.mends == (RemoveLink(9, GHOST_VETH),)


def test_a_pod_with_a_branch_eni_is_never_written_down_and_nothing_is_wrong_with_that() -> None:
    assert found(routed(ghost(carrier=True, table=107))) == []


def test_a_sandbox_that_runs_and_is_not_written_down_is_left_alone() -> None:
    finding = one(routed(ghost(carrier=True)))
    assert (finding.check, finding.severity, finding.mends) == ("orphans", BROKEN, ())
    assert str(GHOST) in finding.found


def test_a_pod_that_comes_or_goes_meanwhile_is_nothing() -> None:
    assert found(routed(ghost(carrier=True), NETWORK)) == []
    assert found(routed(NETWORK, ghost(carrier=False))) == []


def test_routes_of_the_compact_layout_are_left_overs_too() -> None:
    route = TableRoute(IPv4Network(GHOST), PODS_TABLE, hops=(Hop(4),), scope=253)
    finding = one(routed(replace(NETWORK, routes=(*NETWORK.routes, route))))
    assert finding.mends == (RemoveRoute(Route(IPv4Network(GHOST), PODS_TABLE, 4, scope=Scope.LINK)),)


def test_a_strangers_route_is_no_left_over() -> None:
    route = TableRoute(IPv4Network("10.0.0.77/32"), 254, hops=(Hop(2),), scope=253)
    assert found(routed(replace(NETWORK, routes=(*NETWORK.routes, route)))) == []


def test_a_pod_that_packets_do_not_reach() -> None:
    without = replace(
        NETWORK, routes=tuple(r for r in NETWORK.routes if r.destination != IPv4Network(ADDRESS))
    )
    finding = one(routed(without))
    assert (finding.check, finding.severity) == ("unconnected-pods", BROKEN)
    assert f"go to eth0, not to its device {VETH}" in finding.found
    assert found(routed(without, NETWORK)) == []
    down = one(routed(with_device(4, up=False)))
    assert down.check == "unconnected-pods"


def test_an_address_on_no_eni() -> None:
    stolen = replace(SECOND, networks=())
    finding = one(replace(healthy(), enis=(PRIMARY, stolen)))
    assert (finding.check, finding.severity) == ("addresses", BROKEN)
    late = one(replace(healthy(), enis=(PRIMARY, stolen), enis_by_ec2=False))
    assert late.severity is RISKY
    assert "may be late" in late.found
    by_prefix = replace(SECOND, networks=(IPv4Network("10.0.0.16/28"),))
    assert found(replace(healthy(), enis=(PRIMARY, by_prefix))) == []


def test_an_address_of_two_pods_and_one_of_the_node() -> None:
    other = replace(ASSIGNMENT, key=replace(ASSIGNMENT.key, container_id="c2"))
    twice = found(replace(healthy(), assignments=(ASSIGNMENT, other)))
    assert [each.check for each in twice] == ["addresses"]
    held = replace(
        NETWORK,
        addresses=(*NETWORK.addresses, Held(3, IPv4Interface("10.0.0.21/32"))),
        routes=(*NETWORK.routes, TableRoute(IPv4Network(ADDRESS), 255, Kind.LOCAL, (Hop(3),))),
    )
    assert "also an address of the node's eth1" in " ".join(each.found for each in found(routed(held)))


# --- AWS


def test_calls_that_are_denied() -> None:
    def with_permission(action: str, allowed: bool | None) -> Facts:
        return replace(healthy(), permissions=(Permission(action, allowed, "You are not authorized"),))

    denied = one(with_permission("AssignPrivateIpAddresses", allowed=False))
    assert denied.severity is BROKEN
    assert "ec2:AssignPrivateIpAddresses" in denied.found
    assert one(with_permission("DescribeInstanceTypes", allowed=False)).severity is RISKY
    assert found(with_permission("AssignPrivateIpAddresses", allowed=None)) == []
    assert found(with_permission("AssignPrivateIpAddresses", allowed=True)) == []
