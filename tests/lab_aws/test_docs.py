"""docs/aws.md lists what there is."""

from __future__ import annotations

import runpy
from pathlib import Path

TOOL = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "list_aws_operations.py"))


def test_the_list_of_operations_is_up_to_date() -> None:
    text = TOOL["PAGE"].read_text()
    assert text == TOOL["renewed"](text), "python tools/list_aws_operations.py writes it anew"
