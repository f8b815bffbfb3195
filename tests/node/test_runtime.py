"""The runtime calls plugins as libcni and containerd do."""

import asyncio
import base64
import json
import stat
from dataclasses import replace

import pytest

from tests.node.conftest import SANDBOX, PluginBench
from vpclab.node import CniError, NoNetworkError

PORTS = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
ARGS = (
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=c0ffee;"
    "K8S_POD_UID=uid-1"
)
RESULT = {"cniVersion": "0.4.0", "from": "second"}


def test_what_a_plugin_is_told_to_the_byte(bench: PluginBench) -> None:
    sandbox = replace(SANDBOX, capabilities={"portMappings": PORTS, "dns": {"servers": []}})
    asyncio.run(bench.runtime.add(sandbox))
    first, second = bench.calls()
    assert first.env == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c0ffee",
        "CNI_NETNS": "/run/netns/cni-1",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": ARGS,
        "CNI_PATH": str(bench.root / "bin"),
    }
    assert second.env == first.env
    assert first.stdin == (
        b'{"capabilities":{"dns":false,"portMappings":true},"cniVersion":"0.4.0","mtu":"9001","name":"aws-cni",'
        b'"runtimeConfig":{"portMappings":[{"containerPort":80,"hostPort":8080,"protocol":"tcp"}]},"type":"first"}'
    )
    assert second.stdin == (
        b'{"cniVersion":"0.4.0","name":"aws-cni",'
        b'"prevResult":{"cniVersion":"0.4.0","from":"first"},"type":"second"}'
    )


def test_add_goes_through_the_chain_and_del_back_twice_with_the_cached_result_first(
    bench: PluginBench,
) -> None:
    async def story() -> None:
        assert await bench.runtime.add(SANDBOX) == RESULT
        assert bench.order() == ["ADD first", "ADD second"]
        await bench.runtime.check(SANDBOX)
        checks = bench.calls()
        assert [call.plugin for call in checks] == ["first", "second"]
        assert [call.conf["prevResult"] for call in checks] == [RESULT, RESULT]
        await bench.runtime.delete(SANDBOX)
        calls = bench.calls()
        assert [call.plugin for call in calls] == ["second", "first", "second", "first"]
        assert [call.conf.get("prevResult") for call in calls] == [RESULT, RESULT, None, None]
        assert [call.env["CNI_NETNS"] for call in calls] == ["/run/netns/cni-1"] * 2 + [""] * 2
        assert list((bench.root / "results").iterdir()) == []
        await bench.runtime.delete(SANDBOX, twice=False)
        assert bench.order() == ["DEL second", "DEL first"]

    asyncio.run(story())


def test_the_cache_has_libcnis_shape(bench: PluginBench) -> None:
    raw = bench.configure()
    sandbox = replace(SANDBOX, capabilities={"portMappings": PORTS})
    asyncio.run(bench.runtime.add(sandbox))
    directory = bench.root / "results"
    [file] = directory.iterdir()
    assert file.name == "aws-cni-c0ffee-eth0"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert json.loads(file.read_text()) == {
        "kind": "cniCacheV1",
        "containerId": "c0ffee",
        "config": base64.b64encode(raw).decode(),
        "ifName": "eth0",
        "networkName": "aws-cni",
        "netns": "/run/netns/cni-1",
        "cniArgs": [pair.split("=") for pair in ARGS.split(";")],
        "capabilityArgs": {"portMappings": PORTS},
        "result": RESULT,
    }


def test_a_failed_add_is_followed_by_del_and_told_by_the_plugins_own_error(bench: PluginBench) -> None:
    bench.fails("second", "ADD", '{"code": 7, "msg": "no", "details": "because"}')
    bench.fails("first", "DEL", '{"code": 999, "msg": "a later one"}')
    with pytest.raises(CniError, match=r"second ADD: no \(because\)") as caught:
        asyncio.run(bench.runtime.add(SANDBOX))
    error = caught.value
    assert (error.plugin, error.command, error.code, error.msg, error.details) == (
        "second", "ADD", 7, "no", "because",
    )  # fmt: skip
    assert bench.order() == ["ADD first", "ADD second", "DEL second", "DEL first"]
    assert not (bench.root / "results").exists()


def test_a_failed_del_stops_the_chain_and_is_tried_again_with_the_result(bench: PluginBench) -> None:
    async def story() -> None:
        await bench.runtime.add(SANDBOX)
        bench.calls()
        bench.fails("second", "DEL", '{"code": 11, "msg": "busy"}')
        with pytest.raises(CniError, match="busy"):
            await bench.runtime.delete(SANDBOX)
        assert bench.order() == ["DEL second"]
        bench.heals("second", "DEL")
        await bench.runtime.delete(SANDBOX, twice=False)
        assert [call.conf["prevResult"] for call in bench.calls()] == [RESULT, RESULT]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("panic: oops", "failed with status 1: panic: oops"),
        ("", "failed with status 1: no word"),
        ('{"msg": "no code"}', 'failed with status 1: {"msg": "no code"}'),
        ("[1]", r"failed with status 1: \[1\]"),
    ],
)
def test_a_plugin_that_fails_without_an_error_object_is_told_in_words(
    bench: PluginBench, said: str, told: str
) -> None:
    bench.fails("first", "ADD", said)
    with pytest.raises(CniError, match=told) as caught:
        asyncio.run(bench.runtime.add(SANDBOX))
    assert caught.value.code == 999


