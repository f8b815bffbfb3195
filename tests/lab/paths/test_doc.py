"""docs/paths.md is the table that the packets prove. `python -m tests.lab.paths.test_doc` writes it anew."""

from pathlib import Path

from tests.lab.paths.table import render

DOC = Path(__file__).parents[3] / "docs" / "paths.md"
MARK = "<!-- table -->\n"


def test_the_doc_is_the_table() -> None:
    assert DOC.read_text().partition(MARK)[2].strip() == render()


if __name__ == "__main__":
    head, _, _ = DOC.read_text().partition(MARK)
    DOC.write_text(f"{head}{MARK}\n{render()}\n")
