"""Every test has its tier: conftest.py tells by a file's text whether a tier imports it, so no marker may come from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
MARKER = re.compile(r"(?<![\w.])((?:pytest\.)?mark)\.(?:kernel|lab)\b")


def test_a_tier_s_marker_stands_in_the_file_of_its_tests() -> None:
    elsewhere = {
        f"{file.relative_to(TESTS)}: {match[0]}"
        for file in TESTS.rglob("*.py")
        for match in MARKER.finditer(file.read_text(encoding="utf-8"))
        if match[1] != "pytest.mark" or not file.match("test_*.py")
    }
    assert not elsewhere, "conftest.py looks for pytest.mark in test files alone: these would be in no tier"
