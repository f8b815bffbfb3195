"""The conflist by the settings or by a user's template, which loses nothing of what it says."""

import json
from pathlib import Path

import pytest

from vpccni.agent.conflist import conflist, write_conflist
from vpccni.agent.settings import Settings

TEMPLATE = """{
  "cniVersion": "0.4.0", "name": "aws-cni", "disableCheck": true, "theirs": {"kept": [1, 2]},
  "plugins": [
    {"name": "aws-cni", "type": "aws-cni", "vethPrefix": "__VETHPREFIX__", "mtu": "__MTU__",
     "podSGEnforcingMode": "__PODSGENFORCINGMODE__", "pluginLogFile": "__PLUGINLOGFILE__",
     "pluginLogLevel": "__PLUGINLOGLEVEL__", "more": "of theirs"},
    {"name": "egress-cni", "type": "egress-cni", "mtu": "9001", "enabled": "__EGRESSPLUGINENABLED__",
     "randomizeSNAT": "__RANDOMIZESNAT__", "nodeIP": "__NODEIP__",
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "__EGRESSPLUGINIPAMSUBNET__"}]],
              "routes": [{"dst": "__EGRESSPLUGINIPAMDST__"}], "dataDir": "__EGRESSPLUGINIPAMDATADIR__"},
     "pluginLogFile": "__EGRESSPLUGINLOGFILE__", "pluginLogLevel": "__PLUGINLOGLEVEL__"},
    {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true, "markMasqBit": 5},
    {"type": "bandwidth", "capabilities": {"bandwidth": true}, "ingressRate": 7}
  ]
}"""
SETTINGS = Settings(bandwidth_plugin=True, disable_pod_v6=True, pod_mtu=1500, plugin_log_file='/x"y')


def test_a_template_keeps_what_we_do_not_know() -> None:
    found = conflist(SETTINGS, TEMPLATE)
    assert (found["theirs"], found["disableCheck"]) == ({"kept": [1, 2]}, True)
    aws, portmap, bandwidth, tuning = found["plugins"]
    assert (aws["mtu"], aws["pluginLogFile"], aws["more"]) == ("1500", '/x"y', "of theirs")
    assert (portmap["snat"], portmap["markMasqBit"], bandwidth["ingressRate"]) == (True, 5, 7)
    assert tuning["type"] == "tuning"
    assert "__" not in json.dumps(found)


def test_only_what_is_asked_for_is_added() -> None:
    plain = [plugin["type"] for plugin in conflist(Settings())["plugins"]]
    assert plain == ["aws-cni", "portmap"]
    assert [plugin["type"] for plugin in conflist(SETTINGS)["plugins"]] == [*plain, "bandwidth", "tuning"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "it is not JSON"),
        ("[]", "it has no list of plugins"),
        ('{"plugins": ["aws-cni"]}', "it has no list of plugins"),
        ('{"plugins": [{"type": "ptp"}]}', "it does not have aws-cni among its plugins"),
    ],
)
def test_a_template_that_cannot_be_used_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, problem: str
) -> None:
    settings = Settings(host_conf_dir=tmp_path / "net.d")
    template = tmp_path / "template"
    template.write_text(text)
    assert write_conflist(settings, template)
    assert problem in caplog.text
    assert json.loads((tmp_path / "net.d" / "10-aws.conflist").read_text()) == conflist(settings)


def test_the_template_is_read_where_it_is_mounted(tmp_path: Path) -> None:
    settings = Settings(host_conf_dir=tmp_path / "net.d")
    template = tmp_path / "template"
    assert write_conflist(settings, template)
    template.write_text(TEMPLATE)
    assert write_conflist(settings, template)
    assert not write_conflist(settings, template)
    assert '"markMasqBit": 5' in (tmp_path / "net.d" / "10-aws.conflist").read_text()
