import json
from ipaddress import IPv4Address

import pytest

from vpccni.agent.cni_call import (
    CniError,
    Connected,
    PreviousResult,
    error_json,
    parse_call,
    result_json,
)
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import Pod

ENV = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "abc123",
    "CNI_NETNS": "/var/run/netns/cni-1",
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/opt/cni/bin",
    "CNI_ARGS": "K8S_POD_UID=u;IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=abc123",
}
CONF = {"cniVersion": "0.4.0", "name": "aws-cni", "type": "aws-cni", "vethPrefix": "eni", "mtu": "9001"}


def test_an_add_as_kubelet_makes_it() -> None:
    parsed = parse_call(ENV, json.dumps(CONF).encode())
    assert parsed.pod == Pod("default", "web")
    assert str(parsed.key) == "aws-cni/abc123/eth0"
    assert (parsed.mtu, parsed.veth_prefix) == (9001, "eni")


def test_a_runtime_without_pod_names_gets_a_veth_of_its_own_per_container() -> None:
    parsed = parse_call({**ENV, "CNI_ARGS": ""}, json.dumps(CONF).encode())
    assert parsed.pod == Pod("", "abc123")


@pytest.mark.parametrize(
    ("text", "mtu"), [("abc", 9001), ("500", 9001), ("10000", 9001), ("8000", 8000), (None, 9001)]
)
def test_a_bad_mtu_is_9001(text: str | None, mtu: int) -> None:
    assert parse_call(ENV, json.dumps({**CONF, "mtu": text}).encode()).mtu == mtu


@pytest.mark.parametrize(
    ("env", "stdin", "code"),
    [
        ({}, b"no json", 6),
        ({}, b"[]", 6),
        ({}, json.dumps({**CONF, "cniVersion": "0.2.0"}).encode(), 1),
        ({}, json.dumps({**CONF, "cniVersion": "9.9.9"}).encode(), 1),
        ({}, json.dumps({**CONF, "name": ""}).encode(), 7),
        ({}, json.dumps({**CONF, "name": "../x"}).encode(), 7),
        ({}, json.dumps({**CONF, "vethPrefix": "toolong"}).encode(), 7),
        ({"CNI_CONTAINERID": "a/b"}, json.dumps(CONF).encode(), 4),
        ({"CNI_IFNAME": "eth0:1"}, json.dumps(CONF).encode(), 4),
        ({"CNI_IFNAME": "a-name-that-is-too-long"}, json.dumps(CONF).encode(), 4),
        ({"CNI_COMMAND": "CHECK"}, json.dumps({**CONF, "cniVersion": "0.3.1"}).encode(), 1),
        ({"CNI_COMMAND": "STATUS"}, json.dumps(CONF).encode(), 1),
        ({"CNI_COMMAND": "GC"}, json.dumps({**CONF, "cniVersion": "1.1.0"}).encode(), 7),
    ],
)
def test_what_is_wrong_is_refused_with_the_specifications_code(
    env: dict[str, str], stdin: bytes, code: int
) -> None:
    with pytest.raises(CniError) as caught:
        parse_call({**ENV, **env}, stdin)
    assert caught.value.code == code
    assert caught.value.message


def test_gc_names_what_is_attached() -> None:
    conf = {
        **CONF,
        "cniVersion": "1.1.0",
        "cni.dev/valid-attachments": [{"containerID": "a", "ifname": "eth0"}],
    }
    parsed = parse_call({"CNI_COMMAND": "GC", "CNI_PATH": "/x"}, json.dumps(conf).encode())
    assert parsed.valid == frozenset({("a", "eth0")})


def test_a_result_reads_back_as_the_previous_result_even_behind_chained_plugins() -> None:
    parsed = parse_call(ENV, json.dumps(CONF).encode())
    result = json.loads(
        result_json(parsed, [Connected("enicc21c2d7785", "eth0", IPv4Address("10.0.0.5"), 2, 1)])
    )
    assert result == {
        "cniVersion": "0.4.0",
        "interfaces": [
            {"name": "enicc21c2d7785"},
            {"name": "eth0", "mac": "2", "sandbox": "/var/run/netns/cni-1"},
            {"name": "dummycc21c2d7785", "mac": "0", "sandbox": "1"},
        ],
        "ips": [{"version": "4", "interface": 1, "address": "10.0.0.5/32"}],
        "dns": {},
    }
    result["interfaces"].append({"name": "v6if0", "sandbox": "/x"})
    again = parse_call({**ENV, "CNI_COMMAND": "DEL"}, json.dumps({**CONF, "prevResult": result}).encode())
    assert again.previous == (PreviousResult("enicc21c2d7785", IPv4Address("10.0.0.5"), 2),)


def test_version_1_results_have_no_version_member() -> None:
    parsed = parse_call(ENV, json.dumps({**CONF, "cniVersion": "1.0.0"}).encode())
    result = json.loads(result_json(parsed, [Connected("eni0", "eth0", IPv4Address("10.0.0.5"), 254, 0)]))
    assert result["ips"] == [{"interface": 1, "address": "10.0.0.5/32"}]


@pytest.mark.parametrize(
    "previous", [{}, [], "x", {"interfaces": 3}, {"interfaces": [{"name": "eth0"}], "ips": None}]
)
def test_a_previous_result_that_is_not_ours_teaches_nothing(previous: object) -> None:
    assert parse_call(ENV, json.dumps({**CONF, "prevResult": previous}).encode()).previous == ()


def test_a_pod_with_several_interfaces_has_them_all_in_its_result() -> None:
    annotations = {"k8s.amazonaws.com/nicConfig": "multi-nic-attachment"}
    conf = {**CONF, "runtimeConfig": {"io.kubernetes.cri.pod-annotations": annotations}}
    parsed = parse_call(ENV, json.dumps(conf).encode())
    assert parsed.every_card
    first = Connected("eniaaaaaaaaaaa", "eth0", IPv4Address("10.0.0.5"), 254, 0)
    second = Connected("enibbbbbbbbbbb", "mNicIf1", IPv4Address("10.0.1.7"), 10101, 1)
    result = json.loads(result_json(parsed, [first, second]))
    assert [i["name"] for i in result["interfaces"]] == [
        "eniaaaaaaaaaaa", "eth0", "enibbbbbbbbbbb", "mNicIf1", "dummyaaaaaaaaaaa",
    ]  # fmt: skip
    assert [(ip["interface"], ip["address"]) for ip in result["ips"]] == [
        (1, "10.0.0.5/32"),
        (3, "10.0.1.7/32"),
    ]
    again = parse_call({**ENV, "CNI_COMMAND": "DEL"}, json.dumps({**CONF, "prevResult": result}).encode())
    assert [p.route_table for p in again.previous] == [254, 10101]


@pytest.mark.parametrize(
    "runtime", [None, 3, {"io.kubernetes.cri.pod-annotations": {"k8s.amazonaws.com/nicConfig": "other"}}]
)
def test_any_other_annotation_means_one_interface(runtime: object) -> None:
    assert not parse_call(ENV, json.dumps({**CONF, "runtimeConfig": runtime}).encode()).every_card


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_tells_what_to_do_in_the_cni_error(reason: Reason) -> None:
    error = json.loads(
        error_json(CniError.refused(Refusal(reason, "subnet-1"), Pod("default", "web")), "0.4.0")
    )
    assert error["code"] in {11, 999}
    assert error["msg"].startswith(f"failed to assign an IP address to container: {reason.value}: subnet-1")
    assert "default/web" in error["msg"]
    assert error["details"] == f"{reason.value}: {reason.advice}"
