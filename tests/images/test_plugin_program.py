"""The plugin as the image has it: one program, an interpreter of its own in it, quick, and the same plugin."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.agent.rpc.callers import served, story

from vpccni.agent.install import install_plugins
from vpclab.images import compiled

TRIES = 25


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "ready"
    path.write_bytes(compiled.plugin())
    path.chmod(0o755)
    return path


@pytest.fixture
def bin_dir(tmp_path: Path, program: Path) -> Path:
    assert install_plugins(tmp_path, program)
    return tmp_path


def called(path: Path, **env: str) -> tuple[int, str]:
    done = subprocess.run([path], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def test_it_is_installed_once_under_both_names_and_replaced_whole(bin_dir: Path, program: Path) -> None:
    assert sorted(path.name for path in bin_dir.iterdir()) == ["aws-cni", "egress-cni"]
    assert (bin_dir / "aws-cni").samefile(bin_dir / "egress-cni")
    assert not install_plugins(bin_dir, program)
    (bin_dir / "aws-cni").write_bytes(b"an older one")
    assert install_plugins(bin_dir, program)
    assert (bin_dir / "aws-cni").samefile(bin_dir / "egress-cni")
    assert (bin_dir / "egress-cni").read_bytes() == program.read_bytes()


def test_it_answers_as_the_plugins_do(bin_dir: Path) -> None:
    for name in ("aws-cni", "egress-cni"):
        status, said = called(bin_dir / name, CNI_COMMAND="VERSION")
        assert (status, json.loads(said)["cniVersion"]) == (0, "1.1.0")
    assert "AWS CNI v" in called(bin_dir / "aws-cni")[1]
    status, said = called(bin_dir / "aws-cni", CNI_COMMAND="ADD", CNI_CONTAINERID="c")
    assert (status, json.loads(said)["code"]) == (1, 4)
    status, said = called(bin_dir / "egress-cni", CNI_COMMAND="ADD", CNI_CONTAINERID="c", CNI_NETNS="/x",
                          CNI_IFNAME="eth0", CNI_PATH="/")  # fmt: skip
    assert status == 1
    assert "json" not in said.lower() or "code" in json.loads(said)


def test_it_needs_nothing_of_its_host(bin_dir: Path, tmp_path: Path) -> None:
    linked = subprocess.run(["ldd", bin_dir / "aws-cni"], capture_output=True, text=True)
    assert "not a dynamic executable" in linked.stdout + linked.stderr
    empty = tmp_path / "host"
    empty.mkdir()
    os.link(bin_dir / "aws-cni", empty / "grpc-health-probe")
    if os.geteuid() == 0:
        # nothing but the program itself: no Python, no library, no /proc
        done = subprocess.run(
            ["/grpc-health-probe", "-addr=unix:///none.sock"], capture_output=True, text=True,
            preexec_fn=lambda: os.chroot(empty),
        )  # fmt: skip
        assert (done.returncode, "cannot be reached" in done.stderr) == (2, True)


def test_it_is_the_probe_by_that_name(bin_dir: Path, tmp_path: Path) -> None:
    probe = tmp_path / "grpc-health-probe"
    os.link(bin_dir / "aws-cni", probe)

    async def tell() -> None:
        async with served(tmp_path / "run"):
            asked = await asyncio.create_subprocess_exec(
                probe,
                f"-addr=unix://{tmp_path}/run/ipamd.sock",
                "-rpc-timeout=20s",
                stdout=asyncio.subprocess.PIPE,
            )
            assert (await asked.communicate())[0] == b"status: SERVING\n"
            assert asked.returncode == 0

    story(tell)


def test_its_start_is_at_most_twice_a_bare_interpreters(bin_dir: Path) -> None:
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(TRIES):  # in turn, so that both meet the same load
        for found, command in (
            (ours, [str(bin_dir / "aws-cni")]),
            (bare, [os.path.realpath(sys.executable), "-IS", "-c", "pass"]),
        ):
            began = time.perf_counter()
            subprocess.run(command, env={"CNI_COMMAND": "VERSION"}, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, check=True)  # fmt: skip
            found.append(time.perf_counter() - began)
    ratio = statistics.median(ours) / statistics.median(bare)
    print(f"the plugin {statistics.median(ours) * 1e3:.1f} ms, a bare interpreter's start x {ratio:.2f}")  # noqa: T201
    assert ratio <= 2


def test_pause_waits_and_ends_when_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "pause"
    path.write_bytes(compiled.pause())
    path.chmod(0o755)
    process = subprocess.Popen([path])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    process.terminate()
    assert process.wait(10) == 0
