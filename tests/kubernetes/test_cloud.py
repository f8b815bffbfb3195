from ipaddress import IPv4Address
from typing import Any

from vpclab.kubernetes.cloud import UNINITIALIZED, Describe, Remove, decide
from vpclab.kubernetes.kubelet import NodeFacts

NAME = "ip-192-168-1-4.ap-northeast-2.compute.internal"
FACTS = NodeFacts(
    name=NAME,
    instance_id="i-1",
    instance_type="t3.medium",
    region="ap-northeast-2",
    zone="ap-northeast-2a",
    internal=IPv4Address("192.168.1.4"),
    external=IPv4Address("203.0.113.11"),
    node_group="ng1",
)
TAINT = {"key": UNINITIALIZED, "effect": "NoSchedule"}
OTHER = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def node(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": NAME, "labels": dict(FACTS.cloud_labels)},
        "spec": {"providerID": FACTS.provider_id, **spec},
        "status": {"addresses": FACTS.addresses},
    }


def test_a_node_that_is_as_its_instance_is_left_alone() -> None:
    assert list(decide([node()], {NAME: FACTS})) == []


def test_a_new_node_is_described_and_its_taint_goes_while_others_stay() -> None:
    fresh = node(taints=[TAINT, OTHER])
    fresh["status"] = {}
    assert list(decide([fresh], {NAME: FACTS})) == [Describe(NAME, FACTS, (OTHER,))]


def test_each_of_taint_address_and_label_alone_is_reason_enough() -> None:
    tainted = node(taints=[TAINT])
    moved = node()
    moved["status"]["addresses"] = FACTS.addresses[:1]
    unlabelled = node()
    unlabelled["metadata"]["labels"].pop("topology.kubernetes.io/zone")
    for one in (tainted, moved, unlabelled):
        assert [type(action) for action in decide([one], {NAME: FACTS})] == [Describe]


def test_a_node_whose_instance_is_gone_is_removed() -> None:
    assert list(decide([node()], {})) == [Remove(NAME)]


def test_so_is_one_whose_address_another_instance_has_now() -> None:
    old = node(providerID="aws:///ap-northeast-2a/i-0")
    assert list(decide([old], {NAME: FACTS})) == [Remove(NAME)]


def test_the_internal_address_comes_first() -> None:
    kinds = [one["type"] for one in FACTS.addresses]
    assert kinds == ["InternalIP", "ExternalIP", "InternalDNS", "Hostname"]
    assert FACTS.addresses[0]["address"] == "192.168.1.4"


def test_labels_are_eks_own() -> None:
    assert FACTS.own_labels == {
        "eks.amazonaws.com/nodegroup": "ng1",
        "eks.amazonaws.com/capacityType": "ON_DEMAND",
    }
    assert FACTS.cloud_labels["node.kubernetes.io/instance-type"] == "t3.medium"
    assert FACTS.cloud_labels["topology.k8s.aws/zone-id"] == "apne2-az1"
    assert FACTS.provider_id == "aws:///ap-northeast-2a/i-1"
