"""The rings of decisions: bounded, and a storm of refusals does not hide what was done."""

import asyncio
from pathlib import Path

import pytest

from tests.ipam.builders import eni, ip, pod
from vpccni.agent.decisions import KEPT_ACTIONS, KEPT_REFUSALS, Decisions, Kind
from vpccni.agent.decisions_file import load_decisions, save_decisions
from vpccni.agent.telling import action_words, outcome_words, targets_words
from vpccni.ipam.actions import (
    AssignAddresses,
    AttachEni,
    Detached,
    DetachEni,
    Failed,
    FindSubnets,
    FoundSubnets,
    ReleaseAddresses,
)
from vpccni.ipam.decide import Ipam
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import BlockKind, SubnetId, SubnetOffer

SIP, PREFIX = BlockKind.SECONDARY_IP, BlockKind.PREFIX
FULL = Refusal(Reason.SUBNET_FULL, "subnet-1")


def ipam(targets: WarmTargets, kind: BlockKind = SIP) -> Ipam:
    return Ipam(NodeLimits(max_enis=3, slots_per_eni=5, max_pods=50), targets, kind=kind)


def test_a_storm_of_refusals_pushes_no_action_out() -> None:
    decisions = Decisions()
    state = ipam(WarmTargets()).state
    decisions.began(state, AssignAddresses(eni(0).id, 5, SIP), 1.0, 2)
    for n in range(10_000):
        decisions.refused(pod(str(n)), FULL, 2.0 + n)
    notes = decisions.notes()
    assert len(notes) == 1 + KEPT_REFUSALS
    assert notes[0].what == "ask EC2 for 5 addresses more on eni-0"
    assert notes[0].why == "0 of 0 addresses are free, 0 cool, 2 pods wait; WARM_ENI_TARGET=1 for 5 free"
    for n in range(1_000):
        decisions.began(state, AssignAddresses(eni(0).id, n, SIP), 1.0, 0)
    assert len(decisions.notes()) == KEPT_ACTIONS + KEPT_REFUSALS


def test_the_same_in_a_row_is_counted() -> None:
    decisions = Decisions()
    for at in (1.0, 2.0, 3.0):
        decisions.refused(pod("web"), FULL, at)
    (note,) = decisions.notes()
    assert (note.kind, note.at, note.times, note.last_at) == (Kind.REFUSED, 1.0, 3, 3.0)


def test_what_fails_is_remembered_until_it_works() -> None:
    decisions = Decisions()
    decisions.ended(Failed(FindSubnets(), FULL), 1.0)
    decisions.ended(Failed(DetachEni(eni(1).id), FULL), 1.0)  # takes addresses away: nobody misses it
    assert decisions.failing() == (FULL,)
    assert decisions.failing(card=1) == ()
    decisions.ended(FoundSubnets(FindSubnets(), ()), 2.0)
    assert decisions.failing() == ()


def test_every_action_and_outcome_has_words() -> None:
    offer = SubnetOffer(SubnetId("subnet-1"), eni(0).subnet_cidr)
    blocks = tuple(ip(f"10.0.1.{n}") for n in range(6))
    assert action_words(AttachEni(2, 1, PREFIX, network_card=1, subnet=SubnetId("subnet-1"))) == (
        "attach an ENI with 1 prefix at device index 2 of network card 1 in subnet-1"
    )
    assert action_words(ReleaseAddresses(eni(0).id, blocks)) == (
        "give 10.0.1.0/32, 10.0.1.1/32, 10.0.1.2/32, 10.0.1.3/32 and 2 more of eni-0 back to EC2"
    )
    assert outcome_words(Detached(DetachEni(eni(0).id))) == "done"
    excluded = frozenset({SubnetId("subnet-9")})
    assert outcome_words(FoundSubnets(FindSubnets(), (offer,), excluded)) == (
        "usable: subnet-1; without pods: subnet-9"
    )
    assert outcome_words(FoundSubnets(FindSubnets(), ())) == "usable: none"


def test_the_targets_in_force() -> None:
    assert targets_words(ipam(WarmTargets(0)).state) == "WARM_ENI_TARGET=0 for 1 free"
    assert targets_words(ipam(WarmTargets(warm_prefix=2), PREFIX).state) == "WARM_PREFIX_TARGET=2 for 32 free"
    assert targets_words(ipam(WarmTargets(minimum_ip=7)).state) == "MINIMUM_IP_TARGET=7 for 7 in all"


def test_what_was_decided_is_known_after_a_restart(tmp_path: Path) -> None:
    before = Decisions()
    for n in range(3):
        before.refused(pod(f"p{n}"), Refusal(Reason.SUBNET_FULL, "subnet-1"), float(n))
    before.refused(pod("p2"), Refusal(Reason.SUBNET_FULL, "subnet-1"), 9.0)
    assert before.unsaved
    asyncio.run(save_decisions(tmp_path, before))
    assert not before.unsaved
    after = Decisions()
    load_decisions(tmp_path, after)
    assert after.notes() == before.notes()
    assert not after.unsaved
    written = (tmp_path / "decisions.json").stat().st_mtime_ns
    asyncio.run(save_decisions(tmp_path, after))
    assert (tmp_path / "decisions.json").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '[{"at": 1.0, "kind": "odd", "what": "", "why": ""}]', '[{"x": 1}]']
)
def test_a_file_that_cannot_be_read_is_forgotten(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "decisions.json").write_text(text)
    found = Decisions()
    load_decisions(tmp_path, found)
    assert found.notes() == ()
    assert text == "{}" or "is forgotten" in caplog.text


def test_a_disk_that_takes_nothing_is_told_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = Decisions()
    found.refused(pod("p"), Refusal(Reason.SUBNET_FULL, "subnet-1"), 1.0)
    (tmp_path / "file").touch()
    asyncio.run(save_decisions(tmp_path / "file", found))
    assert "cannot be written down" in caplog.text
    assert found.unsaved


def test_refusals_that_differ_in_seconds_only_are_one_with_the_last_words() -> None:
    decisions = Decisions()
    for seconds in (9, 8, 7):
        cooling = Refusal(Reason.ALL_COOLING, f"the next is free in {seconds} s")
        decisions.refused(pod("web"), cooling, 10.0 - seconds)
    decisions.refused(pod("web"), FULL, 4.0)
    decisions.refused(pod("other"), FULL, 5.0)
    assert [(note.why, note.times) for note in decisions.notes()] == [
        ("AllCooling: the next is free in 7 s", 3),
        (str(FULL), 1),
        (str(FULL), 1),
    ]
