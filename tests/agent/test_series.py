"""The metrics page, asked by a real client and parsed by Prometheus' own parser."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.agent.scenes import NOON, get, scene_of, serving, small_world
from tests.agent.test_loop import World, story
from tests.ipam.builders import eni
from vpccni.agent.cni_call import CniError
from vpccni.agent.exposition import Family, counter, gauge, histogram, render, summary
from vpccni.agent.scene import Scene
from vpccni.agent.series import families, metrics, metrics_server
from vpccni.agent.settings import Settings
from vpccni.histogram import Histogram
from vpccni.ipam.actions import Failed, ReleaseAddresses
from vpccni.ipam.adaptive import Adaptive
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import Pod, SubnetId, SubnetOffer

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
ORIGINAL = {
    # spec 8.2, all of it
    "awscni_build_info": ("gauge", "version goversion"),
    "awscni_ipamd_error_count": ("counter", "fn"),
    "awscni_ipamd_action_inprogress": ("gauge", "fn"),
    "awscni_eni_max": ("gauge", ""),
    "awscni_ip_max": ("gauge", ""),
    "awscni_reconcile_count": ("counter", "fn"),
    "awscni_add_ip_req_count": ("counter", ""),
    "awscni_del_ip_req_count": ("counter", "reason"),
    "awscni_pod_eni_error_count": ("counter", "fn"),
    "awscni_aws_api_latency_ms": ("summary", "api error status"),
    "awscni_aws_api_error_count": ("counter", "api error"),
    "awscni_aws_utils_error_count": ("counter", "fn error"),
    "awscni_ec2api_req_count": ("counter", "fn"),
    "awscni_ec2api_error_count": ("counter", "fn"),
    "awscni_eni_allocated": ("gauge", ""),
    "awscni_total_ip_addresses": ("gauge", ""),
    "awscni_assigned_ip_addresses": ("gauge", ""),
    "awscni_total_ipv4_prefixes": ("gauge", ""),
    "awscni_force_removed_enis": ("counter", ""),
    "awscni_force_removed_ips": ("counter", ""),
    "awscni_no_available_ip_addresses": ("counter", ""),
    "awscni_assigned_ip_per_cidr": ("gauge", "cidr"),
    "awscni_assigned_ip_per_eni": ("gauge", "eni"),
    "awscni_ipamd_startup_duration_seconds": ("histogram", "success with_api_server failure_reason"),
    "awscni_ipamd_node_initialization_duration_seconds": ("histogram", "success"),
    "awscni_connmark_backend": ("gauge", "backend"),
    "awscni_connmark_reconcile_total": ("counter", "result"),
}


async def lively() -> Scene:
    """A scene in which everything that can be counted has been."""
    world = World(WarmTargets(warm_ip=1), max_enis=2)
    await world.add("a")
    await world.add("b")
    await world.delete("b")
    scene = scene_of(world)
    counters = scene.counters
    counters.action_failed(Failed(ReleaseAddresses(eni(0).id, ()), Refusal(Reason.THROTTLED)))
    counters.reconciled["eniReconcileAdd"] += 1
    counters.pod_eni_errors["trunk"] += 1
    counters.aws_utils_errors["GetAttachedENIs", "timeout"] += 1
    counters.connmark_backend = "iptables"
    counters.startup_took(0.7, with_api_server=False)
    counters.initialisation_took(0.3, success=True)
    for code, status in (("ok", 200), ("RequestLimitExceeded", 503), ("Unreachable", None)):
        scene.calls.record("AttachNetworkInterface", code, 0.25, status)
    scene.budget.take("AttachNetworkInterface", 0.0)
    world.agent.ipam.state.placement.offers = (
        SubnetOffer(SubnetId("subnet-1"), eni(0).subnet_cidr, free=11),
    )
    world.agent.ipam.pool.shortest_reuse = 31.5
    adaptive = world.agent.ipam.warmth = Adaptive(WarmTargets())
    for number in range(40):
        adaptive.asked(Pod("default", f"p{number}"), 0.0, waits=False)
    adaptive.targets(world.agent.ipam.state, 0.0, 0)
    return scene


async def page(scene: Scene) -> str:
    async with serving(metrics(scene)) as port:
        got = await get(port, "/metrics")
        assert got.kind == "text/plain; version=0.0.4; charset=utf-8"
        return got.body.decode()


def samples(text: str) -> dict[str, list[Sample]]:
    return {family.name: family.samples for family in text_string_to_metric_families(text)}


def of(family: Family) -> tuple[str, str]:
    return family.kind, " ".join(family.label_names)


def test_every_series_of_the_original_has_its_name_type_and_labels() -> None:
    async def tell() -> None:
        ours = {family.name: of(family) for family in families(await lively())}
        assert {name: ours.get(name) for name in ORIGINAL} == ORIGINAL
        assert {name for name in ours if name.startswith("awscni_")} == set(ORIGINAL)
        assert all(name.startswith(("awscni_", "vpccni_", "process_")) for name in ours)

    story(tell)


def test_the_documentation_lists_what_is_exported_and_nothing_else() -> None:
    async def tell() -> None:
        row = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| [^|]+ \|$", re.MULTILINE)
        written = {
            name: (kind, re.sub(r"[`,]", "", labels).strip())
            for name, kind, labels in row.findall(DOCS.read_text())
        }
        assert written == {family.name: of(family) for family in families(await lively())}

    story(tell)


def test_counters_keep_the_originals_names_on_the_page() -> None:
    async def tell() -> None:
        text = await page(await lively())
        assert "# TYPE awscni_add_ip_req_count counter\nawscni_add_ip_req_count 2\n" in text
        assert 'awscni_del_ip_req_count{reason="PodDeleted"} 1\n' in text
        assert 'awscni_del_ip_req_count{reason="SetupNSFailed"} 0\n' in text
        assert 'awscni_connmark_reconcile_total{result="error"} 0\n' in text
        assert 'awscni_ipamd_action_inprogress{fn="nodeInit"} 0\n' in text
        assert "awscni_eni_max 2\n" in text
        assert "awscni_ip_max 4\n" in text
        assert 'awscni_assigned_ip_per_cidr{cidr="10.0.1.0/32"} 1\n' in text
        assert "awscni_no_available_ip_addresses 1\n" in text

    story(tell)


def test_calls_to_ec2_as_the_original_counts_them_and_as_we_do() -> None:
    async def tell() -> None:
        text = await page(await lively())
        latency = 'awscni_aws_api_latency_ms_sum{api="AttachNetworkInterface",error='
        assert latency + '"false",status="200"} 250\n' in text
        assert latency + '"true",status="503"} 250\n' in text
        assert latency + '"true",status=""} 250\n' in text
        assert "quantile" not in text
        assert 'awscni_aws_api_error_count{api="AttachNetworkInterface",error="Unreachable"} 1\n' in text
        assert 'awscni_ec2api_req_count{fn="AttachNetworkInterface"} 3\n' in text
        assert 'awscni_ec2api_error_count{fn="AttachNetworkInterface"} 2\n' in text
        assert 'vpccni_ec2_call_seconds_count{action="AttachNetworkInterface",code="ok"} 1\n' in text
        assert 'vpccni_ec2_budget_pace{action="AttachNetworkInterface"} 1\n' in text
        assert 'awscni_ipamd_error_count{fn="decreaseIPPool"} 1\n' in text

    story(tell)


def test_phases_of_pods_are_measured() -> None:
    async def tell() -> None:
        parsed = samples(await page(await lively()))
        counts = {
            (s.name, s.labels["phase"]): s.value
            for name in ("vpccni_add_seconds", "vpccni_del_seconds")
            for s in parsed[name]
            if s.name.endswith("_count")
        }
        assert counts == {
            ("vpccni_add_seconds_count", "wait"): 2,
            ("vpccni_add_seconds_count", "checkpoint"): 2,
            ("vpccni_add_seconds_count", "wiring"): 2,
            ("vpccni_add_seconds_count", "total"): 2,
            ("vpccni_del_seconds_count", "wiring"): 1,
            ("vpccni_del_seconds_count", "checkpoint"): 1,
            ("vpccni_del_seconds_count", "total"): 1,
        }
        assert parsed["vpccni_waits"][0].value == 1
        assert parsed["vpccni_wait_seconds"][0].value > 0

    story(tell)


def test_the_pool_by_kind_eni_and_state_adds_up() -> None:
    async def tell() -> None:
        scene = await lively()
        parsed = samples(await page(scene))
        states = {(s.labels["kind"], s.labels["state"]): s.value for s in parsed["vpccni_addresses"]}
        assert states["secondary-ip", "assigned"] == 1
        assert states["secondary-ip", "cooling"] == 1
        by_eni = sum(s.value for s in parsed["vpccni_eni_addresses"])
        assert sum(states.values()) == by_eni == parsed["awscni_total_ip_addresses"][0].value
        assert parsed["vpccni_subnet_free_addresses"][0].value == 11
        assert parsed["vpccni_shortest_reuse_seconds"][0].value == 31.5
        assert parsed["vpccni_ready"][0].value == 1

    story(tell)


def test_refusals_are_counted_by_reason() -> None:
    async def tell() -> None:
        world = small_world()
        world.ec2.refusal = Refusal(Reason.SUBNET_FULL, "subnet-1 is full")
        with pytest.raises(CniError):
            await world.add("a")
        text = await page(scene_of(world))
        assert 'vpccni_refusals_total{reason="SubnetFull"} 1\n' in text
        assert 'vpccni_refusals_total{reason="Throttled"} 0\n' in text
        assert "awscni_no_available_ip_addresses 1\n" in text
        assert 'awscni_ipamd_error_count{fn="increaseIPPoolAllocIPAddressesFailed"} 1\n' in text
        assert "vpccni_ready 0\n" in text

    story(tell)


def test_before_the_start_there_is_a_page_too() -> None:
    async def tell() -> None:
        scene = Scene(Settings(), lambda: NOON)
        scene.counters.initialising = 1
        text = await page(scene)
        assert 'awscni_ipamd_action_inprogress{fn="nodeInit"} 1\n' in text
        assert 'vpccni_condition{condition="starting"} 1\n' in text
        async with serving(metrics(scene)) as port:
            assert (await get(port, "/readyz")).status == 503
            assert (await get(port, "/livez")).status == 200
            assert (await get(port, "/")).status == 404

    story(tell)


def test_it_can_be_switched_off() -> None:
    assert metrics_server(Scene(Settings(disable_metrics=True), lambda: NOON)) is None


def test_the_process_is_this_one() -> None:
    async def tell() -> None:
        parsed = samples(await page(Scene(Settings(), lambda: NOON)))
        resident = parsed["process_resident_memory_bytes"][0].value
        status = Path("/proc/self/status").read_text()
        kib = int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])
        assert resident == pytest.approx(kib * 1024, rel=0.3)
        assert parsed["process_open_fds"][0].value > 2
        assert parsed["process_start_time_seconds"][0].value > 1.6e9

    story(tell)


def test_what_is_special_is_escaped_and_numbers_are_gos() -> None:
    text = render([gauge("x", "a\nb\\c", ({"l": 'q"\\\n'}, 1.5)), counter("y", "", ({}, 1e21), ({}, 3.0))])
    assert text.decode() == (
        '# HELP x a\\nb\\\\c\n# TYPE x gauge\nx{l="q\\"\\\\\\n"} 1.5\n# HELP y \n# TYPE y counter\ny 1e+21\ny 3\n'
    )
    (family, _) = text_string_to_metric_families(text.decode())
    assert family.samples[0].labels == {"l": 'q"\\\n'}


def test_a_value_on_a_bound_belongs_to_it() -> None:
    h = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 1.0, 7.0):
        h.observe(value)
    assert h.count == 5
    text = render([histogram("h", "", ({"a": "b"}, h)), summary("s", "", ({}, h))]).decode()
    assert 'h_bucket{a="b",le="0.1"} 2\nh_bucket{a="b",le="1"} 4\nh_bucket{a="b",le="+Inf"} 5\n' in text
    assert "s_count 5\n" in text
    copied = h.copy()
    h.observe(3.0)
    assert (copied.count, h.count) == (5, 6)
