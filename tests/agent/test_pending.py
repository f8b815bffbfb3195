"""Deletions noted while the agent was away: done once, and never after the sandbox was added again."""

import asyncio
from pathlib import Path

from tests.agent.test_loop import NETWORK, REQUEST, World
from vpccni.agent import pending
from vpccni.agent.cni_call import CniCall
from vpccni.ipam.values import Pod

CONF = b'{"cniVersion":"0.4.0","name":"aws-cni","type":"aws-cni"}'


def note(run_dir: Path, container: str) -> Path:
    """As the plugin leaves it."""
    folder = pending.pending_dir(run_dir)
    folder.mkdir(exist_ok=True)
    env = {
        "CNI_COMMAND": "DEL", "CNI_CONTAINERID": container, "CNI_IFNAME": "eth0",
        "CNI_ARGS": f"K8S_POD_NAMESPACE=default;K8S_POD_NAME={container}",
    }  # fmt: skip
    body = b"\0".join([b"", *(f"{k}={v}".encode() for k, v in env.items())]) + b"\0\0" + CONF
    path = folder / f"{container}-eth0"
    path.write_bytes(body)
    return path


def test_a_noted_deletion_is_done_and_its_note_goes(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        await world.add("a")
        left = note(tmp_path, "a")
        (left.parent / "torn.tmp").write_bytes(b"half")
        (left.parent / "nonsense").write_bytes(b"what is this")
        assert await pending.work_off(world.agent, tmp_path) == 1
        assert world.host.wired == {}
        assert [path.name for path in left.parent.iterdir()] == ["torn.tmp"]

    asyncio.run(story())


def test_one_that_fails_stays_for_the_next_time(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        await world.add("a")
        left = note(tmp_path, "a")
        world.host.fails = True
        assert await pending.work_off(world.agent, tmp_path) == 0
        assert left.exists()
        world.host.fails = False
        assert await pending.work_off(world.agent, tmp_path) == 1

    asyncio.run(story())


def test_an_add_of_the_same_sandbox_supersedes_the_note(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        world.agent._added = lambda call: pending.supersede(tmp_path, call)
        left = note(tmp_path, "a")
        call = CniCall("ADD", "0.4.0", NETWORK, "a", "eth0", "/n", Pod("default", "a"))
        assert pending.note_of(tmp_path, call) == left
        await world.agent.add(REQUEST, call)
        assert await pending.work_off(world.agent, tmp_path) == 0
        assert list(world.host.wired.values()) == ["a"]

    asyncio.run(story())
