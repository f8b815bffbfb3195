import json
import os
import subprocess
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from vpccni.agent.conflist import conflist, write_conflist
from vpccni.agent.files import write_whole
from vpccni.agent.install import install_plugins, interpreter, plugin_text
from vpccni.agent.settings import Settings


def test_the_installed_plugin_runs_and_a_second_installation_does_not_touch_it(tmp_path: Path) -> None:
    assert install_plugins(tmp_path)
    installed = tmp_path / "aws-cni"
    before = (installed.stat().st_ino, installed.stat().st_mtime_ns)
    done = subprocess.run([installed], env={"CNI_COMMAND": "VERSION"}, capture_output=True)
    assert json.loads(done.stdout)["cniVersion"] == "1.1.0"
    assert not install_plugins(tmp_path)
    assert (installed.stat().st_ino, installed.stat().st_mtime_ns) == before


def test_an_interpreter_that_does_not_run_is_an_error_in_words() -> None:
    with pytest.raises(OSError, match="cannot compile the plugin"):
        plugin_text(Path("/bin/false"))
    assert interpreter().is_file()


def test_a_file_is_put_in_place_whole_and_only_when_it_differs(tmp_path: Path) -> None:
    path = tmp_path / "net.d" / "x"
    assert write_whole(path, b"one", 0o644)
    assert not write_whole(path, b"one", 0o644)
    assert write_whole(path, b"one", 0o600)
    assert write_whole(path, b"two", 0o600)
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["x"]


def test_the_conflist_is_the_originals_for_the_plugins_that_we_have(tmp_path: Path) -> None:
    settings = Settings(
        host_conf_dir=tmp_path, bandwidth_plugin=True, disable_pod_v6=True, pod_mtu=1500, veth_prefix="veth"
    )
    assert write_conflist(settings)
    assert not write_conflist(settings)
    found = json.loads((tmp_path / "10-aws.conflist").read_text())
    assert found == conflist(settings)
    assert (found["cniVersion"], found["name"]) == ("0.4.0", "aws-cni")
    assert [p["type"] for p in found["plugins"]] == ["aws-cni", "portmap", "bandwidth", "tuning"]
    assert found["plugins"][0]["mtu"] == "1500"
    assert found["plugins"][0]["vethPrefix"] == "veth"
    assert found["plugins"][1] == {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    assert found["plugins"][3]["sysctl"]["net.ipv6.conf.all.disable_ipv6"] == "1"


def test_the_second_plugin_is_installed_with_the_first_in_it(tmp_path: Path) -> None:
    install_plugins(tmp_path)
    done = subprocess.run([tmp_path / "egress-cni"], env={"CNI_COMMAND": "VERSION"}, capture_output=True)
    assert json.loads(done.stdout)["cniVersion"] == "1.1.0"


def test_egress_is_listed_where_it_has_something_to_do() -> None:
    on = Settings(v6_egress=True, pod_mtu=1500, egress_log_file="/x.log")
    found = conflist(on, node_ip=IPv6Address("2001:db8::10"))
    assert [p["type"] for p in found["plugins"]] == ["aws-cni", "egress-cni", "portmap"]
    assert found["plugins"][1] == {
        "name": "egress-cni",
        "type": "egress-cni",
        "mtu": "1500",
        "enabled": "true",
        "randomizeSNAT": "prng",
        "nodeIP": "2001:db8::10",
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "fd00::ac:00/118"}]],
            "routes": [{"dst": "::/0"}],
            "dataDir": "/run/cni/v4pd/egress-v6-ipam",
        },
        "pluginLogFile": "/x.log",
        "pluginLogLevel": on.plugin_log_level,
    }
    for other in (conflist(on), conflist(Settings(), node_ip=IPv6Address("2001:db8::10"))):
        assert [p["type"] for p in other["plugins"]] == ["aws-cni", "portmap"]


def test_a_files_new_name_is_on_disk_when_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(tmp_path / "file", b"one", 0o644)
    assert synced == [str(tmp_path / ".file.tmp"), str(tmp_path)]
