"""A lab's file: all or nothing, its owner's alone, and refused with a sentence where it cannot be read."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from vpclab.lab import kept
from vpclab.lab.kept import FILE, KeptLab
from vpclab.lab.state import LabError


def test_what_was_written_is_read_by_the_next_process(tmp_path: Path) -> None:
    one = KeptLab(tmp_path)
    assert not one.there
    one.write({"settings": b'{"name": "lab"}', "cloud": b"1"})
    one.write({"cloud": b"2"})
    # nobody closes it: the process was killed
    other = KeptLab(tmp_path)
    assert other.there
    assert other.settings() == '{"name": "lab"}'
    assert other.read()["cloud"] == b"2"
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    one.close()
    assert KeptLab(tmp_path).read()["cloud"] == b"2"


def test_only_what_has_changed_is_written(tmp_path: Path) -> None:
    def written() -> dict[str, int]:
        """By part: the row's number, another one whenever it was written."""
        with closing(sqlite3.connect(tmp_path / FILE)) as connection:
            return dict(connection.execute("SELECT name, rowid FROM parts").fetchall())

    one = KeptLab(tmp_path)
    one.write({"region": b"1", "services": b"1"})
    before = written()
    one.write({"region": b"1", "services": b"1"})
    assert written() == before
    one.write({"region": b"2", "services": b"1"})
    assert {name for name, row in written().items() if before[name] != row} == {"region"}
    assert one.read()["region"] == b"2"


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    one = KeptLab(tmp_path)
    one.write({"cloud": b"1"})
    with pytest.raises(sqlite3.Error):
        one.write({"settings": b"new", "cloud": object()})  # type: ignore[dict-item]
    assert "settings" not in KeptLab(tmp_path).read()
    one.write({"settings": b"new"})
    assert KeptLab(tmp_path).read()["settings"] == b"new"


@pytest.mark.parametrize(
    ("made", "says"), [(None, "vpc-lab up makes one"), (b"no database, whatever it is" * 99, "damaged")]
)
def test_what_cannot_be_read_is_refused_with_what_to_do(
    tmp_path: Path, made: bytes | None, says: str
) -> None:
    if made is not None:
        (tmp_path / FILE).write_bytes(made)
    with pytest.raises(LabError, match=says):
        KeptLab(tmp_path).read()


def test_another_versions_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "FORMAT", "0.0.1/1/3.11")
    one = KeptLab(tmp_path)
    one.write({"cloud": b"1"})
    monkeypatch.undo()
    with pytest.raises(LabError, match=r"kept by vpc-lab 0\.0\.1"):
        KeptLab(tmp_path).read()
