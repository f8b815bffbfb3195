"""The engine in the region's time: looked at after every call, and by the region's schedule while something is under way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpclab.aws.service import Cloud
from vpclab.cloudformation import Engine
from vpclab.cloudformation.stack import Stack
from vpclab.cloudformation.types import TYPES
from vpclab.region.values import ApiError

TICK = "cloudformation-tick"


class _OnBehalf:
    """The account's API as CloudFormation has it: it alone may write tags that are AWS's own."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def call(self, service: str, action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One call. Raises ApiError."""
        if service not in self._cloud.services:
            raise ApiError("InvalidAction", f"The lab does not emulate the service {service}.")
        if (service, action) == ("ec2", "CreateTags"):
            tags = {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
            self._cloud.region.create_tags(parameters["Resources"], tags)
            return {}
        return self._cloud.call(service, action, parameters)


class Stacks:
    """What the service keeps.

    It is the largest part of a lab's file and seldom changes: whoever is given the engine may change it, and is counted.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._region = region = cloud.region
        self._api = _OnBehalf(cloud)
        self._engine = Engine(self._api, TYPES, region=region.name, account=region.account, now=region.now)
        self._planned = False
        self._changes = 0
        region.means(TICK, self._tick)

    def wound(self) -> Engine:
        """The engine, told the time."""
        self._changes += 1
        self._engine.advance(self._region.now)
        return self._engine

    def stack(self, name_or_id: str) -> Stack:
        """One to look at, as it was found last. Raises ApiError: ValidationError."""
        return self._engine.stack(name_or_id)

    def wind(self) -> None:
        """Do what can be done now, and come back while something is under way."""
        due = self.wound().next_due()
        if due is not None and not self._planned:
            self._planned = True
            self._region.later(due - self._region.now, TICK)

    @property
    def changes(self) -> int:
        """How often the engine was told the time or given away."""
        return self._changes

    def lasting(self) -> tuple[Engine, bool]:
        """What there is to keep when the process ends."""
        return self._engine, self._planned

    def restore(self, kept: tuple[Engine, bool]) -> None:
        """Be again what `lasting` gave."""
        self._changes += 1
        self._engine, self._planned = kept

    def outside(self) -> Mapping[str, object]:
        """The account's API and what the types do are the process's."""
        return {"api": self._api, "types": TYPES, **{f"type {name}": kind for name, kind in TYPES.items()}}

    def _tick(self) -> None:
        self._planned = False
        self.wind()


def begin(cloud: Cloud) -> None:
    """Put an engine without stacks there."""
    cloud.keep(Stacks(cloud))
