"""The study on a real cluster: every row of the walkthrough, by the commands that a person types."""

import subprocess
import sys

import pytest

from tests.lab.conftest import LabUnderTest, StartLab, vpc_lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]


def test_all_rows_of_the_study_hold(start_lab: StartLab) -> None:
    lab = start_lab("--kubernetes")
    done = study(lab)
    sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "28 of 28 hold"
    says_when_it_does_not_hold(lab)


def study(lab: LabUnderTest, *steps: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "vpclab", "study", "--name", lab.name, "--check", *steps]
    return subprocess.run(command, capture_output=True, text=True, timeout=1200)


def says_when_it_does_not_hold(lab: LabUnderTest) -> None:
    """A check that cannot fail shows nothing."""
    kubectl = ("exec", "bastion", "--", "bash", "--login", "-c")
    lab(*kubectl, "kubectl -n kube-system scale deployment coredns --replicas=1")
    done = study(lab, "W10")
    assert done.returncode == 1
    assert "does not show" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 of 1 hold"


def test_without_a_cluster_there_is_no_study(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1")
    done = vpc_lab("study", "--check", "--name", lab.name, check=False)
    assert done.returncode == 1
    assert "the study needs a cluster: vpc-lab up --kubernetes" in done.stderr
    assert "there is no step W99" in vpc_lab("study", "W99", "--name", lab.name, check=False).stderr
