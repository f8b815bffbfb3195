"""One cluster for all that is proven with real pods, by the command line that people use."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from vpclab.bastion.files import KUBECONFIG
from vpclab.kubernetes.binaries import BinariesError, find
from vpclab.lab.client import ask
from vpclab.lab.enter import enter_command
from vpclab.lab.state import LabState

PATIENCE = 150.0


def signed_token(
    key_id: str,
    secret: str,
    session: str | None = None,
    *,
    cluster: str | None = "myeks",
    service: str = "sts",
    action: str = "GetCallerIdentity",
) -> str:
    """A token as `aws eks get-token` makes it."""
    url = f"http://sts.ap-northeast-2.amazonaws.com/?Action={action}&Version=2011-06-15"
    request = AWSRequest("GET", url, headers={"x-k8s-aws-id": cluster} if cluster else {})
    SigV4QueryAuth(Credentials(key_id, secret, session), service, "ap-northeast-2", expires=60).add_auth(
        request
    )
    return f"k8s-aws-v1.{base64.urlsafe_b64encode(request.url.encode()).decode().rstrip('=')}"


@dataclass
class ClusterUnderTest:
    """A lab with Kubernetes that is up."""

    name: str

    def lab(self, *arguments: str, check: bool = True, **run: Any) -> str:
        words = 2 if arguments[0] in {"node", "api-server"} else 1
        command = [
            sys.executable, "-m", "vpclab", *arguments[:words], "--name", self.name, *arguments[words:],
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, **run)
        assert not check or done.returncode == 0, f"vpc-lab {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return str(done.stdout)

    def kubectl(self, *arguments: str, check: bool = True, **run: Any) -> str:
        """As `vpc-lab kubectl`, without Python's start for each of many calls."""
        state = LabState(self.name)
        bastion = enter_command(state, ask(state.control, "way-in", name="bastion"))
        command = [*bastion, find().path("kubectl"), f"--kubeconfig={KUBECONFIG}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, **run)
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return str(done.stdout)

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", *arguments, "-o", "json"))["items"]
        return items

    def apply(self, *things: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": things})
        self.kubectl("apply", "-f", "-", input=text)

    def on(self, where: str, *command: str, check: bool = True) -> str:
        return self.lab("exec", where, "--", *command, check=check)

    def pods(self, app: str) -> list[dict[str, Any]]:
        """Those of an app that run and are not on their way out, by node."""
        found = [
            pod
            for pod in self.objects("pods", "-l", f"app={app}")
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]
        return sorted(found, key=lambda pod: str(pod["spec"]["nodeName"]))

    def inside(self, pod: dict[str, Any], *command: str, check: bool = True) -> str:
        return self.kubectl("exec", pod["metadata"]["name"], "--", *command, check=check)

    def machine_of(self, node: str) -> str:
        """What the lab calls a Kubernetes node."""
        machines = json.loads(self.lab("status", "-o", "json"))["machines"]
        [name] = [m["name"] for m in machines if f"ip-{m['privateIp'].replace('.', '-')}." in node]
        return str(name)


def eventually(true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Until it is; asks the cluster, which answers in its own time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterUnderTest]:
    try:
        find()
    except BinariesError as error:
        pytest.skip(str(error))  # make test-lab builds them
    name = f"kubetest-{os.getpid()}"
    under_test = ClusterUnderTest(name)
    under_test.lab("up", "--kubernetes", "--delays", "none")
    yield under_test
    under_test.lab("down")
    assert not LabState(name).directory.exists()
    assert not [path for path in Path("/sys/fs/cgroup").rglob(name) if path.is_dir()]
    assert name not in Path("/proc/mounts").read_text()
