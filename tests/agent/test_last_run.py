"""What the last run left is read, put aside where it cannot be, and written on by this one."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.ipam.builders import eni, ip, key, pod
from vpccni.agent.last_run import LastRun, rewrite, tell_of_found
from vpccni.agent.store import Store
from vpccni.ipam.checkpoint import Checkpoint
from vpccni.ipam.decide import Ipam
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import Assignment, AttachedEni, EniId

NOW = 1000.0
FIRST, SECOND = eni(0), replace(eni(1), network_card=1)
ATTACHED = (AttachedEni(FIRST, (ip("10.0.0.1"), ip("10.0.0.2"))), AttachedEni(SECOND, (ip("10.0.1.1"),)))


def was(name: str, address: str) -> Assignment:
    return Assignment(key(name), pod(name), IPv4Address(address), EniId(""), 5.0)


def pools() -> dict[int, Ipam]:
    return {card: Ipam(NodeLimits(3, 5, 100), WarmTargets()) for card in (0, 1)}


def test_each_cards_pool_is_brought_to_its_own_file_and_goes_on_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "ipam.json"
    Store(path).rewrite(Checkpoint((was("a", "10.0.0.1"), was("dead", "10.0.0.2"), was("odd", "10.0.9.9"))))
    Store(tmp_path / "ipam-nic-1.json").rewrite(Checkpoint((was("b", "10.0.1.1"),)))
    last, restored = LastRun(path), pools()
    unheld, unwired = last.restore(restored, ATTACHED, last.read(), lambda a: a.pod != pod("dead"), NOW)
    assert [a.pod for a in unheld] == [pod("odd")]
    assert unwired == []
    assert {a.pod for a in restored[0].pool.assignments()} == {pod("a"), pod("odd")}
    assert {a.pod for a in restored[1].pool.assignments()} == {pod("b")}
    assert "pod default/dead is gone, 10.0.0.2 cools" in caplog.text
    assert "pod default/odd keeps 10.0.9.9" in caplog.text

    restored[1].release(key("b"), NOW)
    for store in last.stores.values():
        rewrite(store)
    assert {a.pod for a in Store(path).load().allocations} == {pod("a"), pod("odd")}
    on_second = Store(tmp_path / "ipam-nic-1.json").load()
    assert (on_second.allocations, [c.address for c in on_second.cooling]) == ((), [IPv4Address("10.0.1.1")])


def test_a_pod_that_may_still_be_connected_is_told_of_apart(tmp_path: Path) -> None:
    young = replace(was("young", "10.0.0.1"), assigned_at=NOW - 1)
    last = LastRun(tmp_path / "ipam.json")
    unheld, unwired = last.restore(pools(), ATTACHED, Checkpoint((young,)), lambda _: False, NOW)
    assert (unheld, [a.pod for a in unwired]) == ([], [pod("young")])


def test_a_file_that_cannot_be_read_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ipam.json"
    path.write_text('{"version": ')
    assert LastRun(path).read() == Checkpoint()
    assert not path.exists()
    assert (tmp_path / "ipam.unreadable").read_text() == '{"version": '
    assert f"It is moved to {tmp_path / 'ipam.unreadable'}" in caplog.text
    assert LastRun(path).read() == Checkpoint(), "and nothing is said of a file that is not there"


def test_a_newer_agents_file_is_no_reason_to_begin_anew(tmp_path: Path) -> None:
    path = tmp_path / "ipam.json"
    Store(path).rewrite(Checkpoint())
    written = json.loads(path.read_text())
    written["version"] = written["version"].rstrip("0123456789") + "99"
    path.write_text(json.dumps(written))
    with pytest.raises(SystemExit):
        LastRun(path).read()
    assert path.exists()


def test_a_pod_that_only_the_host_shows_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    tell_of_found([was("eni0123456789a", "10.0.0.2")])
    assert "eni0123456789a has 10.0.0.2, and no checkpoint tells whose that is" in caplog.text
