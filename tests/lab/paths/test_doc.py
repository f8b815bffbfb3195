"""docs/paths.md is the table that the packets prove. `python -m tests.lab.paths.test_doc` writes it anew."""

from pathlib import Path

from tests.lab.paths import table6
from tests.lab.paths.table import render

DOC = Path(__file__).parents[3] / "docs" / "paths.md"
MARK = "<!-- table -->\n"
MARK6 = "<!-- table of IPv6 -->\n"


def test_the_doc_is_the_table() -> None:
    assert DOC.read_text().partition(MARK)[2].strip() == render()


def test_the_doc_has_the_table_of_ipv6() -> None:
    assert table6.render() in DOC.read_text().partition(MARK6)[2].partition(MARK)[0]


if __name__ == "__main__":
    head, _, _ = DOC.read_text().partition(MARK)
    before, _, after = head.partition(MARK6)
    rest = after.lstrip("\n").partition("\n\n")[2]
    DOC.write_text(f"{before}{MARK6}\n{table6.render()}\n\n{rest}{MARK}\n{render()}\n")
