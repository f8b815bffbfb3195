"""docs/paths.md, row by row, with packets: TCP, UDP and ICMP, there and back, in every SNAT mode and under both layouts."""

import asyncio

import pytest

from tests.lab.conftest import StartLab
from tests.lab.paths.table import FIXED_PORTS, HASHRANDOM, MODES, rows
from tests.lab.paths.world import OPTIONS, world_of

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("layout", ["compatible", "compact"])
def test_every_row_holds(start_lab: StartLab, layout: str) -> None:
    lab = start_lab(*OPTIONS, "--env", f"VPC_CNI_RULES={layout}")

    async def told() -> list[str]:
        problems = []
        async with world_of(lab) as world:
            for mode in MODES:
                await world.set(mode, layout)
                for row in rows():
                    if mode in (HASHRANDOM, FIXED_PORTS) and not row.translated:
                        continue  # they choose ports, where there is SNAT
                    problems += [f"{mode.name}: {text}" for text in await world.judge(row, mode)]
        return problems

    problems = asyncio.run(told())
    assert not problems, "\n".join(problems)
