from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from vpclab.kubernetes import containerd, kubelet, resolver
from vpclab.kubernetes.binaries import PROGRAMS, BinariesError, find
from vpclab.kubernetes.cluster import evictable, rolled
from vpclab.kubernetes.objects import manifest, path_of


@pytest.mark.parametrize(
    ("kind", "environment", "pods"),
    [
        ("t3.medium", {}, 17),
        ("t3.medium", {"ENABLE_PREFIX_DELEGATION": "true"}, 110),
        ("t3.medium", {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}, 12),
        ("t2.medium", {"ENABLE_PREFIX_DELEGATION": "true"}, 17),  # prefixes need Nitro
        ("nobody.knows", {}, 110),
    ],
)
def test_kubelet_learns_max_pods_from_the_add_ons_mode(
    kind: str, environment: dict[str, str], pods: int
) -> None:
    assert kubelet.max_pods(kind, environment) == pods


def test_kubelets_configuration_lives_without_what_a_container_may_not() -> None:
    written = kubelet.configuration(17, IPv4Address("10.100.0.10"), "aws:///z/i-1")
    assert written["featureGates"] == {"KubeletInUserNamespace": True}
    assert (written["maxPods"], written["cgroupDriver"], written["clusterDNS"]) == (
        17,
        "cgroupfs",
        ["10.100.0.10"],
    )


def test_containerd_lowers_no_oom_score_and_knows_its_pause() -> None:
    text = containerd.configuration("/bin/runc", "eks/pause:3.5")
    assert "restrict_oom_score_adj = true" in text
    assert 'sandbox_image = "eks/pause:3.5"' in text


def test_a_disk_is_shared_but_for_what_is_written_in_place(tmp_path: Path) -> None:
    baked, mine = tmp_path / "baked", tmp_path / "node/disk"
    for name in (*containerd.DATABASES, "snapshots/1/fs/file"):
        (baked / name).parent.mkdir(parents=True, exist_ok=True)
        (baked / name).write_text("baked")
    containerd.copy_disk(baked, mine)
    for name in containerd.DATABASES:
        (mine / name).write_text("mine")
        assert (baked / name).read_text() == "baked"
    assert (mine / "snapshots/1/fs/file").samefile(baked / "snapshots/1/fs/file")


def test_the_vpcs_resolver_is_at_plus_two_and_knows_instances_by_their_names() -> None:
    assert resolver.address_in(IPv4Network("192.168.0.0/16")) == IPv4Address("192.168.0.2")
    text = resolver.corefile([IPv4Address("192.168.0.2")], Path("/h"), "ap-northeast-2")
    assert 'answer "{{ .Name }} 60 IN A {{ .Group.o0 }}.{{ .Group.o1 }}' in text
    names = resolver.names("ap-northeast-2", {"api": (IPv4Address("192.168.1.5"),)})
    assert "198.51.100.20 ec2.ap-northeast-2.amazonaws.com ec2.amazonaws.com\n" in names
    assert names.endswith("192.168.1.5 api\n")


def every_object() -> Iterator[dict[str, Any]]:
    yield from manifest("kube-proxy", image="proxy:1", endpoint="https://api")
    yield from manifest("coredns", image="dns:1", dns="10.100.0.10")


def test_manifests_are_filled_in_and_each_object_has_its_place() -> None:
    paths = [path_of(one) for one in every_object()]
    assert "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy" in paths
    assert "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/eks:kube-proxy" in paths
    assert "/api/v1/namespaces/kube-system/services/kube-dns" in paths
    assert len(set(paths)) == len(paths)
    [proxy] = (
        one
        for one in every_object()
        if one["kind"] == "DaemonSet" and one["metadata"]["name"] == "kube-proxy"
    )
    [container] = proxy["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "proxy:1"
    assert "--hostname-override=$(NODE_NAME)" in container["command"]


def test_kube_proxy_config_says_its_mode_as_the_study_looks_for_it() -> None:
    [config] = (one for one in every_object() if one["metadata"]["name"] == "kube-proxy-config")
    assert 'mode: "iptables"' in config["data"]["config"]


def test_a_drain_ends_what_is_nobodys_daemon() -> None:
    def pod(name: str, owner: str | None, phase: str = "Running") -> dict[str, Any]:
        owners = [{"kind": owner}] if owner else []
        return {"metadata": {"name": name, "ownerReferences": owners}, "status": {"phase": phase}}

    pods = [
        pod("web", "ReplicaSet"),
        pod("alone", None),
        pod("aws-node", "DaemonSet"),
        pod("done", None, "Succeeded"),
    ]
    assert [one["metadata"]["name"] for one in evictable(pods)] == ["web", "alone"]


def test_a_rollout_is_over_when_all_nodes_run_the_newest_and_are_available() -> None:
    status = {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3}
    assert rolled({"metadata": {"generation": 2}, "status": {**status, "numberAvailable": 3}})
    assert not rolled({"metadata": {"generation": 3}, "status": {**status, "numberAvailable": 3}})
    assert not rolled({"metadata": {"generation": 2}, "status": {**status, "numberAvailable": 2}})


def test_programs_of_a_directory_are_taken_from_there(tmp_path: Path) -> None:
    for program in PROGRAMS:
        (tmp_path / program).touch()
    assert find(tmp_path).path("kubelet") == str(tmp_path / "kubelet")


def test_what_is_nowhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BinariesError, match=r"kube-apiserver.*make kubernetes"):
        find(tmp_path)
