from __future__ import annotations

from vpccni.aws.tags import description, eni_tags


def test_tags_without_a_cluster() -> None:
    assert eni_tags("i-1", "", 1_700_000_000.9) == (
        ("node.k8s.amazonaws.com/createdAt", "2023-11-14T22:13:20Z"),
        ("node.k8s.amazonaws.com/instance_id", "i-1"),
    )


def test_tags_with_a_cluster_and_additional_ones_that_may_override() -> None:
    tags = dict(eni_tags("i-1", "study", 0, (("team", "net"), ("eks:eni:owner", "us"))))
    assert tags == {
        "cluster.k8s.amazonaws.com/name": "study",
        "eks:eni:owner": "us",
        "node.k8s.amazonaws.com/createdAt": "1970-01-01T00:00:00Z",
        "node.k8s.amazonaws.com/instance_id": "i-1",
        "team": "net",
    }
    assert dict(eni_tags("i-1", "study", 0))["eks:eni:owner"] == "amazon-vpc-cni"


def test_the_description_tells_whose_it_is() -> None:
    assert description("i-1") == "aws-K8S-i-1"
