import json
from pathlib import Path
from typing import Any

from vpclab.kubernetes.attachments import Attachment, held, sandboxes

ONE = Attachment("default/web", "c1", "192.168.1.17", "eni1a2b3c4d5e6")


def cached(network: str, container: str, pod: str, address: str) -> str:
    return json.dumps(
        {
            "containerId": container,
            "networkName": network,
            "cniArgs": [["K8S_POD_NAMESPACE", "default"], ["K8S_POD_NAME", pod]],
            "result": {"ips": [{"address": f"{address}/32"}], "interfaces": [{"name": "eni1a2b3c4d5e6"}]},
        }
    )


def pod(name: str, address: str | None, phase: str = "Running", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "default", "name": name},
        "spec": spec,
        "status": {"podIP": address, "phase": phase},
    }


def test_a_nodes_attachments_are_read_from_libcnis_cache(tmp_path: Path) -> None:
    (tmp_path / "aws-cni-c1-eth0").write_text(cached("aws-cni", "c1", "web", "192.168.1.17"))
    (tmp_path / "cni-loopback-c1-lo").write_text(cached("cni-loopback", "c1", "web", "127.0.0.1"))
    (tmp_path / "aws-cni-c2-eth0").write_text('{"containerId"')  # containerd is writing it
    assert held(tmp_path) == [ONE]


def test_the_pods_to_judge_by_are_the_api_servers() -> None:
    pods = [
        pod("web", "192.168.1.17"),
        pod("aws-node", "192.168.1.4", hostNetwork=True),
        pod("waits", None, "Pending"),
        pod("done", "192.168.1.18", "Succeeded"),
    ]
    assert sandboxes([ONE], pods) == [
        {"name": "default/web", "containerId": "c1", "ip": "192.168.1.17", "hostVeth": "eni1a2b3c4d5e6"}
    ]


def test_an_attachment_of_no_pod_is_left_out_and_a_pod_of_none_shows() -> None:
    assert sandboxes([ONE], []) == []
    [one] = sandboxes([ONE], [pod("web", "192.168.1.99")])
    assert (one["containerId"], one["ip"]) == ("none", "192.168.1.99")
