"""Log lines and files as spec 1.8 has them."""

import asyncio
import gzip
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.test_loop import World, story
from vpccni.agent import logs
from vpccni.agent.logs import PLUGIN_LOGGER, TALKERS, JsonLine, RotatedFile, open_logs
from vpccni.agent.settings import LogLevel
from vpccni.ipam.targets import WarmTargets

BACKUP = re.compile(r"ipamd-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log\.gz")


@pytest.fixture
def loggers() -> Iterator[None]:
    """Logging is the process's: it is put back as it was."""
    names = ("", PLUGIN_LOGGER, *TALKERS)
    kept = {
        name: (log := logging.getLogger(name), log.level, log.handlers[:], log.propagate) for name in names
    }
    yield
    for log, level, handlers, propagate in kept.values():
        for handler in log.handlers[:]:
            if handler not in handlers:
                handler.close()
        log.setLevel(level)
        log.handlers[:] = handlers
        log.propagate = propagate


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_line_is_an_object_as_the_original_writes_it(tmp_path: Path, loggers: None) -> None:
    agent, plugin = tmp_path / "ipamd.log", tmp_path / "plugin.log"
    open_logs(LogLevel.INFO, str(agent), str(plugin), "WARN")
    log = logging.getLogger("vpccni.test")
    log.debug("too much")
    log.warning("%d pods", 3, extra={"fields": {"eni": "eni-1"}})
    logging.getLogger("hpack.hpack").debug("Decoding header")
    logging.getLogger(PLUGIN_LOGGER).info("not asked for")
    logging.getLogger(PLUGIN_LOGGER).error("ADD failed")
    (line,) = lines(agent)
    assert list(line) == ["level", "ts", "caller", "msg", "eni"]
    assert (line["level"], line["msg"]) == ("warn", "3 pods")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])
    assert re.fullmatch(r"agent/test_logs\.py:\d+", line["caller"])
    assert [entry["msg"] for entry in lines(plugin)] == ["ADD failed"]


def test_an_unknown_level_is_debug(tmp_path: Path, loggers: None) -> None:
    open_logs(LogLevel.INFO, str(tmp_path / "a.log"), str(tmp_path / "b.log"), "loud")
    assert logging.getLogger(PLUGIN_LOGGER).level == logging.DEBUG


def test_a_file_that_cannot_be_written_makes_stderr_the_log(
    tmp_path: Path, loggers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_text("a file, no directory")
    open_logs(LogLevel.INFO, str(tmp_path / "log" / "ipamd.log"), "stderr")
    logging.getLogger("vpccni.test").info("still told")
    told = capsys.readouterr().err
    assert "using stderr" in told
    assert "still told" in told


def write(handler: RotatedFile, text: str) -> None:
    handler.emit(logging.LogRecord("x", logging.INFO, __file__, 1, text, (), None))


def test_a_full_file_is_put_aside_and_compressed_and_five_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "ipamd.log"
    handler = RotatedFile(path, max_bytes=1000)
    handler.setFormatter(JsonLine())
    for n in range(9):
        write(handler, f"{n}" * 1000)
        time.sleep(0.002)  # names differ by the millisecond
    handler.wait()
    handler.close()
    packed = sorted(p for p in tmp_path.iterdir() if p != path)
    assert len(packed) == logs.BACKUPS
    assert all(BACKUP.fullmatch(p.name) for p in packed)
    assert [json.loads(gzip.decompress(p.read_bytes()))["msg"][0] for p in packed] == list("34567")
    assert lines(path)[0]["msg"] == "8" * 1000


def test_a_start_tidies_what_an_earlier_run_left(tmp_path: Path) -> None:
    recent = time.strftime(logs.STAMP, time.gmtime(time.time() - 3600))
    old = time.strftime(logs.STAMP, time.gmtime(time.time() - 31 * 24 * 3600))
    (tmp_path / f"ipamd-{recent}.000.log").write_text("killed before it was compressed\n")
    (tmp_path / f"ipamd-{old}.000.log.gz").write_bytes(gzip.compress(b"old"))
    (tmp_path / "ipamd-mine.log").write_text("somebody else's")
    handler = RotatedFile(tmp_path / "ipamd.log")
    handler.wait()
    handler.close()
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == [f"ipamd-{recent}.000.log.gz", "ipamd-mine.log", "ipamd.log"]
    assert gzip.decompress((tmp_path / left[0]).read_bytes()) == b"killed before it was compressed\n"


def test_a_rotation_does_not_wait_for_the_compression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write_end = os.pipe()
    monkeypatch.setattr(logs, "_compress", lambda _: os.read(read, 1))  # a slow disk
    handler = RotatedFile(tmp_path / "ipamd.log", max_bytes=10)
    for n in range(3):
        write(handler, f"line {n}, longer than ten bytes")
        time.sleep(0.002)
    assert "line 2" in (tmp_path / "ipamd.log").read_text()
    os.write(write_end, b"xx")
    os.close(write_end)
    handler.wait()
    os.close(read)
    handler.close()


def test_a_steady_state_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    async def tell() -> None:
        world = World(WarmTargets(warm_ip=1), max_enis=1)
        await world.add("a")
        while world.agent.ipam.state.under_way.growing:
            world.agent.owner.kick()
            await asyncio.sleep(0.01)
        with caplog.at_level(logging.DEBUG, "vpccni"):
            caplog.clear()
            for _ in range(20):
                world.agent.owner.kick()
                world.agent.status()
            assert caplog.text == ""

    story(tell)
