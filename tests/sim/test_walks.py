"""Long random walks: a few nodes, whatever may happen to them, by seed."""

from __future__ import annotations

import os
import random

import pytest

from tests.sim.story import CALLS, TROUBLES, Steps, Story, random_setup

STEPS = int(os.environ.get("SOAK_STEPS", "350"))
"""Steps of each walk; `SOAK_STEPS=20000` for a long one."""
SUBNETS = [("10.0.0.0/24",), ("10.0.0.0/26",), ("10.0.0.0/25", "10.0.1.0/27"), ("10.0.0.0/22",)]


def walk(seed: int, steps: int) -> Story:
    draw = random.Random(seed)  # noqa: S311 -- the same walk in every run
    setups = [random_setup(draw) for _ in range(draw.randint(1, 3))]
    story = Story(
        setups=setups,
        subnets=draw.choice(SUBNETS),
        instance_type=draw.choice(["t3.small", "t3.medium", "m5.large"]),
        seed=seed,
    )

    def some(most: int) -> list[int]:
        return draw.sample(range(60), draw.randrange(most))

    def many(what: str, most: int) -> None:
        for number in some(most):
            getattr(story, what)(number)

    choices: Steps = [
        (8, lambda: many("add", 12)),
        (8, lambda: many("delete", 12)),
        (2, lambda: many("add", 40)),
        (1, lambda: many("delete", 60)),
        (12, lambda: story.time_passes(draw.choice([0.1, 0.7, 3.0, 12.0, 31.0, 61.0]))),
        (8, story.to_the_next_event),
        (1, lambda: story.time_passes(600.0)),
        (2, lambda: story.crash(draw.randrange(3))),
        (3, lambda: story.start(draw.randrange(3), torn=draw.randrange(80))),
        (1, lambda: story.start(draw.randrange(3), setup=random_setup(draw))),
        (2, lambda: story.ec2_fails(draw.choice(CALLS), draw.choice(TROUBLES), draw.randint(1, 12))),
        (1, story.world.region.clear_faults),
        (1, lambda: story.ec2_loses_answers(draw.choice([0.0, 0.0, 0.3]))),
        (1, lambda: story.ec2_throttles(hard=draw.random() < 0.3)),
        (1, lambda: story.metadata_lags(draw.choice([0.0, 5.0, 40.0]))),
        (1, lambda: story.devices_come_late(draw.choice([0.0, 4.0, 30.0]))),
        (1, lambda: story.somebody_takes_addresses(draw.randrange(2), draw.choice([1, 10, 60]))),
        (1, story.somebody_gives_addresses_back),
        (1, lambda: story.somebody_unassigns(draw.randrange(3), draw.randrange(99))),
        (1, lambda: story.somebody_detaches(draw.randrange(3), draw.randrange(9))),
    ]
    for _ in range(steps):
        draw.choices([step for _, step in choices], [weight for weight, _ in choices])[0]()
        story.check()
    return story


@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_what_must_hold_holds(seed: int) -> None:
    story = walk(seed, STEPS)
    assert story.started > 20, "pods came and went"
    story.settle()
