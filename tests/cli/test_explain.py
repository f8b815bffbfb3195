"""What `vpc-cni explain` makes of the agent's notes and of EC2's answers."""

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.test_status import BLOCKER, status

from vpccni.cli.explain.remembered import remembered
from vpccni.cli.explain.story import of_node, of_pod, to_text
from vpccni.cli.explain.subnet import Subnet, advice, measure, read, to_plain
from vpccni.cli.explain.subnet import to_text as drawn
from vpccni.cli.main import main
from vpccni.ipam.reasons import Reason


def note(minute: int, kind: str, what: str, why: str, times: int = 1) -> dict[str, Any]:
    at = f"2026-01-02T12:{minute:02}:00.000Z"
    return {
        "at": at,
        "kind": kind,
        "what": what,
        "why": why,
        "times": times,
        "last_at": at if times > 1 else None,
    }


ASKED = note(1, "begun", "3 addresses for eni-1", "WARM_IP_TARGET=3: 3 short")
FAILED = note(2, "failed", "3 addresses for eni-1", "SubnetFull: subnet-1 has none")
REFUSED = note(3, "refused", "an address for pod default/web", "SubnetFull: subnet-1 has none", times=4)
OTHER = note(4, "refused", "an address for pod default/other", "SubnetFull: subnet-1 has none")
NOTES = [ASKED, FAILED, REFUSED, OTHER]
HELD = {
    "namespace": "default",
    "name": "web",
    "address": "10.0.0.5",
    "eni": "eni-1",
    "assigned_at": "2026-01-02T12:05:00.000Z",
}


def test_a_pod_that_was_refused() -> None:
    story = of_pod("default/web", status(), NOTES, [])
    assert story.bad
    assert story.decisions == (ASKED, FAILED, REFUSED)
    assert to_text(story).splitlines() == [
        "default/web",
        "  it has no address; it was refused one 4 times",
        "",
        "what was decided",
        "  12:01:00Z  begun   3 addresses for eni-1",
        "                     WARM_IP_TARGET=3: 3 short",
        "  12:02:00Z  failed  3 addresses for eni-1",
        "                     SubnetFull: subnet-1 has none",
        "  12:03:00Z  refused an address for pod default/web (4 times, last at 12:03:00Z)",
        "                     SubnetFull: subnet-1 has none",
        "",
        "what to do",
        f"  SubnetFull: {Reason.SUBNET_FULL.advice}",
    ]


def test_what_is_in_the_pools_way_now_counts_too() -> None:
    refilling = {**REFUSED, "why": "PoolRefilling: EC2 was asked"}
    story = of_pod("default/web", status(blocker=BLOCKER), [refilling], [])
    assert [reason for reason, _ in story.advice] == ["PoolRefilling", "SubnetFull"]
    assert "in the pool's way now: SubnetFull: subnet-1 has none" in story.now


def test_a_pod_that_has_an_address_by_now_and_one_that_nobody_knows() -> None:
    story = of_pod("default/web", status(), NOTES, [HELD])
    assert (story.bad, story.advice) == (False, ())
    assert story.now == ("it has 10.0.0.5 of eni-1, since 12:05:00Z",)
    assert "no ADD of this pod has come" in of_pod("default/nobody", status(), NOTES, [HELD]).now[0]


def test_a_node() -> None:
    assert not of_node(status(), NOTES).bad
    story = of_node(status(blocker=BLOCKER), NOTES)
    assert (story.bad, story.advice) == (True, (("SubnetFull", "add a subnet"),))
    assert len(story.as_json()["decisions"]) == 4
    assert (
        "the pool of card 0 has 4 addresses, 1 assigned and 1 free, on 1 of 3 ENIs; WARM_ENI_TARGET=1"
        in story.now
    )


# --- subnets


def subnet(*addresses: str, prefixes: tuple[str, ...] = (), cidr: str = "10.0.0.0/26", **more: Any) -> Subnet:
    return Subnet(
        "subnet-1",
        IPv4Network(cidr),
        0,
        frozenset(map(IPv4Address, addresses)),
        frozenset(map(IPv4Network, prefixes)),
        **more,
    )


def test_a_fresh_subnet_has_what_aws_leaves() -> None:
    found = measure(subnet())
    assert (found.free, found.free_blocks, found.cells) == (59, 2, "4..1")
    assert (found.scattered, found.largest) == (27, IPv4Network("10.0.0.16/28"))


def test_addresses_and_prefixes_are_drawn() -> None:
    full = [f"10.0.0.{n}" for n in range(16, 32)]
    found = measure(subnet("10.0.0.5", *full, prefixes=("10.0.0.32/28",)))
    assert (found.cells, found.free_blocks, found.largest) == ("5#P1", 0, None)
    assert found.free == 11 + 15


