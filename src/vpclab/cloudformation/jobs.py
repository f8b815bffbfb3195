"""Jobs in order: each starts when those it needs are done, those that need nothing of each other run together."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from vpclab.cloudformation.errors import ResourceFailed
from vpclab.cloudformation.values import StackResource


class JobState(enum.Enum):
    """How far a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Job(Protocol):
    """Something to be done to one resource."""

    needs: frozenset[str]
    state: JobState
    began: float

    @property
    def resource(self) -> StackResource:
        """What it is done to."""

    def start(self) -> None:
        """Begin. Raises ResourceFailed."""

    def finished(self) -> bool:
        """Look whether it is done, and finish it if so. Raises ResourceFailed."""

    def failed(self, reason: str) -> None:
        """It came to nothing, or was called off."""


@dataclass(slots=True)
class Work:
    """Jobs by name."""

    jobs: dict[str, Job]
    halting: bool = True
    """Whether nothing is begun after a failure, and what is under way is called off."""
    failures: list[str] = field(default_factory=list)

    def step(self, now: Callable[[], float]) -> None:
        """Do all that can be done now."""
        moved = True
        while moved:
            moved = False
            for name, job in self.jobs.items():
                if self.failures and self.halting:
                    return
                if job.state is JobState.WAITING and self._may_start(job):
                    job.began = now()
                    job.state = JobState.RUNNING
                    moved = self._guarded(name, job, job.start) or moved
                if job.state is JobState.RUNNING and self._guarded(name, job, job.finished):
                    moved = True

    @property
    def over(self) -> bool:
        """Whether nothing is under way and nothing can begin."""
        states = [job.state for job in self.jobs.values()]
        if self.failures and self.halting:
            return True
        return JobState.RUNNING not in states and not any(
            job.state is JobState.WAITING and self._may_start(job) for job in self.jobs.values()
        )

    def call_off(self, reason: str) -> None:
        """End what is under way."""
        for job in self.jobs.values():
            if job.state is JobState.RUNNING:
                job.state = JobState.FAILED
                job.failed(reason)

    def _may_start(self, job: Job) -> bool:
        return all(self.jobs[need].state is JobState.DONE for need in job.needs if need in self.jobs)

    def _guarded(self, name: str, job: Job, deed: Callable[[], bool | None]) -> bool:
        try:
            done = deed()
        except ResourceFailed as failure:
            job.state = JobState.FAILED
            self.failures.append(name)
            job.failed(str(failure))
            return True
        if done:
            job.state = JobState.DONE
        return bool(done)
