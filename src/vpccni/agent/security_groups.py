"""Security groups follow those of the primary ENI (spec 6.12), with no call for an ENI that has them already."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Protocol

from vpccni.agent.threads import Threads
from vpccni.aws.errors import NO_SUCH_ENI, Ec2Error
from vpccni.ipam.values import EniId

log = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between looks at instance metadata, which cost EC2 nothing."""


class Groups(Protocol):
    """EC2, as this needs it; blocking; failures are Ec2Error."""

    groups: tuple[str, ...]

    @property
    def made_with(self) -> Mapping[EniId, tuple[str, ...]]:
        """The groups that ENIs were made with, in this agent's life."""

    def set_groups(self, eni: EniId, groups: tuple[str, ...]) -> None:
        """All of an ENI's groups."""


class SecurityGroups:
    """Remembers which groups each ENI has: what EC2 said last, or what we told EC2."""

    def __init__(
        self,
        cloud: Groups,
        read: Callable[[], Awaitable[tuple[str, ...]]],
        enis: Callable[[], Iterable[EniId]],
        threads: Threads,
    ) -> None:
        """`read` asks instance metadata for the primary's groups, `enis` are the secondary ones of ours."""
        self._cloud = cloud
        self._read = read
        self._enis = enis
        self._threads = threads
        self._known: dict[EniId, frozenset[str]] = {}

    def learn(self, groups: dict[EniId, tuple[str, ...]]) -> None:
        """What EC2 said of some ENIs."""
        self._known |= {eni: frozenset(names) for eni, names in groups.items()}

    async def refresh(self) -> None:
        """Have every ENI that is known to have other groups get the primary's. Raises ImdsError."""
        wanted = await self._read()
        before, self._cloud.groups = frozenset(self._cloud.groups), wanted
        ours = tuple(self._enis())
        self._known = {eni: groups for eni, groups in self._known.items() if eni in ours}
        for eni in ours:
            # one that EC2 was never asked about has what it was made with; how long ago that was does not matter
            made = self._cloud.made_with.get(eni)
            if self._known.setdefault(eni, before if made is None else frozenset(made)) == frozenset(wanted):
                continue
            try:
                await self._threads(partial(self._cloud.set_groups, eni, wanted))
            except Ec2Error as error:
                if error.code == NO_SUCH_ENI:
                    continue  # it is on its way out
                log.error("%s keeps its security groups, which are not the primary's: %s", eni, error)
                continue  # tried again next time, for it is not remembered as done
            self._known[eni] = frozenset(wanted)
            log.info("%s has the primary's security groups: %s", eni, ", ".join(wanted))
