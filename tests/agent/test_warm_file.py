"""What the adaptive target learned outlives the agent; a damaged file costs nothing but that."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from vpccni.agent.node_pools import node_pools
from vpccni.agent.settings import WarmMode, parse_settings
from vpccni.agent.warm_file import NAME, WarmFile, load_warmth
from vpccni.ipam.adaptive import Adaptive
from vpccni.ipam.decide import Ipam
from vpccni.ipam.limits import known_limits
from vpccni.ipam.values import EniId, Pod


def pool(mode: str = "adaptive") -> Ipam:
    settings, bad = parse_settings({"WARM_TARGET_MODE": mode, "WARM_WAIT_PROBABILITY": "0.05"})
    assert not bad
    limits = known_limits("m5.large")
    assert limits is not None
    return node_pools(settings, limits, EniId("eni-1"), frozenset({0}))[0]


def learned(ipam: Ipam) -> Adaptive:
    assert isinstance(ipam.warmth, Adaptive)
    return ipam.warmth


def test_written_and_read(tmp_path: Path) -> None:
    before = pool()
    file = WarmFile(tmp_path, [before])
    asyncio.run(file.save())
    assert not (tmp_path / NAME).exists()  # nothing was learned
    for number in range(5):
        learned(before).asked(Pod("default", f"p{number}"), float(number), waits=False)
    asyncio.run(file.save())
    after = pool()
    load_warmth(tmp_path, [after])
    assert learned(after).arrivals == 5
    assert learned(after).wait_probability == 0.05


@pytest.mark.parametrize("text", ["", "{", "[]", '{"0": {"arrivals": "x"}}', '{"0": 7}'])
def test_a_damaged_file_is_said_and_forgotten(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME).write_text(text)
    after = pool()
    with caplog.at_level(logging.WARNING):
        load_warmth(tmp_path, [after])
    assert learned(after).arrivals == 0
    assert text == "[]" or "learns its load anew" in caplog.text


def test_the_fixed_mode_learns_nothing(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{")
    ipam = pool("fixed")
    assert ipam.warmth is None
    load_warmth(tmp_path, [ipam])


@pytest.mark.parametrize(
    ("name", "value"),
    [("WARM_TARGET_MODE", "clever"), ("WARM_WAIT_PROBABILITY", "0"), ("WARM_WAIT_PROBABILITY", "often")],
)
def test_what_is_no_such_setting_is_said(name: str, value: str) -> None:
    settings, bad = parse_settings({name: value})
    assert [b.name for b in bad] == [name]
    assert settings.warm_mode is WarmMode.FIXED
    assert settings.wait_probability == 0.01
