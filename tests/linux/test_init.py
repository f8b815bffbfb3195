"""The init step: the parameters of spec 1.2, written once; who may not write them is told what to do."""

import os
from pathlib import Path

import pytest
from tests.linux.namespaces import MAC, run

from vpccni.agent import init
from vpccni.agent.init import main, prepare, wanted_sysctls
from vpccni.aws.imds import ImdsError
from vpccni.linux.rtnl import Netlink

PLAIN = {"net/ipv4/conf/eth0/rp_filter": "2", "net/ipv4/tcp_early_demux": "1"}
FORWARDING = {"net/ipv6/conf/all/forwarding": "1", "net/ipv6/conf/eth0/accept_ra": "2"}


class Metadata:
    def __init__(self, *answers: str | ImdsError | None) -> None:
        self.answers = list(answers)

    def get(self, path: str) -> str | None:
        assert path == "/latest/meta-data/mac"
        answer = self.answers.pop(0)
        if isinstance(answer, ImdsError):
            raise answer
        return answer


SILENT = ImdsError("/latest/meta-data/mac", None, "does not answer", "wait")


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, PLAIN),
        ({"DISABLE_TCP_EARLY_DEMUX": "true"}, PLAIN | {"net/ipv4/tcp_early_demux": "0"}),
        ({"DISABLE_TCP_EARLY_DEMUX": "perhaps"}, PLAIN),
        ({"ENABLE_V6_EGRESS": "true"}, PLAIN | FORWARDING),
        ({"ENABLE_IPv6": "true"}, PLAIN | {"net/ipv6/conf/all/disable_ipv6": "0"} | FORWARDING),
    ],
)
def test_what_is_wanted(environ: dict[str, str], wanted: dict[str, str]) -> None:
    assert wanted_sysctls("eth0", environ) == wanted


@pytest.mark.kernel
def test_it_is_written_once(node: Netlink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "METADATA_PAUSE", 0.0)
    environ = {"ENABLE_IPv6": "true", "DISABLE_TCP_EARLY_DEMUX": "1"}
    changes = prepare(Metadata(SILENT, f"{MAC}\n"), environ)
    assert "set net/ipv4/conf/eth0/rp_filter to 2" in changes
    for path, value in wanted_sysctls("eth0", environ).items():
        assert Path("/proc/sys", path).read_text().strip() == value
    assert prepare(Metadata(MAC), environ) == []


@pytest.mark.kernel
def test_who_may_not_write_is_told_all_that_is_wrong_and_what_to_do(
    node: Netlink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, os.strerror(30))

    run("sysctl", "-q", "net.ipv4.tcp_early_demux=0")
    monkeypatch.setattr("vpccni.linux.sysctl._write", refuse)
    with pytest.raises(OSError, match="privileged: true") as caught:
        prepare(Metadata(MAC), {})
    assert "cannot set net/ipv4/conf/eth0/rp_filter to 2: Read-only file system; " in str(caught.value)
    assert "cannot set net/ipv4/tcp_early_demux to 1: Read-only file system: " in str(caught.value)


@pytest.mark.kernel
def test_the_command_says_what_it_did_and_why_it_could_not(
    node: Netlink, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(init, "Imds", lambda _: Metadata(MAC))
    main()
    assert "set net/ipv4/conf/eth0/rp_filter to 2\n" in capsys.readouterr().out
    main()
    assert capsys.readouterr().out == "everything was prepared already\n"
    monkeypatch.setattr(init, "METADATA_WAIT", -1.0)
    for answer, said in ((None, "does not tell"), (SILENT, "IMDS does not answer")):
        monkeypatch.setattr(init, "Imds", lambda _, given=answer: Metadata(given))
        with pytest.raises(SystemExit, match=f"the node is not prepared: .*{said}"):
            main()


def test_the_images_plugins_are_copied_where_they_differ(tmp_path: Path) -> None:
    plugins, bin_dir = tmp_path / "plugins", tmp_path / "bin"
    assert init.install_stock_plugins(plugins, bin_dir) == []
    plugins.mkdir()
    for name in ("loopback", "portmap"):
        (plugins / name).write_text(f"new {name}")
    bin_dir.mkdir()
    (bin_dir / "portmap").write_text("old")
    (bin_dir / "other").write_text("the host's own")
    assert init.install_stock_plugins(plugins, bin_dir) == [f"installed loopback, portmap in {bin_dir}"]
    assert init.install_stock_plugins(plugins, bin_dir) == []
    assert {path.name: path.read_text() for path in bin_dir.iterdir()} == {
        "loopback": "new loopback", "portmap": "new portmap", "other": "the host's own",
    }  # fmt: skip
    assert (bin_dir / "loopback").stat().st_mode & 0o777 == 0o755
