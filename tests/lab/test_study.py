"""The study on a real cluster: every row of the walkthrough, by the commands that a person types."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.charts.test_chart import rendered
from tests.lab.conftest import LabUnderTest, StartLab, vpc_lab
from vpclab.images.aws_node import CRDS, MANIFEST, RESOURCE_CONTROLLER, deploy_path

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]


def test_all_rows_of_the_study_hold(start_lab: StartLab, tmp_path: Path) -> None:
    lab = start_lab("--kubernetes")
    done = study(lab)
    sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "28 of 28 hold"
    the_api_server_takes_the_chart(lab, tmp_path)
    says_when_it_does_not_hold(lab)


def study(lab: LabUnderTest, *steps: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "vpclab", "study", "--name", lab.name, "--check", *steps]
    return subprocess.run(command, capture_output=True, text=True, timeout=1200)


def the_api_server_takes_the_chart(lab: LabUnderTest, tmp_path: Path) -> None:
    """The manifest, the definitions, and a rendering with most of what can be asked for, checked by the real API server."""
    everything = {
        "originalMatchLabels": True, "podAnnotations": {"a": "b"}, "extraEnv": [{"name": "A", "value": "b"}],
        "cniConfig": {"enabled": True, "fileContents": "{}"}, "imagePullSecrets": [{"name": "s"}],
        "eniConfig": {"create": True, "region": "ap-northeast-2", "subnets": {
            "a": {"id": "subnet-1", "securityGroups": ["sg-1"]}}},
        "extraVolumes": [{"name": "v", "emptyDir": {}}], "extraVolumeMounts": [{"name": "v", "mountPath": "/v"}],
    }  # fmt: skip
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(everything))
    (tmp_path / "rendered.yaml").write_text(rendered("--values", str(tmp_path / "values.yaml")))
    files = [
        deploy_path(MANIFEST),
        deploy_path(RESOURCE_CONTROLLER),
        deploy_path(CRDS),
        tmp_path / "rendered.yaml",
    ]
    given = " ".join(f"-f {file}" for file in files)
    taken = lab(
        "exec",
        "bastion",
        "--",
        "bash",
        "--login",
        "-c",
        f"kubectl apply --dry-run=server --validate=strict {given}",
    )
    assert "eniconfig.crd.k8s.amazonaws.com/ap-northeast-2a created (server dry run)" in taken.stdout
    assert taken.stdout.count("daemonset.apps/aws-node configured (server dry run)") == 2


def says_when_it_does_not_hold(lab: LabUnderTest) -> None:
    """A check that cannot fail shows nothing."""
    in_shell = ("exec", "bastion", "--", "bash", "--login", "-c")
    change = 'sed \'s/mode: "iptables"/mode: "ipvs"/\''
    of = "-n kube-system -o yaml"
    lab(*in_shell, f"kubectl get configmap kube-proxy-config {of} | {change} | kubectl replace -f -")
    done = study(lab, "W17")
    assert done.returncode == 1
    assert "does not show" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 of 1 hold"


def test_without_a_cluster_there_is_no_study(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1")
    done = vpc_lab("study", "--check", "--name", lab.name, check=False)
    assert done.returncode == 1
    assert "the study needs a cluster: vpc-lab up --kubernetes" in done.stderr
    assert "there is no step W99" in vpc_lab("study", "W99", "--name", lab.name, check=False).stderr
