"""`vpc-cni pods`: the agent's word beside the kernel's."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from vpccni.cli.kernel.values import Device, Hop, Network, PolicyRule, TableRoute
from vpccni.cli.pods.table import OnHost, on_host, rows, to_text
from vpccni.ipam.values import Address

WEB, DB = IPv4Address("10.0.0.5"), IPv4Address("10.0.1.7")
VETHS: dict[Address, str] = {WEB: "eni01234567890", DB: "enia0123456789"}
PODS: list[dict[str, Any]] = [
    {"namespace": "default", "name": "db", "address": str(DB), "eni": "eni-2"},
    {"namespace": "default", "name": "web", "address": str(WEB), "eni": "eni-1"},
]
TABLES = {"eni-1": 254, "eni-2": 2}
SOUND = OnHost(VETHS, {DB: 2})


def test_what_agrees_has_no_drift_and_is_sorted_by_address() -> None:
    found = rows(PODS, TABLES, SOUND)
    assert [row.pod for row in found] == ["default/web", "default/db"]
    assert [line for line, _ in to_text(found)] == [
        "POD          ADDRESS   ENI    VETH            TABLE",
        "default/web  10.0.0.5  eni-1  eni01234567890  main",
        "default/db   10.0.1.7  eni-2  enia0123456789  2",
    ]
    assert not any(drifted for _, drifted in to_text(found))
    assert found[1].as_json() == {
        "pod": "default/db", "address": "10.0.1.7", "eni": "eni-2", "veth": "enia0123456789", "table": 2, "drift": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tables", "host", "says"),
    [
        (TABLES, OnHost({WEB: VETHS[WEB]}, {DB: 2}), "no route leads to it by a pod's veth"),
        (TABLES, OnHost(VETHS, {}), "leaves by table main, its ENI's is 2"),
        (TABLES, OnHost(VETHS, {DB: 3}), "leaves by table 3, its ENI's is 2"),
        ({"eni-1": 254}, SOUND, "its ENI eni-2 is not in the pool"),
    ],
)
def test_a_drift_stands_at_the_end_of_the_line(tables: dict[str, int], host: OnHost, says: str) -> None:
    lines = to_text(rows(PODS, tables, host))
    assert lines[2][0].endswith(says)
    assert [drifted for _, drifted in lines] == [False, False, True]


def test_without_pods_there_are_the_heads() -> None:
    assert to_text([]) == [("POD  ADDRESS  ENI  VETH  TABLE", False)]


@pytest.mark.parametrize("table", [254, 20512])
def test_the_kernels_tables_are_read_in_either_layout(table: int) -> None:
    compact = table != 254
    devices = (
        Device(1, "lo", mtu=1),
        *(Device(n, veth, mtu=9001, kind="veth") for n, veth in enumerate(VETHS.values(), 2)),
    )
    routes = tuple(
        TableRoute(IPv4Network(address), table, hops=(Hop(n),), scope=253)
        for n, address in enumerate(VETHS, 2)
    )
    older = PolicyRule(1536, table=3, source=IPv4Network(DB))
    rule = PolicyRule(1536, table=2, source=IPv4Network(DB))
    network = Network(devices=devices, routes=routes, rules=() if compact else (rule, older))
    assert on_host(network, {DB: 2} if compact else {}) == SOUND
