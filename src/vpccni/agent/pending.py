"""Works off the deletions that the plugin noted while the agent was away."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from vpccni.agent.cni_call import CniCall, CniError, parse_call
from vpccni.agent.loop import Agent
from vpccni.agent.wire import decode_request

log = logging.getLogger(__name__)


def pending_dir(run_dir: Path) -> Path:
    """Where the notes are."""
    return run_dir / "pending-del"


def note_of(run_dir: Path, call: CniCall) -> Path:
    """Where the plugin notes the deletion of this sandbox (vpccni.cni.plugin, note_deletion)."""
    return pending_dir(run_dir) / f"{call.container_id}-{call.interface}"


def supersede(run_dir: Path, call: CniCall) -> None:
    """An ADD of the same sandbox came after the noted DEL: done now, the DEL would take a live pod's network away."""
    with contextlib.suppress(FileNotFoundError):
        note_of(run_dir, call).unlink()


async def work_off(agent: Agent, run_dir: Path) -> int:
    """Do every noted DEL and remove its note; returns how many. A note that fails stays for the next time."""
    done = 0
    for note in sorted(pending_dir(run_dir).glob("*")):
        if note.suffix == ".tmp":
            continue  # the plugin was cut off, told the runtime nothing, and will be called again
        try:
            request = decode_request(note.read_bytes(), [])
            call = parse_call(request.env, request.stdin)
        except (ValueError, CniError) as error:
            log.error("cannot read the noted deletion %s: %s; it is dropped", note, error)
            note.unlink(missing_ok=True)
            continue
        try:
            await agent.delete(call)
        except CniError as error:
            log.error("the noted deletion %s failed: %s; it stays", note, error)
            continue
        note.unlink(missing_ok=True)
        done += 1
        log.info(
            "did the deletion of pod %s (%s) that was noted while the agent was away",
            call.pod,
            call.container_id,
        )
    return done
