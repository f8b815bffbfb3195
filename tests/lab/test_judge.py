from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from vpclab.lab.judge import Books, Eni, Evidence, Kernel, NodeEvidence, Pod, Rule, judge

PRIMARY = Eni("eni-1", "02:01", "in-use", "", "i-1", 0, IPv4Address("10.0.0.4"), (IPv4Address("10.0.0.5"),))
SECOND = Eni(
    "eni-2",
    "02:02",
    "in-use",
    "aws-K8S-i-1",
    "i-1",
    1,
    IPv4Address("10.0.0.6"),
    prefixes=(IPv4Network("10.0.0.16/28"),),
)
A = Pod("default/a", "c0ffee", IPv4Address("10.0.0.5"), "eni00000000001")
B = Pod("default/b", "decade", IPv4Address("10.0.0.17"), "eni00000000002")
NODE = NodeEvidence(
    "node1",
    "i-1",
    (A, B),
    Kernel(
        rules=(
            Rule(0, "all", "None", "255"),
            Rule(512, "all", "10.0.0.5", "254"),
            Rule(512, "all", "10.0.0.17", "254"),
            Rule(1536, "10.0.0.17", "None", "2"),
            Rule(32765, "10.0.0.6", "None", "2"),
        ),
        pod_routes=(("10.0.0.5", "eni00000000001"), ("10.0.0.17", "eni00000000002")),
        veths=("eni00000000001", "eni00000000002"),
        macs=("02:01", "02:02"),
        namespaces=2,
    ),
    Books((("c0ffee", A.address), ("decade", B.address)), total=17, assigned=2, enis=2),
)
SOUND = Evidence((PRIMARY, SECOND), (NODE,))
COMPACT = replace(
    NODE,
    compact=True,
    kernel=replace(
        NODE.kernel,
        rules=(
            Rule(0, "all", "None", "255"),
            Rule(512, "all", "None", "20512"),
            Rule(1536, "all", "None", "2", mark=1),
            Rule(32765, "10.0.0.6", "None", "2"),
        ),
        pod_routes=(),
        compact_routes=NODE.kernel.pod_routes,
        sources=(("10.0.0.17", "eni-2"),),
        marks=(("eni-2", 1),),
    ),
)


def told(evidence: Evidence) -> list[str]:
    return [f"{finding.where}: {finding.what}" for finding in judge(evidence)]


def with_kernel(**changes: Any) -> Evidence:
    return Evidence(SOUND.enis, (replace(NODE, kernel=replace(NODE.kernel, **changes)),))


def with_compact_kernel(**changes: Any) -> Evidence:
    return Evidence(SOUND.enis, (replace(COMPACT, kernel=replace(COMPACT.kernel, **changes)),))


def with_books(**changes: Any) -> Evidence:
    return Evidence(SOUND.enis, (replace(NODE, books=replace(NODE.books, **changes)),))


def test_what_agrees_gives_no_finding() -> None:
    assert judge(SOUND) == []
    assert judge(Evidence(SOUND.enis, (COMPACT,))) == []


@pytest.mark.parametrize(
    ("evidence", "says"),
    [
        (with_kernel(rules=NODE.kernel.rules[:-1]), "node1: rules from ENIs: missing: 10.0.0.6 2"),
        (
            with_kernel(rules=(*NODE.kernel.rules, Rule(1536, "10.0.0.9", "None", "3"))),
            "node1: rules from pods: too many: 10.0.0.9 3",
        ),
        (
            with_kernel(rules=(*NODE.kernel.rules, NODE.kernel.rules[1])),
            "node1: rules to pods: too many: 10.0.0.5 254",
        ),
        (
            with_kernel(pod_routes=NODE.kernel.pod_routes[:1]),
            "node1: routes to pods: missing: 10.0.0.17 eni00000000002",
        ),
        (with_kernel(veths=(*NODE.kernel.veths, "gone7")), "node1: host veths: too many: gone7"),
        (with_kernel(macs=("02:01",)), "node1: its links and EC2's ENIs by MAC: missing: 02:02"),
        (with_kernel(namespaces=3), "node1: 3 network namespaces for 2 pods"),
        (with_books(allocations=()), "node1: checkpoint entries: missing: c0ffee 10.0.0.5, decade 10.0.0.17"),
        (with_books(notes=2), "node1: 2 deletions wait for the agent"),
        (with_books(problem="half a line"), "node1: its checkpoint can't be read: half a line"),
        (with_books(total=18), "node1: its agent counts 18 addresses, EC2 and the runtime 17"),
        (with_books(enis=3), "node1: its agent counts 3 ENIs, EC2 and the runtime 2"),
        (with_books(assigned=1), "node1: its agent counts 1 assigned addresses, EC2 and the runtime 2"),
        (with_books(total=None), "node1: its agent does not answer"),
        (
            Evidence(
                (*SOUND.enis, replace(SECOND, id="eni-3", instance_id=None, status="available")), (NODE,)
            ),
            "EC2: eni-3 (aws-K8S-i-1) is on no instance: leaked",
        ),
        (
            Evidence(
                (*SOUND.enis, replace(PRIMARY, id="eni-3", instance_id=None, status="detaching")), (NODE,)
            ),
            "EC2: eni-3 is detaching",
        ),
    ],
)
def test_each_disagreement_is_one_finding(evidence: Evidence, says: str) -> None:
    assert told(evidence) == [says]