def test_reservations_are_drawn_and_no_second_one_is_advised() -> None:
    reserved = ((IPv4Network("10.0.0.32/28"), "prefix"), (IPv4Network("10.0.0.16/28"), "explicit"))
    one = subnet(reserved=reserved)
    assert measure(one).cells == "4rR1"
    assert advice(one, measure(one)) == []


def test_what_to_do() -> None:
    fresh = subnet()
    assert advice(fresh, measure(fresh)) == [
        "keep 10.0.0.16/28 for prefixes: aws ec2 create-subnet-cidr-reservation --subnet-id subnet-1 "
        "--reservation-type prefix --cidr 10.0.0.16/28"
    ]
    begun = subnet("10.0.0.16", "10.0.0.32")
    assert "no prefix fits, though 57 addresses are free" in advice(begun, measure(begun))[0]
    full = subnet(*(f"10.0.0.{n}" for n in range(4, 63)))
    assert "it is full" in advice(full, measure(full))[0]


@given(st.sets(st.integers(4, 1022)), st.integers(20, 28))
def test_the_counts_agree(used: set[int], length: int) -> None:
    cidr = IPv4Network(f"10.0.0.0/{length}")
    held = [str(cidr[n]) for n in used if n < cidr.num_addresses - 1]
    found = measure(subnet(*held, cidr=str(cidr)))
    assert found.free == cidr.num_addresses - 5 - len(held)
    assert found.free == found.scattered + 16 * found.free_blocks
    assert len(found.cells) == cidr.num_addresses // 16
    assert (found.largest is None) == (found.free_blocks == 0)
    if found.largest is not None:
        assert not any(IPv4Address(address) in found.largest for address in held)


def test_ec2s_answers_are_read() -> None:
    described = {"SubnetId": "subnet-1", "CidrBlock": "10.0.0.0/26", "AvailableIpAddressCount": 41}
    enis = [
        {"PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.5"}, {"PrivateIpAddress": "10.0.0.6"}]},
        {"Ipv4Prefixes": [{"Ipv4Prefix": "10.0.0.32/28"}]},
    ]
    found = read(described, enis, [{"Cidr": "10.0.0.32/28", "ReservationType": "prefix"}])
    plain = to_plain(found)
    assert (plain["free"], plain["available"], plain["blocks"]) == (41, 41, "6.P1")
    assert "  10.0.0.0         6.P1" in drawn(to_plain(found))


@pytest.mark.parametrize("length", [16, 28])
def test_the_largest_and_the_smallest_subnet_can_be_drawn(length: int) -> None:
    assert "subnet-1" in drawn(to_plain(subnet(cidr=f"10.0.0.0/{length}")))


# --- an agent that has not started, or is not there


def test_an_agent_that_starts_is_the_reason_whoever_is_asked_about() -> None:
    because = [{"reason": "AgentStarting", "detail": "asking EC2", "advice": Reason.AGENT_STARTING.advice}]
    starting = {
        **status(),
        "pools": [],
        "readiness": {"condition": "starting", "ready": False, "phase": "asking EC2", "because": because},
    }
    told = (("AgentStarting", Reason.AGENT_STARTING.advice),)
    assert (of_node(starting, []).advice, of_node(starting, []).bad) == (told, True)
    story = of_pod("default/web", starting, [], [])
    assert (story.advice, story.bad) == (told, True)
    assert "the agent is starting: asking EC2" in story.now
    assert of_pod("default/web", starting, [], [HELD]).bad is False


def test_a_silent_agent_is_the_reason_and_what_it_wrote_is_told(tmp_path: Path) -> None:
    written = [
        {"at": 1767355380.0, "kind": "refused", "what": "an address for pod default/web",
         "why": "SubnetFull: subnet-1", "times": 2, "last_at": 1767355381.5},
    ]  # fmt: skip
    (tmp_path / "decisions.json").write_text(json.dumps(written))
    done = CliRunner().invoke(
        main,
        ["explain", "web", "--run-dir", str(tmp_path)],
        env={"INTROSPECTION_BIND_ADDRESS": f"unix:{tmp_path}/nobody"},
    )
    assert done.exit_code == 1
    assert f"AgentUnreachable: {Reason.AGENT_UNREACHABLE.advice}" in done.output
    assert "12:03:00Z  refused an address for pod default/web (2 times, last at 12:03:01Z)" in done.output


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"at": "x", "last_at": null}]', '[{"kind": "done"}]'])
def test_decisions_that_cannot_be_read_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "decisions.json").write_text(text)
    assert remembered(tmp_path) == []
