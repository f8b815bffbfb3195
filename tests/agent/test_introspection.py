"""The introspection port, asked by a real client of a real agent."""

import asyncio
import base64
import json
import time
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tests.agent.scenes import NOON, get, scene_of, serving, small_world, told
from tests.agent.test_loop import World, story
from tests.ipam.builders import eni, ip, key, pod, prefix
from vpccni.agent import go_json
from vpccni.agent.cni_call import CniError
from vpccni.agent.introspection import introspection, introspection_server
from vpccni.agent.scene import Scene
from vpccni.agent.settings import RandomizeSnat, Settings
from vpccni.ipam.actions import DetachEni, ReleaseAddresses
from vpccni.ipam.decide import Ipam
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.reconcile import Differences
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import AttachedEni, BlockKind, EniRole

GOLDEN = Path(__file__).parent / "golden_v1_enis.json"


def test_any_other_path_lists_the_commands() -> None:
    async def tell() -> None:
        scene = Scene(Settings(), lambda: NOON)
        for path in ("/", "/v1/pods"):
            said = (await told(scene, path)).json
            assert said["AvailableCommands"] == [
                "/v1/enis",
                "/v1/eni-configs",
                "/v1/networkutils-env-settings",
                "/v1/ipamd-env-settings",
            ]
        listed = [*said["AvailableCommands"], *said["AvailableCommandsV2"]]
        scene.eni_config = lambda: "zone-a"
        assert {(await told(scene, path)).status for path in listed} == {200, 503}  # not started: not ready
        assert (await told(scene, "/v2/nothing")).status == 404

    story(tell)


def test_enis_are_the_originals_json_to_the_byte() -> None:
    ipam = Ipam(
        NodeLimits(max_enis=4, slots_per_eni=3, max_pods=58),
        WarmTargets(),
        kind=BlockKind.PREFIX,
        cooldown=30.0,
    )
    ipam.add_attached(AttachedEni(eni(0), (prefix("10.0.9.16"), ip("10.0.0.5"))), NOON)
    trunk = replace(eni(1), role=EniRole.TRUNK)
    ipam.add_attached(AttachedEni(trunk), NOON)
    ipam.assign(key("a"), pod("web-0"), NOON + 0.25)
    ipam.assign(key("b"), pod("web-1"), NOON + 1)
    ipam.release(key("b"), NOON + 61.5)
    golden = json.loads(GOLDEN.read_text())
    assert go_json.dumps(go_json.enis([ipam])) == go_json.dumps(golden)
    mask = golden["0"]["ENIs"]["eni-0"]["AvailableIPv4Cidrs"]["10.0.9.16/28"]["Cidr"]["Mask"]
    assert base64.b64decode(mask) == IPv4Network("0.0.0.0/28").netmask.packed


def test_enis_hide_the_sandbox_and_show_the_eni_and_the_address() -> None:
    async def tell() -> None:
        world = small_world()
        await world.add("c0ffee" * 10, pod="web")
        got = await told(scene_of(world), "/v1/enis")
        assert b"c0ffee" not in got.body
        assert b"eth0" not in got.body
        (inner,) = got.json["0"]["ENIs"].values()
        assert inner["ID"] == "eni-0"
        record = inner["AvailableIPv4Cidrs"]["10.0.1.0/32"]["IPAddresses"]["10.0.1.0"]
        assert record["Address"] == "10.0.1.0"
        assert record["IPAMKey"] == {"networkName": "aws-cni", "containerID": "", "ifName": ""}
        assert record["IPAMMetadata"] == {
            "k8sPodNamespace": "default",
            "k8sPodName": "web",
            "interfacesCount": 1,
        }

    story(tell)


def test_what_is_on_its_way_back_to_ec2_is_not_shown() -> None:
    ipam = Ipam(NodeLimits(max_enis=4, slots_per_eni=3, max_pods=58), WarmTargets())
    ipam.add_attached(AttachedEni(eni(0), (ip("10.0.0.5"), ip("10.0.0.6"))), NOON)
    ipam.add_attached(AttachedEni(eni(1), (ip("10.0.0.7"),)), NOON)
    for action in (ReleaseAddresses(eni(0).id, (ip("10.0.0.6"),)), DetachEni(eni(1).id)):
        ipam.state.under_way.begin(action)
    store = go_json.enis([ipam])["0"]
    assert list(store["ENIs"]) == ["eni-0"]
    assert list(store["ENIs"]["eni-0"]["AvailableIPv4Cidrs"]) == ["10.0.0.5/32"]


