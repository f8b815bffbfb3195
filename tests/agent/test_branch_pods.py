"""Pods with branch ENIs, as the agent meets them: asked of the API server, connected, let go; a host and a cluster in memory."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from grpc.aio import AioRpcError

from tests.agent.rpc.callers import NODE, calling
from tests.agent.test_cloud import FACTS
from tests.agent.test_loop import REQUEST, World, story
from tests.ipam.builders import eni
from vpccni.agent.branch_pods import BranchPods
from vpccni.agent.cni_call import CniCall, CniError, Placed, parse_call
from vpccni.agent.cni_node import CniNode
from vpccni.agent.host import host_settings
from vpccni.agent.ports import HostError
from vpccni.agent.rpc.serve import Rpc
from vpccni.agent.settings import Settings
from vpccni.agent.wire import PluginRequest
from vpccni.ipam.values import AttachedEni, Eni, EniId, EniRole, Pod
from vpccni.kube.branch import KEY, Branch
from vpccni.kube.fake import FakeCluster
from vpccni.kube.port import KubeError
from vpccni.linux.branch_layout import Enforcing

TRUNK = replace(eni(2), id=EniId("eni-trunk"), mac="0a:00:00:00:00:03", role=EniRole.TRUNK)
WEB = Pod("default", "web")
ANNOTATION = json.dumps(
    [{"eniId": "eni-b", "ifAddress": "0a:00:00:00:0b:07", "privateIp": "10.0.3.7", "vlanId": 7, "subnetCidr": "10.0.3.0/24"}]
)  # fmt: skip
ADD = CniCall("ADD", "1.0.0", "aws-cni", "c1", "eth0", "/run/netns/x", WEB)
DEL = replace(ADD, command="DEL")


@dataclass
class Host:
    """Meets BranchHost."""

    wired: dict[Pod, Placed] = field(default_factory=dict)
    problem: str = ""
    differences: list[str] = field(default_factory=list)
    swept: int = 0

    async def wire_branch(self, request: PluginRequest, call: CniCall, branch: Branch, trunk: Eni) -> str:
        del request
        self._may()
        assert trunk is TRUNK
        self.wired[call.pod] = Placed(branch.vlan, branch.address, "vlan0123456789a")
        return "vlan0123456789a"

    async def unwire_branch(self, placed: Placed) -> None:
        self._may()
        self.wired = {pod: there for pod, there in self.wired.items() if there != placed}

    async def check_branch(
        self, request: PluginRequest, call: CniCall, branch: Branch, trunk: Eni
    ) -> list[str]:
        del request, call, branch, trunk
        self._may()
        return self.differences

    async def find_branch(self, pod: Pod) -> Placed | None:
        self._may()
        return self.wired.get(pod)

    async def remove_dead(self) -> None:
        self._may()
        self.swept += 1

    async def trunk_index(self, trunk: Eni) -> int:
        self._may()
        assert trunk is TRUNK
        return 5

    def _may(self) -> None:
        if self.problem:
            raise HostError(self.problem)


class Scene:
    """An agent whose node has a trunk ENI, and the pod `web` that asks for a branch ENI and has one."""

    def __init__(self, *, trunk: bool = True, enabled: bool = True) -> None:
        self.world = World()
        self.agent = self.world.agent
        self.host = Host()
        self.missed = 0
        self.cluster = FakeCluster(
            pods={("default", "web"): {KEY: ANNOTATION}, ("default", "plain"): {}},
            limits={("default", "web"): frozenset({KEY})},
        )
        if trunk:
            self.agent.ipam.add_attached(AttachedEni(TRUNK, ()), 0.0)
            self.agent.enis[TRUNK.id] = TRUNK
        self.branches = BranchPods(
            self.cluster,
            self.host,
            self.agent.enis,
            self.agent.counters,
            enabled=enabled,
            trunk_missed=self._miss,
        )
        self.agent.branches = self.branches

    def _miss(self) -> None:
        self.missed += 1

    async def add(self, call: CniCall = ADD) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.agent.add(REQUEST, call))
        return found


def told(tell: Callable[[Scene], Awaitable[None]], **how: bool) -> None:
    async def within() -> None:
        await tell(Scene(**how))

    story(within)


def test_the_result_is_the_originals() -> None:
    async def tell(scene: Scene) -> None:
        assert await scene.add() == {
            "cniVersion": "1.0.0",
            "interfaces": [
                {"name": "vlan0123456789a"},
                {"name": "eth0", "mac": "0", "sandbox": "/run/netns/x"},
                {"name": "dummy0123456789a", "mac": "7"},
            ],
            "ips": [{"interface": 1, "address": "10.0.3.7/32", "gateway": "10.0.3.1"}],
            "dns": {},
        }
        assert list(scene.agent.cards.assignments()) == [], "no address of the pool's"

    told(tell)


@pytest.mark.parametrize("remembered", [True, False])
def test_a_delete_knows_it_by_the_result_or_finds_it_on_the_host(remembered: bool) -> None:
    async def tell(scene: Scene) -> None:
        result = await scene.add()
        env = {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_NETNS": "",
               "CNI_ARGS": "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web"}  # fmt: skip
        conf = {"cniVersion": "1.0.0", "name": "aws-cni", **({"prevResult": result} if remembered else {})}
        call = parse_call(env, json.dumps(conf).encode())
        assert (call.branch is not None) is remembered
        scene.cluster.pods.clear()
        for _ in range(2):
            await scene.agent.delete(call)
        assert scene.host.wired == {}

    told(tell)


def test_a_pod_from_before_it_was_switched_off_is_let_go() -> None:
    async def tell(scene: Scene) -> None:
        scene.host.wired[WEB] = Placed(7, IPv4Address("10.0.3.7"), "vlan0123456789a")
        await scene.agent.delete(replace(DEL, branch=scene.host.wired[WEB]))
        assert scene.host.wired == {}
        assert "address" in (await scene.add())["ips"][0]
        assert scene.host.wired == {}, "and the next one is a pod like all others"

    told(tell, enabled=False)


def test_other_pods_have_addresses_of_the_pool() -> None:
    async def tell(scene: Scene) -> None:
        plain = replace(ADD, pod=Pod("default", "plain"))
        assert (await scene.add(plain))["ips"][0]["address"].startswith("10.0.")
        assert scene.host.wired == {}
        assert len(list(scene.agent.cards.assignments())) == 1
        await scene.agent.delete(replace(plain, command="DEL"))

    told(tell)


@pytest.mark.parametrize(
    ("annotation", "says"),
    [(None, "the pod is not annotated with one yet"), ("[]", "no list of ENIs")],
)
def test_without_a_usable_annotation_the_pod_waits(annotation: str | None, says: str) -> None:
    async def tell(scene: Scene) -> None:
        scene.cluster.pods["default", "web"] = {KEY: annotation} if annotation else {}
        with pytest.raises(CniError, match=f"BranchEniAwaited: .*{says}.*default/web") as caught:
            await scene.add()
        assert caught.value.code == 11
        assert "CNINode" in caught.value.details

    told(tell)


def test_without_a_trunk_the_pod_waits_and_ec2_is_looked_at() -> None:
    async def tell(scene: Scene) -> None:
        with pytest.raises(CniError, match="the node has no trunk ENI"):
            await scene.add()
        assert scene.missed == 1

    told(tell, trunk=False)


@pytest.mark.parametrize("error", [KubeError(None, "no answer"), KubeError(403, "pods is forbidden")])
def test_without_the_api_server_no_pod_is_given_an_address_that_may_not_be_its(error: KubeError) -> None:
    async def tell(scene: Scene) -> None:
        scene.cluster.failures.append(error)
        with pytest.raises(CniError, match="ApiServer: ") as caught:
            await scene.add()
        assert str(error) in str(caught.value)
        assert (await scene.add())["ips"][0]["address"] == "10.0.3.7/32"
        assert scene.agent.counters.pod_eni_errors == {"GetPod": 1}

    told(tell)


def test_what_the_kernel_refuses_is_told() -> None:
    async def tell(scene: Scene) -> None:
        scene.host.problem = "add VLAN 7: Operation not supported"
        with pytest.raises(CniError, match="HostSetupFailed: add VLAN 7"):
            await scene.add()
        with pytest.raises(CniError, match="could not be disconnected: add VLAN 7"):
            await scene.agent.delete(replace(DEL, branch=Placed(7, IPv4Address("10.0.3.7"), "vlan0")))

    told(tell)


def test_check_tells_what_differs_and_gc_sweeps() -> None:
    async def tell(scene: Scene) -> None:
        await scene.add()
        check = replace(ADD, command="CHECK", branch=scene.host.wired[WEB])
        assert await scene.agent.check(REQUEST, check) == b""
        scene.host.differences.append("rule 10: iif vlan.eth.7 lookup 107 is missing")
        with pytest.raises(CniError, match=r"pod default/web differs: rule 10"):
            await scene.agent.check(REQUEST, check)
        await scene.agent.collect_garbage(CniCall("GC", "1.1.0", "aws-cni"))
        assert scene.host.swept == 1

    told(tell)


def test_over_grpc_the_caller_learns_the_vlan(tmp_path: Path) -> None:
    async def tell(scene: Scene) -> None:
        rpc = Rpc(tmp_path)
        await rpc.open()
        rpc.started(scene.agent, NODE, branches=scene.branches)
        try:
            async with calling(tmp_path / "ipamd.sock") as caller:
                added = await caller.add("web")
                assert added.Success
                assert (added.PodVlanId, added.PodENIMAC, added.PodENISubnetGW, added.ParentIfIndex) == (
                    7, "0a:00:00:00:0b:07", "10.0.3.1", 5)  # fmt: skip
                [metadata] = added.IPAllocationMetadata
                assert (metadata.IPv4Addr, metadata.DeviceNumber, metadata.RouteTableId) == (
                    "10.0.3.7",
                    -1,
                    0,
                )
                released = await caller.delete("web", K8S_POD_UID="uid-of-web")
                assert (released.Success, released.PodVlanId) == (True, 7)
                assert released.IPAllocationMetadata[0].IPv4Addr == "10.0.3.7"
                with pytest.raises(AioRpcError, match="pod UID mismatch: got uid-of-web, expected other"):
                    await caller.delete("web", K8S_POD_UID="other")
                with pytest.raises(AioRpcError, match="datastore: unknown pod"):
                    await caller.delete("plain", K8S_POD_UID="uid-of-plain")
                scene.host.problem = "the trunk's device is gone"
                assert not (await caller.add("web")).Success
                scene.cluster.pods["default", "web"] = {}
                assert not (await caller.add("web")).Success
        finally:
            await rpc.close()

    told(tell)


# --- what the node asks the controller for --------------------------------------------------------------------


def cni_node(scene: Scene, *, takes_trunk: bool = True, name: str | None = None) -> CniNode:
    return CniNode(scene.cluster, "n1", scene.agent.ipam, lambda: name, takes_trunk=takes_trunk)


def test_it_asks_for_a_trunk_once_there_is_a_cninode(caplog: pytest.LogCaptureFixture) -> None:
    async def tell(scene: Scene) -> None:
        asking = cni_node(scene, name="eu-1a")
        assert not await asking.look()
        assert "cninodes" in caplog.text
        scene.cluster.features["n1"] = {}
        assert await asking.look()
        assert scene.cluster.features["n1"] == {"SecurityGroupsForPods": "", "CustomNetworking": "eu-1a"}
        asked = len(scene.cluster.calls)
        assert await asking.look()
        assert len(scene.cluster.calls) == asked, "not again"

    told(tell, trunk=False)


def test_it_asks_for_no_trunk_where_there_is_one_or_can_be_none(caplog: pytest.LogCaptureFixture) -> None:
    async def tell(scene: Scene) -> None:
        assert cni_node(scene, name="default").wanted() == {}
        lone = Scene(trunk=False)
        assert cni_node(lone, takes_trunk=False).wanted() == {}
        assert "takes no trunk ENI" in caplog.text
        lone.agent.ipam.state.limits = replace(lone.agent.ipam.state.limits, max_enis=1)
        assert cni_node(lone).wanted() == {}
        assert "No slot available for a trunk ENI to be attached." in caplog.text

    told(tell)


def test_a_place_is_kept_for_the_trunk_until_it_is_there() -> None:
    async def tell(scene: Scene) -> None:
        state = scene.agent.ipam.state
        state.limits = replace(state.limits, trunk_place=True)
        assert state.most_enis == 2
        scene.agent.ipam.add_attached(AttachedEni(TRUNK, ()), 0.0)
        assert state.most_enis == 3

    told(tell, trunk=False)


# --- settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "strict"),
    [
        (Settings(), False),
        (Settings(pod_eni=True), True),
        (Settings(pod_eni=True, enforcing=Enforcing.STANDARD), False),
    ],
)
def test_the_local_rule_moves_in_the_strict_mode_only(settings: Settings, strict: bool) -> None:
    assert host_settings(settings, FACTS).strict_branches is strict
