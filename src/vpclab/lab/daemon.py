"""The lab's first process: makes the lab's namespaces, and lives in them as PID 1.

Whatever the lab starts is in its PID namespace, so when this process ends, however it ends, the kernel ends all of it:
nothing can be left on the machine but a directory, which `down` removes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from vpclab.fabric import syscalls
from vpclab.lab.control import serve_control
from vpclab.lab.lab import Lab
from vpclab.lab.settings import LabSettings
from vpclab.lab.state import LabError, LabState

log = logging.getLogger(__name__)
REAP_EVERY = 5.0


def main() -> None:
    """`python -m vpclab.lab.daemon SETTINGS-AS-JSON`; progress and the outcome go to standard output, a line each."""
    settings = LabSettings.from_json(sys.argv[1])
    state = LabState(settings.name)
    api = _api_socket(settings.api_port)
    syscalls.unshare(
        syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWUTS
    )
    pid = os.fork()
    if pid:
        # the directory may be gone: somebody ran `down` at this very moment
        with contextlib.suppress(FileNotFoundError):
            state.write_pid(pid)
        os._exit(0)
    # only now: the process above must still see the machine's /proc, in which it looks its child up
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWUTS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    # a node's /run is memory on a real one, too; and what the machines write goes with the lab
    machines = state.directory / "machines"
    machines.mkdir(exist_ok=True)
    syscalls.mount("machines", str(machines), "tmpfs", data="mode=0755")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it tells of every request
    asyncio.run(_run(settings, api, state.directory, state.control))


def _api_socket(port: int) -> socket.socket:
    """Where the machine itself reaches AWS's API: made before the daemon leaves the machine's network, it stays there."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        _tell(error=f"--api-port {port} cannot be had on 127.0.0.1: {error.strerror}")
        sys.exit(1)


async def _run(settings: LabSettings, api: socket.socket, directory: Path, control: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lab = Lab(settings, directory, api)
    starting = asyncio.create_task(lab.up(lambda text: _tell(progress=text)))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done() and not stop.is_set():
        error = starting.exception()
        if error is not None:
            log.error("the lab did not come up", exc_info=error)
            text = str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
            _tell(error=text)
        else:
            server = await serve_control(lab, control)
            _tell(ready=True)
            reaper = asyncio.create_task(_reap_orphans())
            await stop.wait()
            reaper.cancel()
            server.close()
    starting.cancel()
    await lab.down()


def _tell(**what: Any) -> None:
    # whoever asked for the lab may be gone: the lab stays
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(what), flush=True)  # noqa: T201 -- the pipe to `vpc-lab up`


async def _reap_orphans() -> None:
    """As PID 1, bury what others have left: processes whose parents ended before them."""
    seen: set[int] = set()
    while True:
        await asyncio.sleep(REAP_EVERY)
        zombies = await asyncio.to_thread(_zombies)
        # whoever ran a command waits for it at once; a zombie that is still there at the second look is nobody's
        for pid in zombies & seen:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 -- does not wait
        seen = zombies


def _zombies() -> set[int]:
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "stat").read_text().rpartition(")")[2].split()[:2] == [
                "Z",
                "1",
            ]:
                found.add(int(entry.name))
    return found


if __name__ == "__main__":
    main()