def test_a_plugin_that_is_not_there_or_talks_no_json_is_an_error_too(bench: PluginBench) -> None:
    bench.says("second", "ADD", "hello")
    with pytest.raises(CniError, match="printed no JSON: 'hello'"):
        asyncio.run(bench.runtime.add(SANDBOX))
    bench.says("second", "ADD", "")
    with pytest.raises(CniError, match="succeeded without a result"):
        asyncio.run(bench.runtime.add(SANDBOX))
    (bench.root / "bin" / "first").unlink()
    with pytest.raises(CniError, match="No such file"):
        asyncio.run(bench.runtime.add(SANDBOX))


def test_check_is_not_made_if_the_configuration_says_so_and_refused_if_it_is_too_old(
    bench: PluginBench,
) -> None:
    bench.configure(disableCheck=True)
    asyncio.run(bench.runtime.check(SANDBOX))
    assert bench.order() == []
    bench.configure(cniVersion="0.3.1")
    with pytest.raises(CniError, match=r"version 0\.3\.1 does not support the CHECK command"):
        asyncio.run(bench.runtime.check(SANDBOX))
    bench.configure()
    bench.fails("first", "CHECK", '{"code": 101, "msg": "route gone"}')
    with pytest.raises(CniError, match="route gone"):
        asyncio.run(bench.runtime.check(SANDBOX))
    assert bench.order() == ["CHECK first"]


def test_before_0_4_0_del_gets_no_result(bench: PluginBench) -> None:
    bench.configure(cniVersion="0.3.1")

    async def story() -> None:
        await bench.runtime.add(SANDBOX)
        bench.calls()
        await bench.runtime.delete(SANDBOX, twice=False)
        assert [call.conf.get("prevResult") for call in bench.calls()] == [None, None]

    asyncio.run(story())


def test_status_and_gc_are_for_1_1_0(bench: PluginBench) -> None:
    async def story() -> None:
        await bench.runtime.status()
        assert bench.order() == []
        bench.configure(cniVersion="1.1.0")
        await bench.runtime.status()
        calls = bench.calls()
        assert [(call.command, call.plugin) for call in calls] == [("STATUS", "first"), ("STATUS", "second")]
        assert calls[0].env == {
            "CNI_COMMAND": "STATUS", "CNI_PATH": str(bench.root / "bin"), "CNI_CONTAINERID": "", "CNI_NETNS": "",
            "CNI_IFNAME": "", "CNI_ARGS": "",
        }  # fmt: skip
        bench.fails("first", "STATUS", '{"code": 50, "msg": "no addresses"}')
        with pytest.raises(CniError, match="no addresses"):
            await bench.runtime.status()
        assert bench.order() == ["STATUS first"]

    asyncio.run(story())


def test_gc_deletes_what_is_remembered_and_no_more_valid(bench: PluginBench) -> None:
    stays, goes = (replace(SANDBOX, container_id=f"c0ffe{n}") for n in range(2))

    async def story() -> None:
        for sandbox in (stays, goes):
            await bench.runtime.add(sandbox)
        bench.calls()
        await bench.runtime.collect_garbage([stays])
        calls = bench.calls()
        assert [(call.command, call.env["CNI_CONTAINERID"]) for call in calls] == [("DEL", "c0ffe1")] * 2
        assert calls[0].env["CNI_NETNS"] == goes.netns
        assert calls[0].env["CNI_ARGS"] == goes.cni_args
        bench.configure(cniVersion="1.1.0")
        await bench.runtime.collect_garbage([stays])
        calls = bench.calls()
        assert [(call.command, call.plugin) for call in calls] == [("GC", "first"), ("GC", "second")]
        assert calls[0].conf["cni.dev/valid-attachments"] == [{"containerID": "c0ffe0", "ifname": "eth0"}]
        bench.fails("first", "GC", '{"code": 5, "msg": "one"}')
        bench.fails("second", "DEL", '{"code": 5, "msg": "two"}')
        with pytest.raises(ExceptionGroup) as caught:
            await bench.runtime.collect_garbage([])
        assert [str(error) for error in caught.value.exceptions] == ["second DEL: two", "first GC: one"]
        assert bench.order() == ["DEL second", "GC first", "GC second"]

    asyncio.run(story())


def test_without_a_configuration_nothing_is_called(bench: PluginBench) -> None:
    (bench.root / "net.d" / "10-aws.conflist").unlink()
    for step in (bench.runtime.add, bench.runtime.delete, bench.runtime.check):
        with pytest.raises(NoNetworkError):
            asyncio.run(step(SANDBOX))
    assert bench.order() == []
