import asyncio
import os
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.ipam.builders import key, pod
from vpccni.agent.store import Store
from vpccni.ipam.checkpoint import Checkpoint, Given, TakenBack, decode_checkpoint
from vpccni.ipam.values import Assignment, Cooling, EniId


def assignment(number: int) -> Assignment:
    return Assignment(key(str(number)), pod(str(number)), IPv4Address(0x0A000000 + number), EniId(""), 1.0)


def opened(path: Path) -> Store:
    store = Store(path)
    store.rewrite(store.load())
    return store


def test_what_was_appended_is_there_after_a_crash(tmp_path: Path) -> None:
    async def story() -> None:
        store = opened(tmp_path / "ipam.json")
        await asyncio.gather(*(store.append(Given(assignment(n))) for n in range(50)))
        await store.append(TakenBack(key("7"), Cooling(assignment(7).address, 99.0)))
        # no close: the process is gone

    asyncio.run(story())
    found = Store(tmp_path / "ipam.json").load()
    assert {a.key for a in found.allocations} == {key(str(n)) for n in range(50) if n != 7}
    assert found.cooling == (Cooling(assignment(7).address, 99.0),)


def test_many_at_once_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []
    real = os.fsync

    def counted(fd: int) -> None:
        syncs.append(fd)
        real(fd)

    async def story() -> None:
        store = opened(tmp_path / "ipam.json")
        monkeypatch.setattr(os, "fsync", counted)
        await asyncio.gather(*(store.append(Given(assignment(n))) for n in range(100)))

    asyncio.run(story())
    assert len(syncs) <= 3


def test_an_entry_that_cannot_be_written_is_refused_and_leaves_no_torn_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        store = opened(tmp_path / "ipam.json")
        await store.append(Given(assignment(1)))
        real = os.write

        def half(fd: int, data: bytes) -> int:
            real(fd, bytes(data)[:10])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space left"):
            await store.append(Given(assignment(2)))
        monkeypatch.setattr(os, "write", real)
        await store.append(Given(assignment(3)))

    asyncio.run(story())
    assert {a.key for a in Store(tmp_path / "ipam.json").load().allocations} == {key("1"), key("3")}


def test_at_rest_it_is_the_originals_file_and_nothing_else(tmp_path: Path) -> None:
    async def story() -> None:
        store = opened(tmp_path / "run" / "ipam.json")
        await store.append(Given(assignment(1)))
        await store.close(Checkpoint((assignment(1),)))

    asyncio.run(story())
    assert decode_checkpoint((tmp_path / "run" / "ipam.json").read_bytes()).allocations == (assignment(1),)
    assert (tmp_path / "run" / "ipam.journal").read_bytes() == b""
    assert (tmp_path / "run" / "ipam.json").stat().st_mode & 0o777 == 0o600
