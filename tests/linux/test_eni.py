"""Secondary ENIs in a real kernel: exactly the original's address, table and rule, made once."""

import subprocess
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.linux.namespaces import ENI, IPV4_EVENTS, MAC, SECOND_MAC, rules, run

from vpccni.linux.eni import forget_gone_enis, link_with, set_up_eni, tear_down_eni, wait_for_link
from vpccni.linux.rtnl import Netlink

pytestmark = pytest.mark.kernel


def addresses() -> list[str]:
    return [line.split()[3] for line in run("ip", "-4", "-o", "addr", "show", "eth1").splitlines()]


def table(number: str = "2") -> list[str]:
    return run("ip", "route", "show", "table", number).splitlines()


TABLE = ["default via 192.168.1.1 dev eth1 ", "192.168.1.1 dev eth1 scope link "]


def test_an_eni_gets_its_address_table_and_rule(node: Netlink) -> None:
    changes = set_up_eni(node, ENI, 9001, 5.0)
    assert addresses() == ["192.168.1.20/24"]
    assert table() == TABLE
    assert rules() == ["32765: from 192.168.1.20 lookup 2"]
    assert run("ip", "route", "show", "dev", "eth1") == ""  # main has no way to the subnet by this ENI
    assert "mtu 9001" in run("ip", "link", "show", "eth1")
    assert "set the MTU of eth1 to 9001" in changes
    assert "gave 192.168.1.20/24 to eth1" in changes
    assert "added rule 32765: from 192.168.1.20/32 lookup 2" in changes
    assert not [change for change in changes if "removed" in change]  # nor was there one for a moment


def test_a_second_time_nothing_is_touched(node: Netlink) -> None:
    set_up_eni(node, ENI, 9001, 5.0)
    with Netlink(groups=IPV4_EVENTS) as events:
        assert set_up_eni(node, ENI, 9001, 5.0) == []
        assert not events.events(0.01)


def test_what_the_original_left_is_right_already(node: Netlink) -> None:
    for command in (
        "ip link set eth1 mtu 9001 up",
        "ip addr add 192.168.1.20/24 dev eth1",  # with the kernel's route, which the original deletes
        "ip route del 192.168.1.0/24 dev eth1",
        "ip route add 192.168.1.1 dev eth1 scope link table 2",
        "ip route add default via 192.168.1.1 dev eth1 table 2",
        "ip rule add prio 32765 from 192.168.1.20 lookup 2",
    ):
        run(*command.split())
    assert set_up_eni(node, ENI, 9001, 5.0) == []


@pytest.mark.parametrize(
    "stray",
    ["192.168.1.77/24", "192.168.1.20/32", "10.9.9.9/16"],
    ids=["same subnet", "wrong mask", "elsewhere"],
)
def test_what_a_dhcp_client_gave_the_device_goes(node: Netlink, stray: str) -> None:
    run("ip", "link", "set", "eth1", "up")
    run("ip", "addr", "add", stray, "dev", "eth1")
    run(
        "ip", "addr", "add", "192.168.1.20/24", "dev", "eth1"
    )  # to the kernel perhaps the first one's secondary
    assert f"removed {stray} from eth1" in set_up_eni(node, ENI, 9001, 5.0)
    assert addresses() == ["192.168.1.20/24"]
    assert table() == TABLE
    assert run("ip", "route", "show", "dev", "eth1") == ""
    assert set_up_eni(node, ENI, 9001, 5.0) == []


BREAKS = [
    "ip addr flush dev eth1",
    "ip link set eth1 down",
    "ip link set eth1 mtu 1500",
    "ip route flush table 2",
    "ip route del default table 2",
    "ip route replace default dev eth1 table 2",
    "ip rule del prio 32765",
    "ip route append 192.168.1.0/24 dev eth1 src 192.168.1.20",
    "ip route add 192.168.1.0/24 dev eth1 metric 512",  # as network managers write it
]


@pytest.mark.parametrize("command", BREAKS)
def test_what_was_interrupted_or_broken_is_mended(node: Netlink, command: str) -> None:
    set_up_eni(node, ENI, 9001, 5.0)
    run(*command.split())
    assert set_up_eni(node, ENI, 9001, 5.0)
    assert (addresses(), table(), rules()) == (
        ["192.168.1.20/24"],
        TABLE,
        ["32765: from 192.168.1.20 lookup 2"],
    )
    assert run("ip", "route", "show", "dev", "eth1") == ""
    assert set_up_eni(node, ENI, 9001, 5.0) == []


