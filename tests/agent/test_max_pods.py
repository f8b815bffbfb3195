"""Max pods."""

from pathlib import Path

import pytest

from vpccni.agent.max_pods import from_list, listed_max_pods, max_pods
from vpccni.ipam.limits import known_limits
from vpccni.ipam.values import BlockKind
from vpccni.kube.port import NodeView

IP, PREFIX = BlockKind.SECONDARY_IP, BlockKind.PREFIX


def test_kubelets_word_goes_before_the_types() -> None:
    limits = known_limits("m5.large")  # 3 ENIs of 10 addresses
    assert max_pods(NodeView(max_pods=58), limits, IP, custom_networking=True) == 58
    assert max_pods(NodeView(), limits, IP, custom_networking=False) == 29
    assert max_pods(None, limits, IP, custom_networking=True) == (3 - 1) * (10 - 1) + 2
    assert max_pods(None, limits, PREFIX, custom_networking=True) == 110
    assert max_pods(None, None, IP, custom_networking=False) == 110


def test_an_operators_list_goes_before_the_types() -> None:
    limits = known_limits("m5.large")
    assert max_pods(None, limits, IP, custom_networking=False, listed=20) == 20
    assert max_pods(NodeView(), limits, IP, custom_networking=False, listed=20) == 20
    assert max_pods(NodeView(max_pods=58), limits, IP, custom_networking=False, listed=20) == 58


LISTED = "# pods\n\nm5.large 29 # of 3 ENIs\nm5.large.x 7\nbad\nworse none\nzero 0\nmore 1 2\n"


@pytest.mark.parametrize(("name", "pods"), [("m5.large", 29), ("m5.large.x", 7), ("m5", None), ("#", None)])
def test_what_a_list_says_of_a_type(name: str, pods: int | None) -> None:
    assert from_list(LISTED, name) == pods


@pytest.mark.parametrize("name", ["bad", "worse", "zero", "more"])
def test_a_bad_line_is_refused(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match=name):
        from_list(LISTED, name)
    file = tmp_path / "list"
    file.write_text(LISTED)
    assert listed_max_pods(name, file) is None
    assert f"{file} is not used" in caplog.text


def test_a_list_that_is_not_there_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert listed_max_pods("m5.large", tmp_path / "list") is None
    assert caplog.text == ""
