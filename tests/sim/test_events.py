from __future__ import annotations

from vpclab.sim.events import Events, Work


def test_steps_are_done_in_the_order_of_their_times_and_time_is_told_first() -> None:
    told: list[float] = []
    events = Events(5.0, told.append)
    done: list[str] = []
    events.at(9.0, lambda: done.append("b"))
    events.at(9.0, lambda: done.append("c"))

    def first() -> None:
        done.append("a")
        events.after(0.0, lambda: done.append("a2"))

    events.at(7.0, first)
    events.run_until(8.0)
    assert done == ["a", "a2"]
    assert events.now == 8.0
    events.run_until(9.0)
    assert done == ["a", "a2", "b", "c"]
    assert told == [5.0, 7.0, 8.0, 9.0]


def test_a_time_that_has_passed_is_now() -> None:
    events = Events(5.0, lambda _: None)
    assert events.at(1.0, lambda: None).at == 5.0


def test_a_cancelled_step_is_not_done_and_is_not_next() -> None:
    events = Events(0.0, lambda _: None)
    done: list[int] = []
    timer = events.at(1.0, lambda: done.append(1))
    events.at(2.0, lambda: done.append(2))
    timer.cancel()
    assert events.next_at() == 2.0
    events.run_until(3.0)
    assert done == [2]
    assert events.next_at() is None


def test_work_waits_and_returns_and_can_be_killed() -> None:
    events = Events(0.0, lambda _: None)
    seen: list[object] = []

    def work(name: str) -> Work[str]:
        try:
            yield 2.0
            seen.append((name, events.now))
            yield 2.0
        finally:
            seen.append(f"{name} ended")
        return name

    events.start(work("one"), seen.append)
    killed = events.start(work("two"), seen.append)
    assert seen == []
    events.run_until(3.0)
    killed.kill()
    events.run_until(10.0)
    assert seen == [("one", 2.0), ("two", 2.0), "two ended", "one ended", "one"]
