"""For every test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import settings

# what an example takes says more of how busy the machine is than of the code
settings.register_profile("vpc-cni", deadline=None)
settings.load_profile("vpc-cni")

_OF_A_HIGHER_TIER = re.compile(r"^pytestmark = .*pytest\.mark\.(?:kernel|lab)\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A tier does not import the files that have no test of it: every worker imports all there is before its first test."""
    tier = config.getoption("markexpr")
    if tier not in {"not kernel and not lab", "kernel", "lab"} or not collection_path.match("test_*.py"):
        return None
    text = collection_path.read_text(encoding="utf-8")
    if tier in {"kernel", "lab"}:
        return f"pytest.mark.{tier}" not in text or None
    return _OF_A_HIGHER_TIER.search(text) is not None or None
