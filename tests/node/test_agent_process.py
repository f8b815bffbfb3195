"""The agent's process is kept alive, and ends when it shall."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.node.here import here
from vpclab.node import AgentProcess, agent_process
from vpclab.node.agent_process import in_words

STUBBORN = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True);"
    "time.sleep(60)"
)


def agent(tmp_path: Path, *argv: str) -> AgentProcess:
    return AgentProcess(here(), {"PATH": "/usr/bin:/bin"}, argv, tmp_path / "logs" / "agent.stderr")


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.01)


def test_it_is_started_again_with_growing_pauses_until_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_process, "RESTART_FIRST", 0.01)

    async def story() -> None:
        crashing = agent(tmp_path, "sh", "-c", "echo why >&2; exit 3")
        crashing.start()
        crashing.start()  # kept already
        await until(lambda: crashing.failures >= 3)
        assert crashing.wanted
        assert crashing.last_end == "exit status 3"
        await crashing.stop()
        starts = crashing.starts
        assert not crashing.wanted
        assert crashing.pid is None
        assert (tmp_path / "logs" / "agent.stderr").read_text() == "why\n" * starts
        await asyncio.sleep(0.2)
        assert crashing.starts == starts
        crashing.start()
        await until(lambda: crashing.starts > starts)
        await crashing.stop()

    asyncio.run(story())


def test_stopping_waits_for_its_end_and_a_pause_is_cut_short(tmp_path: Path) -> None:
    async def story() -> None:
        sleeping = agent(tmp_path, "sleep", "60")
        sleeping.start()
        await until(lambda: sleeping.pid)
        await sleeping.stop(signal.SIGKILL)
        assert (sleeping.pid, sleeping.last_end) == (None, "killed by SIGKILL")
        crashing = agent(tmp_path, "false")
        crashing.start()
        await until(lambda: crashing.failures)
        began = time.monotonic()
        await crashing.stop()  # it waits for its next start just now
        assert time.monotonic() - began < agent_process.RESTART_FIRST / 2

    asyncio.run(story())


def test_one_stopped_before_it_was_started_never_starts(tmp_path: Path) -> None:
    async def story() -> None:
        never = agent(tmp_path, "sleep", "60")
        await never.stop()
        never.start()
        await never.stop()
        assert (never.starts, never.pid) == (0, None)

    asyncio.run(story())


def test_one_that_does_not_heed_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_process, "STOP_GRACE", 0.05)

    async def story() -> None:
        stubborn = agent(tmp_path, sys.executable, "-c", STUBBORN)
        stubborn.start()
        log = tmp_path / "logs" / "agent.stderr"
        await until(lambda: log.exists() and log.read_text() == "here\n")
        await stubborn.stop(signal.SIGTERM)
        assert stubborn.last_end == "killed by SIGKILL"

    asyncio.run(story())


def test_a_command_that_is_not_there_is_a_failure_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_process, "RESTART_FIRST", 0.01)

    async def story() -> None:
        missing = agent(tmp_path, "/no/such/agent")
        missing.start()
        await until(lambda: missing.failures >= 2)
        assert "No such file" in str(missing.last_end)
        await missing.stop()

    asyncio.run(story())


def test_ends_in_words() -> None:
    assert in_words(0) == "exit status 0"
    assert in_words(-15) == "killed by SIGTERM"
