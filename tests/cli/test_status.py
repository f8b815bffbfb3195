"""`vpc-cni status` draws what the agent tells, and reads what it has printed before."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from vpccni.cli.main import main
from vpccni.cli.status.render import cell, render


def slot(**changes: object) -> dict[str, Any]:
    plain = {
        "block": "10.0.0.5",
        "kind": "secondary-ip",
        "assigned": 0,
        "cooling": 0,
        "free": 1,
        "leaving": False,
    }
    return {**plain, **changes}


def eni(**changes: object) -> dict[str, Any]:
    plain = {
        "id": "eni-1", "mac": "02:01", "role": "plain", "primary": True, "device_index": 0, "network_card": 0,
        "subnet": "subnet-1", "subnet_cidr": "10.0.0.0/24", "address": "10.0.0.4", "route_table": 254,
        "since": "2026-01-02T11:00:00.000Z", "gives_addresses": True, "slots_used": 4, "slots": 5, "total": 4,
        "assigned": 1, "cooling": 1, "free": 1, "under_way": None, "called_full": None,
        "content": [slot(assigned=1, free=0), slot(cooling=1, free=0), slot(), slot(leaving=True)],
    }  # fmt: skip
    return {**plain, **changes}


def status(**pool: object) -> dict[str, Any]:
    numbers = {
        "total": 4, "assigned": 1, "cooling": 1, "free": 1, "leaving": 1, "coming": 0, "enis": 1, "most_enis": 3,
        "slots_per_eni": 5, "max_pods": 17, "shortest_reuse": None,
    }  # fmt: skip
    targets = {
        "mode": "secondary-ip", "warm_eni": 1, "warm_ip": 0, "minimum_ip": 0, "warm_prefix": 0,
        "in_force": "WARM_ENI_TARGET=1", "short": 0, "surplus": 0,
    }  # fmt: skip
    plain = {
        "network_card": 0, "numbers": numbers, "targets": targets, "under_way": [], "next": None, "blocker": None,
        "enis": [eni()],
    }  # fmt: skip
    return {
        "version": "v0.1.0",
        "node": "i-1",
        "at": "2026-01-02T12:00:00.000Z",
        "readiness": {"condition": "ready", "ready": True, "phase": "serving", "because": []},
        "pools": [{**plain, **pool}],
        "budget": [{"action": "AttachNetworkInterface", "tokens": 1.0, "size": 50, "refill": 5, "pace": 1.0}],
        "facts": [{"name": "instance metadata", "age": 12.0}, {"name": "EC2's ENIs", "age": 600.0}],
    }


BLOCKER = {"reason": "SubnetFull", "detail": "subnet-1 has none", "advice": "add a subnet"}


def test_all_at_a_glance() -> None:
    assert render(status()).splitlines() == [
        "i-1  vpc-cni v0.1.0  12:00:00Z  ready",
        "",
        "pool of card 0: 4 addresses, 1 assigned, 1 free, 1 cooling; 1 of 3 ENIs, 5 places each; max pods 17",
        "  targets  WARM_ENI_TARGET=1 (secondary-ip): met",
        "  eth0  eni-1 (primary)                    #~o<.",
        "",
        "  # assigned  o warm  ~ cooling  < going back  . empty place",
        "",
        "EC2 calls that may be made now, of how many at once, and again by the second",
        "  AttachNetworkInterface                 1.0 of 50     +5",
        "",
        "heard  instance metadata 12 s ago, EC2's ENIs 10 min ago",
    ]


def test_what_is_wanted_asked_and_in_the_way() -> None:
    targets = {**status()["pools"][0]["targets"], "short": 3, "surplus": 1}
    coming = {"what": "EC2 may be asked again after a refusal", "at": "2026-01-02T12:02:00.000Z"}
    text = render(status(targets=targets, under_way=["3 addresses for eni-1"], next=coming, blocker=BLOCKER))
    assert "3 short, 1 too many" in text
    assert "  asked    3 addresses for eni-1" in text
    assert "  next     EC2 may be asked again after a refusal, at 12:02:00Z" in text
    assert "  BLOCKED  SubnetFull: subnet-1 has none\n           add a subnet" in text


def test_an_agent_that_is_not_ready_says_why() -> None:
    starting = {"condition": "starting", "ready": False, "phase": "asking EC2", "because": [BLOCKER]}
    assert render({**status(), "readiness": starting, "node": ""}).splitlines()[:3] == [
        "this node  vpc-cni v0.1.0  12:00:00Z  not ready (starting, asking EC2)",
        "  because of SubnetFull: subnet-1 has none",
        "           add a subnet",
    ]


def test_wide_has_each_block() -> None:
    trunk = eni(id="eni-2", role="trunk", primary=False, gives_addresses=False, content=[], slots=0, slots_used=0,
                under_way="being detached", called_full=BLOCKER)  # fmt: skip
    text = render(status(enis=[eni(), trunk]), wide=True)
    assert "10.0.0.4 in subnet-1 (10.0.0.0/24), 02:01, table 254, since 11:00:00Z" in text
    assert "10.0.0.5             1 assigned, 0 cooling, 0 free" in text
    assert "eni-2 (trunk, gives pods none)" in text
    assert "being detached" in text
    assert "EC2 calls it full: subnet-1 has none" in text


@pytest.mark.parametrize(
    ("changes", "drawn"),
    [
        ({"assigned": 3}, "[3]"),
        ({"assigned": 3, "cooling": 1}, "[3~]"),
        ({"assigned": 0, "leaving": True}, "[<]"),
    ],
)
def test_a_prefix_is_a_cell_with_a_number(changes: dict[str, object], drawn: str) -> None:
    prefix = slot(kind="prefix", block="10.0.0.16/28", **changes)
    assert cell(prefix) == drawn
    assert "[n] a prefix" in render(status(enis=[eni(content=[prefix])]))


def test_what_was_printed_is_read_again_and_its_exit_status_is_the_same(tmp_path: Path) -> None:
    for found, code in ((status(), 0), (status(blocker=BLOCKER), 1)):
        file = tmp_path / "status.json"
        file.write_text(json.dumps(found))
        done = CliRunner().invoke(main, ["status", "--from", str(file), "-o", "json"])
        assert (done.exit_code, json.loads(done.output)) == (code, found)


@pytest.mark.parametrize("text", ["no json", "[]", "{}"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x"
    file.write_text(text)
    done = CliRunner().invoke(main, ["status", "--from", str(file)])
    assert done.exit_code == 2
    assert "is not what `vpc-cni status -o json` prints" in done.output


def test_where_no_agent_is_it_says_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTROSPECTION_BIND_ADDRESS", "127.0.0.1:1")
    done = CliRunner().invoke(main, ["status", "--run-dir", str(tmp_path)])
    assert done.exit_code == 2
    assert "aws-node pod" in done.output
