import os
from pathlib import Path

import pytest
from tests.linux.namespaces import run

from vpccni.linux import sysctl
from vpccni.linux.rtnl import Netlink
from vpccni.linux.sysctl import settle_sysctls


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sysctl, "ROOT", str(tmp_path))
    (tmp_path / "a").write_text("0\n")
    return tmp_path


def test_what_differs_is_written_and_said(root: Path) -> None:
    assert settle_sysctls({"a": "2"}) == ["set a to 2"]
    assert (root / "a").read_text().strip() == "2"


def test_what_is_right_is_not_written(root: Path) -> None:
    before = (root / "a").stat().st_mtime_ns
    assert settle_sysctls({"a": "0"}) == []
    assert (root / "a").stat().st_mtime_ns == before


def test_a_feature_that_the_kernel_has_not_is_none_of_ours(root: Path) -> None:
    assert settle_sysctls({"net/ipv6/x": "0", "a": "1"}) == ["set a to 1"]


def test_a_directory_that_somebody_opened_is_used_instead(root: Path) -> None:
    (root / "conf").mkdir()
    (root / "conf" / "b").write_text("1\n")
    directory = os.open(root / "conf", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert settle_sysctls({"b": "0"}, directory=directory) == ["set b to 0"]
    finally:
        os.close(directory)
    assert (root / "conf" / "b").read_text().strip() == "0"


def test_a_refusal_names_the_parameter(root: Path) -> None:
    (root / "c").mkdir()
    with pytest.raises(OSError, match="cannot set c to 1: Is a directory"):
        settle_sysctls({"c": "1"})


@pytest.mark.kernel
def test_the_kernel_takes_it(host: Netlink) -> None:
    assert settle_sysctls({"net/ipv4/conf/lo/rp_filter": "2"}) == ["set net/ipv4/conf/lo/rp_filter to 2"]
    assert settle_sysctls({"net/ipv4/conf/lo/rp_filter": "2"}) == []
    assert run("cat", "/proc/sys/net/ipv4/conf/lo/rp_filter") == "2\n"
