"""Many pods at once: each by its own call of the CNI, so many beside each other, with what it took."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vpclab.lab.state import LabError


@dataclass(frozen=True, slots=True)
class Done:
    """What came of one."""

    name: str
    seconds: float
    problem: str = ""


async def in_parallel(
    names: Sequence[str], parallel: int, one: Callable[[str], Awaitable[object]]
) -> list[Done]:
    """`one(name)` for each, `parallel` at a time, in the order of the names. A LabError is that one's problem."""
    turns = asyncio.Semaphore(parallel)

    async def timed(name: str) -> Done:
        async with turns:
            began = time.monotonic()
            try:
                await one(name)
            except LabError as error:
                return Done(name, time.monotonic() - began, str(error))
            return Done(name, time.monotonic() - began)

    return await asyncio.gather(*(timed(name) for name in names))


def report(done: Sequence[Done], seconds: float) -> dict[str, Any]:
    """How many, how long (of those that went well, in seconds), and what failed and why."""
    took = sorted(one.seconds for one in done if not one.problem)
    failed = [one for one in done if one.problem]
    examples = {_kind(one): _reason(one) for one in failed}
    reasons = Counter(examples[_kind(one)] for one in failed)
    return {
        "asked": len(done),
        "done": len(took),
        "seconds": seconds,
        "p50": quantile(took, 0.5),
        "p99": quantile(took, 0.99),
        "max": took[-1] if took else None,
        "failed": {one.name: one.problem for one in failed},
        "reasons": dict(reasons.most_common()),
    }


def quantile(values: Sequence[float], part: float) -> float | None:
    """The smallest of the sorted values that at least this part of them does not exceed; None of none."""
    if not values:
        return None
    rank = -(-len(values) * part // 1)
    return values[min(len(values), max(1, int(rank))) - 1]


def _reason(done: Done) -> str:
    """The problem as many may have it: without whose it was."""
    _, separator, reason = done.problem.partition(": ")
    return reason if separator else done.problem


def _kind(done: Done) -> str:
    """Reasons that differ in numbers and addresses only are one."""
    return re.sub(r"\d+", "#", _reason(done))
