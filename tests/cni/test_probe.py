"""grpc-health-probe against the agent's own gRPC server: the states and exit statuses that kubelet's probes see."""

import asyncio
import sys
from pathlib import Path

import pytest
from tests.agent.rpc.callers import served, story

from vpccni.agent.rpc.serve import Rpc
from vpccni.cni import probe
from vpccni.cni.probe import ProbeError, options, seconds


async def asked(*arguments: str) -> tuple[int | None, str]:
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-IS", probe.__file__, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await done.communicate()
    return done.returncode, out.decode()


def test_an_agent_that_serves_is_healthy_under_each_of_its_names(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path):
            server = f"-addr=unix://{tmp_path}/ipamd.sock"
            for more in ((), ("-service", "grpc.health.v1.aws-node"), ("--service=liveness", "-v")):
                assert await asked(server, "-connect-timeout=5s", "-rpc-timeout=5s", *more) == (
                    0,
                    "status: SERVING\n",
                )
            status, said = await asked(server, "-service=nobody")
            assert status == probe.FAILED
            assert "error in place of its health" in said

    story(tell)


def test_an_agent_that_has_not_started_is_unhealthy(tmp_path: Path) -> None:
    async def tell() -> None:
        rpc = Rpc(tmp_path)
        await rpc.open()
        status, said = await asked("-addr", f"unix://{tmp_path}/ipamd.sock", "-rpc-timeout", "20s")
        await rpc.close()
        assert (status, said) == (
            probe.UNHEALTHY,
            "grpc-health-probe: service unhealthy (responded with 'NOT_SERVING')\n",
        )

    story(tell)


def test_no_server_is_another_exit_status_than_bad_arguments(tmp_path: Path) -> None:
    async def tell() -> None:
        assert (await asked(f"-addr=unix://{tmp_path}/none.sock"))[0] == probe.NOT_CONNECTED
        assert (await asked("-addr=127.0.0.1:1"))[0] == probe.NOT_CONNECTED
        for arguments in ((), ("-addr",), ("-addr=x", "-what=1"), ("-addr=unix:///x", "-rpc-timeout=5")):
            assert (await asked(*arguments))[0] in {probe.BAD_ARGUMENTS, probe.NOT_CONNECTED}
        assert (await asked())[0] == probe.BAD_ARGUMENTS

    story(tell)


def test_flags_and_durations_are_gos() -> None:
    assert options(["--addr", "a:1", "-v", "-rpc-timeout=250ms"])["rpc-timeout"] == "250ms"
    assert [seconds(text) for text in ("250ms", "1.5s", "2m")] == [0.25, 1.5, 120.0]
    for text in ("", "5", "s", "-1s", "1h"):
        with pytest.raises(ProbeError, match="no duration"):
            seconds(text)