@pytest.mark.parametrize(
    ("evidence", "says"),
    [
        (
            with_compact_kernel(compact_routes=NODE.kernel.pod_routes[:1]),
            "node1: routes of table 20512: missing: 10.0.0.17 eni00000000002",
        ),
        (
            with_compact_kernel(pod_routes=NODE.kernel.pod_routes[:1]),
            "node1: routes to pods: too many: 10.0.0.5 eni00000000001",
        ),
        (
            with_compact_kernel(rules=COMPACT.kernel.rules[:1] + COMPACT.kernel.rules[2:]),
            "node1: rules to pods: missing: None 20512",
        ),
        (
            with_compact_kernel(rules=(*COMPACT.kernel.rules, Rule(1536, "10.0.0.17", "None", "2"))),
            "node1: rules from pods: too many: 10.0.0.17 2",
        ),
        (
            with_compact_kernel(sources=(*COMPACT.kernel.sources, ("10.0.0.5", "eni-2"))),
            "node1: ways from pods by their marks: too many: 10.0.0.5 2",
        ),
        (
            with_compact_kernel(sources=()),
            "node1: ways from pods by their marks: missing: 10.0.0.17 2",
        ),
    ],
)
def test_each_disagreement_of_the_compact_layout_is_one_finding(evidence: Evidence, says: str) -> None:
    assert told(evidence) == [says]


@pytest.mark.parametrize(
    "broken",
    [
        {"marks": ()},
        {"marks": (("eni-2", 2),)},
        {"rules": (*COMPACT.kernel.rules[:2], COMPACT.kernel.rules[3])},
    ],
)
def test_a_mark_that_leads_nowhere_is_found(broken: dict[str, Any]) -> None:
    assert "node1: ways from pods by their marks: too many: 10.0.0.17 nowhere" in told(
        with_compact_kernel(**broken)
    )


@pytest.mark.parametrize("node", [replace(NODE, compact=True), replace(COMPACT, compact=False)])
def test_a_node_in_the_other_layout_is_found(node: NodeEvidence) -> None:
    says = " ".join(told(Evidence(SOUND.enis, (node,))))
    assert "rules to pods" in says
    assert "routes of table 20512" in says
    assert "ways from pods by their marks" in says


def test_a_pod_whose_eni_was_taken_away_is_found() -> None:
    assert "node1: pod default/b has 10.0.0.17, which EC2 has on no ENI of the node" in told(
        Evidence((PRIMARY,), (NODE,))
    )


def test_two_pods_with_one_address_and_two_enis_with_one_are_found() -> None:
    twin = replace(NODE, name="node2", instance_id="i-2")
    assert "pods: 2 pods have 10.0.0.5" in told(Evidence(SOUND.enis, (NODE, twin)))
    third = replace(SECOND, id="eni-3", device_index=2, primary=IPv4Address("10.0.0.5"))
    assert "EC2: 10.0.0.5 is on 2 ENIs" in told(Evidence((*SOUND.enis, third), (NODE,)))


def test_nothing_is_asked_of_an_agent_that_was_ended() -> None:
    down = replace(NODE, agent_down=True, books=replace(NODE.books, total=None, enis=None, assigned=None))
    assert judge(Evidence(SOUND.enis, (down,))) == []