def test_each_network_card_is_a_store_of_its_own() -> None:
    limits = NodeLimits(max_enis=4, slots_per_eni=3, max_pods=58)
    ipams = [Ipam(limits, WarmTargets(), card=card) for card in (1, 0)]
    assert list(go_json.enis(ipams)) == ["0", "1"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (NOON, "2026-01-02T12:00:00Z"),
        (NOON + 0.5, "2026-01-02T12:00:00.5Z"),
        (NOON + 10, "2026-01-02T12:00:10Z"),
        (NOON + 0.25, "2026-01-02T12:00:00.25Z"),
    ],
)
def test_times_have_the_decimals_that_they_need(seconds: float, text: str) -> None:
    assert go_json.time_text(seconds) == text


def test_what_is_special_in_html_is_escaped() -> None:
    assert go_json.dumps({"a": "<é&>"}) == '{"a":"\\u003cé\\u0026\\u003e"}'.encode()


def test_settings_under_the_originals_names() -> None:
    async def tell() -> None:
        scene = Scene(Settings(), lambda: NOON)
        assert (await told(scene, "/v1/networkutils-env-settings")).json == {
            "AWS_EXTERNAL_SERVICE_CIDRS": None,
            "AWS_VPC_CNI_NODE_PORT_SUPPORT": True,
            "AWS_VPC_ENI_MTU": 9001,
            "AWS_VPC_K8S_CNI_CONNMARK": 128,
            "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": None,
            "AWS_VPC_K8S_CNI_EXTERNALSNAT": False,
            "AWS_VPC_K8S_CNI_RANDOMIZESNAT": 2,
            "AWS_VPC_K8S_CNI_VETHPREFIX": "eni",
        }
        scene.settings = Settings(
            randomize_snat=RandomizeSnat.HASHRANDOM, exclude_snat_cidrs=(IPv4Network("10.9.0.0/16"),)
        )
        said = (await told(scene, "/v1/networkutils-env-settings")).json
        assert said["AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS"] == ["10.9.0.0/16"]
        assert said["AWS_VPC_K8S_CNI_RANDOMIZESNAT"] == 1
        assert (await told(scene, "/v1/ipamd-env-settings")).json == {
            "AWS_MANAGE_ENIS_NON_SCHEDULABLE": False,
            "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": False,
            "ENABLE_SUBNET_DISCOVERY": True,
            "WARM_ENI_TARGET": 1,
            "WARM_IP_TARGET": 0,
        }

    story(tell)


def test_the_eniconfig_is_a_json_string_or_404() -> None:
    async def tell() -> None:
        scene = Scene(Settings(custom_networking=True), lambda: NOON)
        assert (await told(scene, "/v1/eni-configs")).status == 404
        scene.eni_config = lambda: "ap-northeast-2a"
        assert (await told(scene, "/v1/eni-configs")).body == b'"ap-northeast-2a"'

    story(tell)


def test_status_says_what_there_is_what_is_wanted_and_what_is_next() -> None:
    async def tell() -> None:
        world = World(WarmTargets(warm_ip=1, minimum_ip=2), max_enis=1)
        await world.add("a")
        while world.agent.ipam.state.under_way.growing:
            await asyncio.sleep(0.01)
        scene = scene_of(world, Settings(node_name="node-1"))
        scene.heard("instance metadata")
        said = (await told(scene, "/v2/status")).json
        assert said["node"] == "node-1"
        assert said["readiness"] == {"condition": "serving", "ready": True, "phase": "serving", "because": []}
        (pool,) = said["pools"]
        assert pool["numbers"]["assigned"] == 1
        assert (
            pool["targets"]["in_force"] == "WARM_IP_TARGET=1 for 1 free and MINIMUM_IP_TARGET=2 for 2 in all"
        )
        assert (pool["targets"]["short"], pool["blocker"], pool["next"]) == (0, None, None)
        (only,) = pool["enis"]
        assert (only["slots_used"], only["slots"], only["assigned"]) == (2, 2, 1)
        assert only["content"][0] == {
            "block": "10.0.1.0/32", "kind": "secondary-ip", "assigned": 1, "cooling": 0, "free": 0, "leaving": False,
        }  # fmt: skip
        assert [fact["name"] for fact in said["facts"]] == ["instance metadata"]
        assert "\n" not in str(said["at"])
        await world.delete("a")
        cooling = (await told(scene, "/v2/status")).json["pools"][0]
        assert cooling["next"]["what"] == "a cooling address becomes free"
        assert cooling["numbers"]["cooling"] == 1

    story(tell)


