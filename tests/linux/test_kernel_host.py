"""The agent's view of the host: both layouts under a watcher, exchanged while pods run."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from tests.linux.namespaces import MAC, MakeSandbox, Sandbox, rules, run
from tests.linux.vpc import SECOND, SETTINGS, SUBNET, Vpc, pinging

from vpccni.agent.cni_call import CniCall
from vpccni.agent.host import KernelHost, legacy_poll, open_layout
from vpccni.agent.settings import Settings
from vpccni.agent.wire import PluginRequest
from vpccni.ipam.values import Assignment, Eni, EniId, Pod, SandboxKey, SubnetId
from vpccni.linux.layout import RulesLayout
from vpccni.linux.rtnl import Netlink

pytestmark = pytest.mark.kernel
PRIMARY = Eni(EniId("eni-1"), MAC, 0, SubnetId("subnet-1"), SUBNET, IPv4Address("10.0.0.10"))


def assignment(number: int, eni: Eni) -> Assignment:
    key = SandboxKey("aws-cni", f"c{number}", "eth0")
    return Assignment(key, Pod("default", f"p{number}"), IPv4Address("10.0.0.0") + number, eni.id, 0.0)


def call(command: str, given: Assignment) -> CniCall:
    return CniCall(
        command, "0.4.0", "aws-cni", given.key.container_id, "eth0", "/proc/self/ns/net", given.pod
    )


async def add(host: KernelHost, vpc: Vpc, pod: Sandbox, number: int, eni: Eni) -> Assignment:
    given = assignment(number, eni)
    request = PluginRequest({}, b"", netns=pod.fd, netlink=pod.netlink.sock.fileno())
    await host.wire(request, call("ADD", given), given, eni)
    assert await host.check(request, call("CHECK", given), given, eni) == []
    vpc.hold(str(given.address), 0 if eni is PRIMARY else 1)
    return given


@pytest.mark.parametrize("layout", list(RulesLayout))
def test_pods_come_stay_over_a_restart_are_watched_laid_out_anew_and_go(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, layout: RulesLayout
) -> None:
    settings = Settings(rules=layout)
    other = next(each for each in RulesLayout if each is not layout)
    first, second = sandbox(), sandbox()

    async def life() -> tuple[Assignment, Assignment]:
        kernel = KernelHost(settings)
        await kernel.set_up(SETTINGS)
        with pytest.raises(OSError, match="it is not known yet"):
            kernel.watch(lambda: (PRIMARY, SECOND))
        await kernel.keep_only([])
        given = await add(kernel, vpc, first, 101, PRIMARY), await add(kernel, vpc, second, 102, SECOND)
        kernel.close()
        return given

    async def next_life(given: tuple[Assignment, Assignment]) -> None:
        kernel = KernelHost(settings)
        assert await kernel.set_up(SETTINGS) == []
        assert list((await kernel.look()).values()) == [IPv4Address("10.0.0.101"), IPv4Address("10.0.0.102")]
        # the second's ENI is one that metadata does not show yet: what it has stays
        assert await kernel.keep_only([(given[0], PRIMARY)], [(given[1], PRIMARY)]) == []
        await kernel.keep_only([(given[0], PRIMARY), (given[1], SECOND)])
        kernel.watch(lambda: (PRIMARY, SECOND))
        with pinging(second, "10.0.0.1") as said:
            for rule in ("512", "1536"):
                run("ip", "rule", "del", "prio", rule)
                right = 10.0
                while not any(line.startswith(f"{rule}:") for line in rules()) and right > 0:
                    await asyncio.sleep(0.05)
                    right -= 0.05
                assert right > 0
        assert "packet loss" in said[0]
        before = sorted(rules())
        with pinging(second, "10.0.0.1") as said:
            await kernel.lay_out(other)
            assert sorted(rules()) != before
            await kernel.lay_out(layout)
        assert sorted(rules()) == before
        assert " 0% packet loss" in said[0]
        for each, eni in zip(given, (PRIMARY, SECOND), strict=True):
            for _ in range(2):
                await kernel.unwire(each.pod, each, eni, keep_link=False)
        await asyncio.sleep(0.3)  # the watcher brings nothing of them back
        assert not [rule for rule in rules() if "10.0.0.10" in rule]
        await kernel.stop_watching()
        kernel.close()

    given = asyncio.run(life())
    asyncio.run(next_life(given))


def test_a_node_without_nft_is_laid_out_compatibly(
    host: Netlink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert open_layout(RulesLayout.COMPACT, 0x80) is None
    assert "VPC_CNI_RULES=compact cannot be: nft failed: there is no nft command" in caplog.text


@pytest.mark.usefixtures("legacy")
def test_a_legacy_iptables_is_polled(host: Netlink, node: Netlink) -> None:
    poll = legacy_poll()
    assert poll is not None
    before = poll()
    assert poll() == before
    run("iptables", "-t", "nat", "-N", "X")
    assert poll() != before


def test_an_iptables_that_tells_is_not(host: Netlink) -> None:
    assert legacy_poll() is None


def test_a_mark_of_ones_own_leaves_other_bits_for_the_enis() -> None:
    for mark in (0x80, 0x1, 0x40, 0x10000, 0x100):
        sources = open_layout(RulesLayout.COMPACT, mark)
        assert sources is not None
        assert not sources.mask & mark
        sources.close()
    assert replace(SETTINGS, mark=0x1).mark == 1
