"""The nft table is the original's, made in one transaction, and left when it is right."""

import subprocess
from ipaddress import IPv4Network
from typing import Any

import pytest
from tests.linux.namespaces import run

from vpccni.linux.connmark import remove_connmark, settle_connmark, wanted_chains
from vpccni.linux.nft import NftError, chains_of, run_nft
from vpccni.linux.rtnl import Netlink

VPC = (IPv4Network("10.11.0.0/16"), IPv4Network("10.10.0.0/16"))
WANTED = wanted_chains("eni", 0x80, VPC)


def listed() -> str:
    return run("nft", "-s", "list", "table", "ip", "aws-cni")


def handles() -> str:
    """Not one chain or rule was made again."""
    return run("nft", "-a", "list", "table", "ip", "aws-cni")


@pytest.mark.kernel
def test_the_table_is_the_originals(host: Netlink) -> None:
    assert settle_connmark(WANTED) == ["made the nft table ip aws-cni"]
    assert [line.strip() for line in listed().splitlines() if line.strip()] == [
        "table ip aws-cni {",
        "chain nat-prerouting {",
        "type nat hook prerouting priority dstnat + 10; policy accept;",
        "fib daddr type local return",
        'iifname "eni*" counter jump snat-mark',
        "counter meta mark set ct mark & 0x00000080",
        "}",
        "chain snat-mark {",
        "counter ip daddr 10.11.0.0/16 return",
        "counter ip daddr 10.10.0.0/16 return",
        "counter ct mark set ct mark | 0x00000080",
        "}",
        "}",
    ]


@pytest.mark.kernel
@pytest.mark.parametrize("mark", [0x1, 0x80, 0x81, 0x40000, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/8", "10.0.0.7/32"])
def test_whatever_the_settings_a_second_time_nothing_is_touched(host: Netlink, mark: int, cidr: str) -> None:
    wanted = wanted_chains("a.b", mark, (IPv4Network(cidr),))
    settle_connmark(wanted)
    before = handles()
    assert settle_connmark(wanted) == []
    assert handles() == before


BREAKS = [
    "flush chain ip aws-cni snat-mark",
    "delete table ip aws-cni",
    "add rule ip aws-cni snat-mark ip daddr 10.99.0.0/16 return",
    "insert rule ip aws-cni nat-prerouting accept",
    "add chain ip aws-cni theirs",
    "add set ip aws-cni theirs { type ipv4_addr; }",
    "flush table ip aws-cni; delete chain ip aws-cni nat-prerouting; add chain ip aws-cni nat-prerouting "
    "{ type nat hook prerouting priority -100; policy accept; }",
]


@pytest.mark.kernel
@pytest.mark.parametrize("command", BREAKS)
def test_whatever_was_broken_or_added_is_mended(host: Netlink, command: str) -> None:
    settle_connmark(WANTED)
    right = listed()
    run("nft", command)
    assert settle_connmark(WANTED) == ["made the nft table ip aws-cni"]
    assert listed() == right
    assert settle_connmark(WANTED) == []


@pytest.mark.kernel
def test_other_tables_stay(host: Netlink) -> None:
    run("nft", "add table inet theirs; add chain inet theirs c; add table ip6 aws-cni")
    before = run("nft", "list", "ruleset")
    settle_connmark(WANTED)
    assert remove_connmark() == ["removed the nft table ip aws-cni"]
    assert remove_connmark() == []
    assert run("nft", "list", "ruleset") == before


@pytest.mark.kernel
def test_new_cidrs_are_there(host: Netlink) -> None:
    settle_connmark(WANTED)
    more = wanted_chains("eni", 0x80, (*VPC, IPv4Network("10.12.0.0/16")))
    assert settle_connmark(more) == ["made the nft table ip aws-cni"]
    assert "10.12.0.0/16" in listed()


def test_a_refusal_is_in_nfts_own_words() -> None:
    with pytest.raises(NftError, match=r"nft failed: .*unrecognized option"):
        run_nft(["--no-such-option"], None)


def test_an_nft_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("nft", 30.0)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(NftError, match="nft failed: no answer within 30 s"):
        remove_connmark()


def test_handles_and_counts_are_not_compared() -> None:
    expr = [{"counter": {"packets": 7, "bytes": 8}}, {"return": None}]
    items: list[dict[str, Any]] = [
        {"metainfo": {"version": "1.0.6"}},
        {"table": {"family": "ip", "name": "aws-cni", "handle": 9}},
        {"chain": {"family": "ip", "table": "aws-cni", "name": "c", "handle": 1}},
        {"rule": {"family": "ip", "table": "aws-cni", "chain": "c", "handle": 5, "expr": expr}},
    ]
    assert chains_of(items) == {"c": ({}, [[{"counter": None}, {"return": None}]])}
