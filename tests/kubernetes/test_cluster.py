"""Real pods on real nodes: what the study shows, and what goes wrong in a cluster's life."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.kubernetes.conftest import ClusterUnderTest, eventually

pytestmark = [pytest.mark.lab, pytest.mark.timeout(280)]
WEB = "web"
NODE_PORT = 30080
HOST_PORT = 8081


def workload(replicas: int) -> list[dict[str, Any]]:
    """A pod a node that answers HTTP and has the network's tools, and the service of them all."""
    labels = {"app": WEB}
    containers = [
        {
            "name": "tools",
            "image": "nicolaka/netshoot",  # its tag is latest: kubelet asks the registry
            "command": ["tail", "-f", "/dev/null"],
        },
        {
            "name": "http",
            "image": "vpc-lab/http-echo:1",
            "ports": [{"containerPort": 8080, "hostPort": HOST_PORT}],
        },
    ]
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": WEB, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "topologySpreadConstraints": [spread],
                    "tolerations": [
                        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3600}
                        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
                    ],
                    "containers": containers,
                },
            },
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": WEB, "namespace": "default"},
        "spec": {
            "type": "NodePort",
            "selector": labels,
            "ports": [{"port": 80, "targetPort": 8080, "nodePort": NODE_PORT}],
        },
    }
    return [deployment, service]


@pytest.fixture(scope="module")
def web(cluster: ClusterUnderTest) -> ClusterUnderTest:
    """The cluster, with the workload on every node."""
    cluster.apply(*workload(3))
    cluster.kubectl("rollout", "status", f"deployment/{WEB}", "--timeout=120s")
    return cluster


def everywhere(cluster: ClusterUnderTest, count: int = 3) -> bool:
    """One pod of the workload on each of so many nodes, ready and with an address."""
    pods = cluster.pods(WEB)
    ready = [c["ready"] for pod in pods for c in pod["status"]["containerStatuses"]]
    nodes = {pod["spec"]["nodeName"] for pod in pods}
    return len(pods) == len(nodes) == count and all(ready) and all("podIP" in pod["status"] for pod in pods)


def renewed(cluster: ClusterUnderTest, pod: dict[str, Any]) -> bool:
    """Whether none of its containers is there any more: what the API server says is old until kubelet has told."""
    before = {c["containerID"] for c in pod["status"]["containerStatuses"]}
    now = {c.get("containerID") for one in cluster.pods(WEB) for c in one["status"]["containerStatuses"]}
    return before.isdisjoint(now)