def test_strangers_in_the_table_and_the_priority_stay(node: Netlink) -> None:
    run("ip", "rule", "add", "prio", "32765", "from", "192.168.1.99", "lookup", "2")
    set_up_eni(node, ENI, 9001, 5.0)
    run("ip", "route", "add", "10.77.0.0/16", "dev", "eth0", "table", "2")
    assert set_up_eni(node, ENI, 9001, 5.0) == []
    changes = tear_down_eni(node, ENI)
    assert "removed rule 32765: from 192.168.1.20/32 lookup 2" in changes
    assert table() == ["10.77.0.0/16 dev eth0 scope link "]
    assert rules() == ["32765: from 192.168.1.99 lookup 2"]
    assert tear_down_eni(node, ENI) == []


def test_tearing_down_after_the_device_is_gone_takes_the_rules(node: Netlink) -> None:
    set_up_eni(node, ENI, 9001, 5.0)
    run("ip", "rule", "add", "prio", "32765", "from", "192.168.1.20", "lookup", "3")  # of an earlier place
    run("ip", "link", "del", "eth1")
    assert len(tear_down_eni(node, ENI)) == 2
    assert rules() == []


def test_a_table_beyond_a_byte(node: Netlink) -> None:
    set_up_eni(node, replace(ENI, network_card=1), 9001, 5.0)
    assert table("10101") == TABLE
    assert rules() == ["32765: from 192.168.1.20 lookup 10101"]


def test_the_primary_is_the_operating_systems(node: Netlink) -> None:
    primary = replace(ENI, device_index=0, mac=MAC, primary_address=IPv4Address("192.168.1.10"))
    before = run("ip", "addr")
    with pytest.raises(OSError, match="eni-2 is the primary ENI"):
        set_up_eni(node, primary, 9001, 5.0)
    assert run("ip", "addr") == before


def test_a_device_is_waited_for_and_missed_in_words(host: Netlink) -> None:
    with pytest.raises(OSError, match="no device with MAC 02:00:00:00:00:09 appeared within 0 s"):
        wait_for_link("02:00:00:00:00:09", 0.05)
    with subprocess.Popen(["sh", "-c", f"sleep 0.2; ip link add x address {MAC} type veth peer name y"]):
        assert wait_for_link(MAC.upper(), 10.0).name == "x"


def test_of_devices_with_one_mac_it_is_the_one_that_the_others_stand_on(node: Netlink) -> None:
    run(
        "ip",
        "link",
        "add",
        "link",
        "eth1",
        "name",
        "above",
        "address",
        SECOND_MAC,
        "type",
        "macvlan",
        "mode",
        "passthru",
    )
    link = link_with(node, SECOND_MAC)
    assert link is not None
    assert link.name == "eth1"


def test_the_subnet_is_the_enis_own(node: Netlink) -> None:
    wide = replace(
        ENI, subnet_cidr=IPv4Network("192.168.0.0/18"), primary_address=IPv4Address("192.168.40.7")
    )
    set_up_eni(node, wide, 1500, 5.0)
    assert addresses() == ["192.168.40.7/18"]
    assert table() == ["default via 192.168.0.1 dev eth1 ", "192.168.0.1 dev eth1 scope link "]


def test_the_rule_of_an_eni_that_went_while_nobody_looked(node: Netlink) -> None:
    set_up_eni(node, ENI, 9001, 1.0)
    run("ip", "rule", "add", "priority", "32765", "from", "192.168.1.99", "lookup", "7")
    run("ip", "rule", "add", "priority", "32765", "from", "192.168.9.0/24", "lookup", "8")
    run("ip", "rule", "add", "priority", "32765", "from", "192.168.1.98", "lookup", "9")
    run("ip", "route", "add", "10.9.0.0/16", "dev", "eth0", "table", "9")
    before = rules()
    assert forget_gone_enis(node, [ENI]) == ["removed rule 32765: from 192.168.1.99/32 lookup 7"]
    assert set(before) - set(rules()) == {"32765: from 192.168.1.99 lookup 7"}
    assert forget_gone_enis(node, [ENI]) == []
