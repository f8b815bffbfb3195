"""Pings between the pods of a lab, and what came of them."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from vpclab.lab.bulk import quantile
from vpclab.lab.pings import Pinger, ping_pairs
from vpclab.node import Node

T = TypeVar("T")
U = TypeVar("U")


async def ping_pods(nodes: Iterable[Node], *, every: bool, seconds: float) -> dict[str, Any]:
    """Every pod pings every other, or the next one; a pod without an answer in so many seconds is told."""
    # descriptors of our own: a pod may be deleted meanwhile
    pods = [
        Pinger(f"{space}/{pod}", os.dup(record.netns_fd), record.address)
        for (space, pod), record in _in_turn([node.pods for node in nodes])
    ]
    try:
        if every:
            pairs = [(a, b) for a in pods for b in pods if a is not b]
        else:
            pairs = [(a, b) for a, b in zip(pods, pods[1:] + pods[:1], strict=True) if a is not b]
        began = time.monotonic()
        answers = await asyncio.to_thread(ping_pairs, pairs, seconds)
    finally:
        for one in pods:
            os.close(one.netns)
    took = sorted(one for one in answers.values() if one is not None)
    return {
        "pods": len(pods),
        "asked": len(pairs),
        "answered": len(took),
        "seconds": time.monotonic() - began,
        "p50": quantile(took, 0.5),
        "p99": quantile(took, 0.99),
        "unanswered": [{"from": a, "to": b} for (a, b), answer in answers.items() if answer is None],
    }


def _in_turn(nodes: Sequence[Mapping[T, U]]) -> list[tuple[T, U]]:
    """The items of each in turn, so that neighbours are of different ones as long as there are any."""
    rounds = itertools.zip_longest(*(pods.items() for pods in nodes))
    return [item for row in rounds for item in row if item is not None]