def eks(cluster: ClusterUnderTest, action: str, *options: str) -> None:
    """A call by the real client."""
    done = subprocess.run(
        [sys.executable, "-m", "awscli", "eks", action, "--cluster-name", "myeks", *options],
        capture_output=True, text=True, timeout=60, env=json.loads(cluster.lab("env-vars", "-o", "json")),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def judged(cluster: ClusterUnderTest) -> None:
    """EC2, each node's kernel, each agent's books and the API server's pods agree."""
    cluster.lab("check", "--wait", "60")


def test_nodes_are_eks_nodes(cluster: ClusterUnderTest) -> None:
    nodes = cluster.objects("nodes")
    zones = sorted(node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in nodes)
    assert zones == ["ap-northeast-2a", "ap-northeast-2b", "ap-northeast-2c"]
    for node in nodes:
        labels, status = node["metadata"]["labels"], node["status"]
        assert labels["node.kubernetes.io/instance-type"] == "t3.medium"
        assert labels["eks.amazonaws.com/capacityType"] == "ON_DEMAND"
        assert labels["eks.amazonaws.com/nodegroup"] == "ng1"
        assert re.match(r"aws:///ap-northeast-2[abc]/i-[0-9a-f]{17}$", node["spec"]["providerID"])
        assert [one["type"] for one in status["addresses"]][:2] == ["InternalIP", "ExternalIP"]
        assert status["capacity"]["pods"] == "17"
        assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "True"
    assert re.search(
        r"https://[0-9A-F]{32}\.gr7\.ap-northeast-2\.eks\.amazonaws\.com", cluster.kubectl("cluster-info")
    )
    config = cluster.kubectl("-n", "kube-system", "describe", "cm", "kube-proxy-config")
    assert 'mode: "iptables"' in config


def test_people_are_known_by_aws_eks_get_token(cluster: ClusterUnderTest) -> None:
    role = "arn:aws:iam::111122223333:role/viewer"
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    of_role = "--cluster-name myeks --principal-arn " + role
    said = cluster.lab(
        "shell",
        input=f"""
        export KUBECONFIG=/tmp/by-token
        aws eks update-kubeconfig --name myeks > /dev/null
        echo "admin: $(kubectl auth can-i '*' '*') $(kubectl auth whoami -o jsonpath='{{.status.userInfo.username}}')"
        aws eks create-access-entry {of_role} > /dev/null
        aws eks associate-access-policy {of_role} --policy-arn {policy} --access-scope type=namespace,namespaces=default > /dev/null
        keys=$(aws sts assume-role --role-arn {role} --role-session-name me --output text \
          --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]')
        read AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN <<< "$keys"
        export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
        echo "viewer: $(kubectl auth can-i list pods) $(kubectl auth can-i delete pods) $(kubectl auth can-i list pods -n kube-system)"
        AWS_SECRET_ACCESS_KEY=another kubectl get pods 2>&1 | sed 's/^/wrong key: /'
        exit
        """,
    )
    assert "admin: yes arn:aws:iam::111122223333:user/admin" in said
    assert "viewer: yes no no" in said
    assert "wrong key: error: You must be logged in to the server (Unauthorized)" in said


def test_pods_talk_by_their_own_addresses_without_a_tunnel(web: ClusterUnderTest) -> None:
    first, second, third = web.pods(WEB)
    here, there = first["status"]["podIP"], second["status"]["podIP"]
    far = web.machine_of(second["spec"]["nodeName"])
    capture = subprocess.Popen(
        [sys.executable, "-m", "vpclab", "exec", "--name", web.name, far, "--",
         "timeout", "30", "tcpdump", "-i", "eth0", "-nn", "-l", "-c", "1", "icmp"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert capture.stderr is not None
    while "listening" not in capture.stderr.readline():
        assert capture.poll() is None
    assert "0% packet loss" in web.inside(first, "ping", "-c", "2", "-W", "5", there)
    seen, _ = capture.communicate(timeout=60)
    assert f"IP {here} > {there}: ICMP echo request" in seen
    assert "0% packet loss" in web.inside(first, "ping", "-c", "1", "-W", "5", third["status"]["podIP"])


def test_services_names_and_host_ports(web: ClusterUnderTest) -> None:
    first, second, _ = web.pods(WEB)
    assert web.inside(first, "dig", "+short", f"{WEB}.default.svc.cluster.local").startswith("10.100.")
    assert web.inside(first, "dig", "+short", "www.google.com").strip() == "198.51.100.10"
    answer = ("curl", "-sS", "-m", "10")
    assert web.inside(first, *answer, f"http://{WEB}/")
    assert (
        web.inside(
            first, *answer, "-k", "-o", "/dev/null", "-w", "%{http_code}", "https://10.100.0.1/version"
        )
        == "200"
    )
    node = second["status"]["hostIP"]
    near = web.machine_of(first["spec"]["nodeName"])
    assert web.on(near, *answer, f"http://{node}:{NODE_PORT}/")
    assert web.on(near, *answer, f"http://{node}:{HOST_PORT}/")
    assert first["status"]["podIP"] in web.on(near, "ip", "route")


def test_a_pod_and_its_node_are_the_same_to_the_internet(web: ClusterUnderTest) -> None:
    pod = web.pods(WEB)[0]
    ask = ("curl", "-sS", "-m", "10", "ipinfo.io/ip")
    assert web.inside(pod, *ask) == web.on(web.machine_of(pod["spec"]["nodeName"]), *ask)


def test_exec_has_a_terminal(web: ClusterUnderTest) -> None:
    pod = web.pods(WEB)[0]["metadata"]["name"]
    inner = f"{sys.executable} -m vpclab kubectl --name {web.name} exec -it {pod} -c tools -- zsh -fc 'tty; stty size'"
    done = subprocess.run(
        ["script", "-qec", inner, "/dev/null"],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert "/dev/pts/" in done.stdout, done.stdout


def test_the_agent_is_rolled_to_another_tag_and_by_its_add_on_while_pods_talk(web: ClusterUnderTest) -> None:
    first, second, _ = web.pods(WEB)
    before = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in web.pods(WEB)}
    pinging = subprocess.Popen(
        [sys.executable, "-m", "vpclab", "kubectl", "--name", web.name, "exec", first["metadata"]["name"], "--",
         "ping", "-i", "0.2", second["status"]["podIP"]],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    daemon_set = json.loads(web.kubectl("-n", "kube-system", "get", "ds", "aws-node", "-o", "json"))
    [image] = [c["image"] for c in daemon_set["spec"]["template"]["spec"]["containers"]]
    other = f"{image.rpartition(':')[0]}:latest"
    web.kubectl("-n", "kube-system", "set", "image", "ds/aws-node", f"aws-node={other}")
    web.kubectl("-n", "kube-system", "rollout", "status", "ds/aws-node", "--timeout=180s")
    values = json.dumps({"env": {"WARM_IP_TARGET": "3"}})
    eks(web, "update-addon", "--addon-name", "vpc-cni", "--configuration-values", values)

    def rolled() -> bool:
        now = json.loads(web.kubectl("-n", "kube-system", "get", "ds", "aws-node", "-o", "json"))
        env = {
            one["name"]: one.get("value") for one in now["spec"]["template"]["spec"]["containers"][0]["env"]
        }
        status = now["status"]
        return (
            env.get("WARM_IP_TARGET") == "3"
            and status["observedGeneration"] == now["metadata"]["generation"]
            and status.get("updatedNumberScheduled") == status.get("numberAvailable") == 3
        )

    eventually(rolled)
    pinging.terminate()
    seen, _ = pinging.communicate(timeout=30)
    numbers = [int(found) for found in re.findall(r"icmp_seq=(\d+)", seen)]
    assert len(numbers) > 10
    assert numbers == list(range(1, len(numbers) + 1)), "a ping was not answered"
    assert {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in web.pods(WEB)} == before
    judged(web)


def test_pods_come_and_go_while_the_api_server_is_down(web: ClusterUnderTest) -> None:
    pods = web.pods(WEB)
    lost, kept = pods[0], pods[1]
    machine = web.machine_of(lost["spec"]["nodeName"])
    name = lost["metadata"]["name"]
    results = f"grep -l {name} /var/lib/cni/results/aws-cni-* | sed 's/.*aws-cni-//; s/-eth0//'"
    [sandbox] = web.on(machine, "sh", "-c", results).split()
    web.lab("api-server", "stop")
    try:
        assert web.kubectl("get", "nodes", "--request-timeout=2s", check=False) == ""
        # its sandbox ends, so kubelet makes another: DEL, ADD, by an agent that nobody answers
        pids = f"/sys/fs/cgroup/pids/kubepods/besteffort/*/{sandbox}/cgroup.procs"
        web.on(machine, "sh", "-c", f"kill -9 $(cat {pids})")
        eventually(lambda: web.on(machine, "sh", "-c", results, check=False).split() not in ([sandbox], []))
    finally:
        web.lab("api-server", "start")
    eventually(lambda: renewed(web, lost) and everywhere(web))
    [now] = [pod for pod in web.pods(WEB) if pod["metadata"]["name"] == name]
    assert "0% packet loss" in web.inside(now, "ping", "-c", "2", "-W", "5", kept["status"]["podIP"])
    judged(web)


def test_a_rebooted_node_comes_back_with_its_pods(web: ClusterUnderTest) -> None:
    pod = web.pods(WEB)[1]
    web.lab("node", "reboot", web.machine_of(pod["spec"]["nodeName"]))
    eventually(lambda: renewed(web, pod) and everywhere(web))
    first, second, third = web.pods(WEB)
    assert "0% packet loss" in web.inside(first, "ping", "-c", "2", "-W", "5", second["status"]["podIP"])
    assert "0% packet loss" in web.inside(second, "ping", "-c", "2", "-W", "5", third["status"]["podIP"])
    judged(web)


def test_a_terminated_node_goes_and_another_comes(web: ClusterUnderTest) -> None:
    gone = web.objects("nodes")[2]["metadata"]["name"]
    uid = web.objects("nodes")[2]["metadata"]["uid"]
    web.lab("node", "terminate", web.machine_of(gone))

    def replaced() -> bool:
        nodes = web.objects("nodes")
        ready = [c["status"] for n in nodes for c in n["status"]["conditions"] if c["type"] == "Ready"]
        return uid not in {n["metadata"]["uid"] for n in nodes} and ready == ["True"] * 3

    eventually(replaced)
    eventually(lambda: everywhere(web))
    first, second, third = web.pods(WEB)
    for one, other in ((first, second), (second, third), (third, first)):
        assert "0% packet loss" in web.inside(one, "ping", "-c", "1", "-W", "5", other["status"]["podIP"])
    judged(web)


def test_a_node_group_grows_and_shrinks_and_its_pods_move(web: ClusterUnderTest) -> None:
    def scaled(count: int) -> None:
        web.kubectl("scale", f"deployment/{WEB}", f"--replicas={count}")
        config = f"minSize=1,maxSize=4,desiredSize={count}"
        eks(web, "update-nodegroup-config", "--nodegroup-name", "ng1", "--scaling-config", config)
        eventually(lambda: len(web.objects("nodes")) == count and everywhere(web, count))
        judged(web)

    budget = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": WEB}}}
    web.apply(
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": WEB}, "spec": budget}
    )
    scaled(4)
    *_, last = web.pods(WEB)
    first = web.pods(WEB)[0]
    assert "0% packet loss" in web.inside(first, "ping", "-c", "2", "-W", "5", last["status"]["podIP"])
    scaled(3)


def test_pods_leave_nothing(web: ClusterUnderTest) -> None:
    web.kubectl("delete", "deployment", WEB)
    eventually(lambda: not web.objects("pods", "-l", f"app={WEB}"))
    judged(web)