def test_status_names_the_blocker_with_its_advice() -> None:
    async def tell() -> None:
        world = small_world()
        world.ec2.refusal = Refusal(Reason.SUBNET_FULL, "subnet-1 is full")
        with pytest.raises(CniError, match="SubnetFull"):
            await world.add("a")
        said = (await told(scene_of(world), "/v2/status")).json
        (pool,) = said["pools"]
        assert pool["blocker"]["reason"] == "SubnetFull"
        assert pool["blocker"]["advice"] == Reason.SUBNET_FULL.advice
        assert pool["next"]["what"] == "EC2 may be asked again after a refusal"
        assert said["readiness"]["condition"] == "degraded"
        assert not said["readiness"]["ready"]

    story(tell)


def test_decisions_tell_what_was_asked_why_and_what_came_of_it() -> None:
    async def tell() -> None:
        world = small_world()
        await world.add("a")
        await world.add("b")
        with pytest.raises(CniError, match="EniLimit"):
            await world.add("c")
        said = (await told(scene_of(world), "/v2/decisions")).json
        assert [d["kind"] for d in said[:2]] == ["begun", "done"]
        assert said[0]["what"].startswith("ask EC2 for ")
        assert "WARM_IP_TARGET=1 for 1 free" in said[0]["why"]
        assert said[1]["why"].startswith("EC2 gave 10.0.1.0/32")
        refused = [d for d in said if d["kind"] == "refused"]
        assert refused[-1]["what"] == "an address for pod default/c"
        assert refused[-1]["why"].startswith("EniLimit")

    story(tell)


def test_pods_and_reconcile_results() -> None:
    async def tell() -> None:
        world = small_world()
        await world.add("c0ffee", pod="web")
        scene = scene_of(world)
        (said,) = (await told(scene, "/v2/pods")).json
        assert said | {"assigned_at": 0} == {
            "namespace": "default", "name": "web", "network": "aws-cni", "address": "10.0.1.0",
            "eni": "eni-0", "assigned_at": 0,
        }  # fmt: skip
        scene.compared(eni(0).id, Differences(added=(ip("10.0.1.9"),), removed=(ip("10.0.1.8"),)))
        scene.compared(eni(1).id, None)
        first, second = (await told(scene, "/v2/reconcile")).json
        assert (first["eni"], first["added"], first["removed"], first["skipped"]) == (
            "eni-0",
            ["10.0.1.9/32"],
            ["10.0.1.8/32"],
            False,
        )
        assert second["skipped"]
        assert scene.counters.reconciled == {"eniDataStorePoolReconcileAdd": 1, "eniIPPoolReconcileDel": 1}
        scene.eni_lost(eni(1).id, 2)
        assert len((await told(scene, "/v2/reconcile")).json) == 1
        assert scene.counters.force_removed_addresses == 2

    story(tell)


def test_readyz_follows_the_start() -> None:
    async def tell() -> None:
        world = small_world()
        scene = scene_of(world)
        scene.ipams = ()
        scene.phase = lambda: "asking the instance metadata service"
        starting = await told(scene, "/readyz")
        assert (starting.status, starting.json["condition"]) == (503, "starting")
        assert starting.json["because"][0]["detail"] == "asking the instance metadata service"
        assert (await told(scene, "/livez")).status == 200
        scene.ipams = (world.agent.ipam,)
        assert (await told(scene, "/readyz")).status == 200
        scene.stopping = True
        assert (await told(scene, "/readyz")).json["condition"] == "stopping"

    story(tell)


def test_livez_of_a_loop_that_hangs_does_not_come() -> None:
    async def tell() -> None:
        scene = Scene(Settings(), lambda: NOON)
        async with serving(introspection(scene)) as port:
            asked = asyncio.create_task(get(port, "/livez", timeout=0.2))
            await asyncio.sleep(0)
            time.sleep(0.6)
            with pytest.raises(TimeoutError):
                await asked
            assert (await get(port, "/livez")).json["alive"]

    story(tell)


def test_it_can_be_switched_off() -> None:
    assert introspection_server(Scene(Settings(disable_introspection=True), lambda: NOON)) is None
