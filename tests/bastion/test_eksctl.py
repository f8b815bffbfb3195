"""The stand-in for eksctl: its tables from EKS's answers, and what it does not know."""

from datetime import UTC, datetime
from typing import Any

import pytest

from vpclab.bastion import eksctl
from vpclab.bastion.eksctl import NOTE, UsageError, answer, table


class Eks:
    def list_clusters(self) -> Any:
        return {"clusters": ["myeks"]}

    def describe_cluster(self, *, name: str) -> Any:
        return {"cluster": {"name": name}}

    def list_nodegroups(self, *, clusterName: str) -> Any:  # noqa: N803 -- the API's name
        return {"nodegroups": ["ng1"]}

    def describe_nodegroup(self, **_: str) -> Any:
        return {"nodegroup": {
            "status": "ACTIVE", "createdAt": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "scalingConfig": {"minSize": 1, "maxSize": 9, "desiredSize": 3}, "instanceTypes": ["t3.medium"],
            "amiType": "AL2_x86_64", "resources": {"autoScalingGroups": [{"name": "eks-ng1"}]},
        }}  # fmt: skip

    def list_addons(self, *, clusterName: str) -> Any:  # noqa: N803 -- as above
        return {"addons": ["coredns", "vpc-cni"]}

    def describe_addon(self, *, clusterName: str, addonName: str) -> Any:  # noqa: N803 -- as above
        return {"addon": {"addonVersion": "v1.0.0-eksbuild.1", "status": "ACTIVE", "health": {"issues": []}}}

    def describe_addon_versions(self, **asked: str) -> Any:
        assert asked.pop("kubernetesVersion") == "1.29"
        page = int(asked.pop("nextToken", "0"))
        found = {"addons": [{"addonName": f"a{page}", "type": "networking", "addonVersions": []}]}
        return found if page == 2 else {**found, "nextToken": str(page + 1)}


class Session:
    def create_client(self, service: str, region: str) -> Eks:
        assert (service, region) == ("eks", "ap-northeast-2")
        return Eks()


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.session.get_session", Session)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-2")


def test_the_studys_four_commands() -> None:
    assert answer(["get", "cluster"]).splitlines() == [
        "NAME\tREGION\t\tEKSCTL CREATED",
        "myeks\tap-northeast-2\tFalse",
    ]
    group = answer(["get", "nodegroup", "--cluster", "myeks"]).splitlines()[1].split()
    assert group == ["myeks", "ng1", "ACTIVE", "2026-01-02T03:04:05Z", "1", "9", "3", "t3.medium", "AL2_x86_64",
                     "eks-ng1", "managed"]  # fmt: skip
    addons = answer(["get", "addon", "--cluster=myeks"]).splitlines()
    assert addons[1].split() == ["coredns", "v1.0.0-eksbuild.1", "ACTIVE", "0"]
    assert (
        answer(["utils", "describe-addon-versions", "--kubernetes-version", "1.29"]).count("AddonName") == 3
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "cluster"], "does not know: create cluster"),
        (["get", "addon"], "--cluster must be set"),
        (["get", "cluster", "--wait"], "does not know --wait"),
        (["get", "addon", "--cluster"], "--cluster has no value"),
    ],
)
def test_what_it_does_not_know_it_says(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        answer(arguments)


def test_it_says_that_it_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["eksctl", "delete", "cluster"])
    with pytest.raises(SystemExit, match="Error: this stand-in does not know"):
        eksctl.main()
    assert NOTE in capsys.readouterr().err


def test_columns_stand_below_each_other() -> None:
    text = table([["A", "B", "C"], ["12345678", "x", "y"], ["1", "1234567890123456", "z"]])
    assert (
        len({line.expandtabs().rindex(last) for line, last in zip(text.splitlines(), "Cyz", strict=True)})
        == 1
    )
