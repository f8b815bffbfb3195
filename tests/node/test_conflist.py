import json
from pathlib import Path

import pytest

from vpclab.node import NoNetworkError, first_conflist
from vpclab.node.conflist import granted

ONE = {"cniVersion": "0.4.0", "name": "one", "plugins": [{"type": "a"}, {"type": "b"}]}


def put(directory: Path, name: str, body: object) -> None:
    (directory / name).write_text(json.dumps(body))


def test_the_first_file_by_name_is_used_and_strangers_are_not(tmp_path: Path) -> None:
    put(tmp_path, "20-two.conflist", ONE | {"name": "two"})
    put(tmp_path, "10-one.conflist", ONE)
    put(tmp_path, "00-notes.txt", {})
    put(tmp_path, ".05-half.conflist", {})
    (tmp_path / "01-directory.conf").mkdir()
    found = first_conflist(tmp_path)
    assert (found.name, found.version, found.disable_check) == ("one", "0.4.0", False)
    assert [plugin["type"] for plugin in found.plugins] == ["a", "b"]
    assert found.raw == json.dumps(ONE).encode()


def test_a_conf_is_a_list_of_one(tmp_path: Path) -> None:
    put(tmp_path, "10.conf", {"name": "alone", "type": "a", "mtu": 1})
    found = first_conflist(tmp_path)
    assert (found.name, found.version) == ("alone", "0.1.0")
    assert [plugin["type"] for plugin in found.plugins] == ["a"]


def test_none_yet(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NoNetworkError, match="the agent has not written it"):
            first_conflist(directory)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"name": "x", "plugins": []},
        {"plugins": [{"type": "a"}]},
        {"name": "x", "plugins": [{"mtu": 1}]},
        {"name": "x", "plugins": [{"type": ""}]},
        {"name": "x", "cniVersion": "new", "plugins": [{"type": "a"}]},
    ],
)
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, body: object) -> None:
    put(tmp_path, "10-bad.conflist", body)
    with pytest.raises(NoNetworkError, match=r"10-bad\.conflist is no network configuration"):
        first_conflist(tmp_path)


def test_half_a_file_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "10-half.conflist").write_text('{"name": "x", "plug')
    with pytest.raises(NoNetworkError, match="10-half"):
        first_conflist(tmp_path)


@pytest.mark.parametrize(
    ("version", "asked", "is_at_least"),
    [
        ("0.4.0", "0.4.0", True),
        ("0.3.1", "0.4.0", False),
        ("0.10.0", "0.4.0", True),
        ("1.0.0", "1.1.0", False),
    ],
)
def test_versions_are_numbers(tmp_path: Path, version: str, asked: str, *, is_at_least: bool) -> None:
    put(tmp_path, "10.conflist", ONE | {"cniVersion": version})
    assert first_conflist(tmp_path).at_least(asked) is is_at_least


def test_a_plugin_is_granted_what_it_declares_and_no_more() -> None:
    offered = {"portMappings": [], "bandwidth": {"ingressRate": 1}, "dns": {}}
    assert granted({"capabilities": {"portMappings": True, "dns": False, "ips": True}}, offered) == {
        "portMappings": []
    }
    assert granted({}, offered) == {}
    assert granted({"capabilities": None}, offered) == {}
