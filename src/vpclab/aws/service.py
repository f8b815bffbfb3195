"""What a service is: its operations, by name; and what operations share.

**How to add an operation.** Write a function `(context, parameters) -> values` and put it into its service's registry:

    def list_clusters(context: Context, p: Parameters) -> dict[str, Any]:
        clusters = context.kept(Clusters)
        return {"clusters": sorted(clusters.by_name)}

    OPERATIONS = {"ListClusters": operation(list_clusters, "maxResults", "nextToken")}

Names of parameters and values are botocore's (the ones that boto3 has); parameters come typed, values go as plain Python:
dates with a zone, addresses, numbers, texts; None is left out. The names after the function are the parameters that it
honours: any other one that the model has is refused, not ignored. What the function refuses it raises as
`ApiError(code, message)` with AWS's own code, before it has changed anything (`fields=` for what a JSON service's error carries).
It does not wait: what takes time is put into the region's schedule (`context.region.later`) as a step with a name: `begin` says
what the name means (`cloud.region.means`), so that what is planned outlives the process (`vpclab.aws.lasting`).

**How to add a service.** `Service(name, OPERATIONS, begin)` with botocore's name for it; protocol and shapes come from botocore's
model. `begin(cloud)` is called once, to put the service's own state (`cloud.keep(Clusters(cloud.region))`), which every service
then finds by its class (`context.kept(Clusters)`). Add it to `vpclab.aws.services.SERVICES`, and its host name to `HOSTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from vpclab.aws.keys import Key, Keys
from vpclab.aws.protocols.form import Parameters
from vpclab.region.region import Region
from vpclab.region.values import ApiError

T = TypeVar("T")


@runtime_checkable
class Lasting(Protocol):
    """A service's state that can be kept when the lab's process ends."""

    @property
    def changes(self) -> int | None:
        """How many there may have been: while it is the same number, so is what `lasting` gives. None: nobody counts."""

    def lasting(self) -> Any:
        """What there is to keep: values without functions, but for `outside`."""

    def restore(self, kept: Any) -> None:
        """Be again what `lasting` gave, in a lab that has just begun."""

    def outside(self) -> Mapping[str, object]:
        """What the values refer to and is not kept with them, by names that are the same in the next process."""


@dataclass(frozen=True, slots=True)
class Context:
    """Who calls, and what there is."""

    cloud: Cloud
    caller: Key
    request_id: str = ""

    @property
    def region(self) -> Region:
        """The VPCs."""
        return self.cloud.region

    def kept(self, kind: type[T]) -> T:
        """Another service's state, or this one's own, by its class."""
        return self.cloud.kept(kind)

    def call(self, service: str, action: str, parameters: Parameters) -> dict[str, Any]:
        """Perform another operation for the same caller, not through the gate. Raises ApiError."""
        return self.cloud.call(service, action, parameters, self)


class Remembered:
    """A state that is values alone, beside the region: all of it is kept. Meets `Lasting`."""

    @property
    def changes(self) -> None:
        """Nobody counts."""

    def lasting(self) -> dict[str, Any]:
        """What there is to keep when the process ends."""
        return {name: value for name, value in vars(self).items() if not isinstance(value, Region)}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Be again what `lasting` gave."""
        vars(self).update(kept)

    def outside(self) -> Mapping[str, object]:
        """Values alone are kept."""
        return {}


Perform = Callable[[Context, Parameters], dict[str, Any]]
ALWAYS = frozenset({"DryRun", "ClientToken", "clientRequestToken"})
"""Parameters that the endpoint itself takes care of."""


@dataclass(frozen=True, slots=True)
class Operation:
    """How an operation is performed, and which of its parameters the lab honours; another one is refused, not ignored."""

    perform: Perform
    parameters: frozenset[str]

    def strange(self, parameters: Iterable[str]) -> list[str]:
        """Those that the lab does not emulate."""
        return sorted(set(parameters) - self.parameters)


def operation(perform: Perform, *parameters: str) -> Operation:
    """An operation with its parameters."""
    return Operation(perform, frozenset(parameters) | ALWAYS)


@dataclass(frozen=True)
class Service:
    """A service of AWS, by the name that botocore has for it."""

    name: str
    operations: Mapping[str, Operation]
    begin: Callable[[Cloud], None] | None = None
    """Puts what the service keeps into the cloud."""


class Cloud:
    """The region and the services' states, for as long as the lab lives."""

    def __init__(self, region: Region, services: Iterable[Service]) -> None:
        self.region = region
        self.keys = Keys(region)
        self.services: Mapping[str, Service] = {one.name: one for one in services}
        self._kept: dict[type, object] = {}
        for service in self.services.values():
            if service.begin is not None:
                service.begin(self)

    def keep(self, state: object) -> None:
        """Have `kept` find this by its class."""
        self._kept[type(state)] = state

    def kept(self, kind: type[T]) -> T:
        """What was kept of this class. Raises KeyError if nothing was: its service is not served."""
        return cast("T", self._kept[kind])

    def all_kept(self) -> Mapping[str, object]:
        """Every service's state, by its class's name."""
        return {kind.__name__: state for kind, state in self._kept.items()}

    def context(self, caller: Key | None = None) -> Context:
        """For calls that do not come by the wire; the administrator makes them if nobody else does."""
        return Context(self, caller or self.keys.admin)

    def call(
        self, service: str, action: str, parameters: Parameters, context: Context | None = None
    ) -> dict[str, Any]:
        """Perform an operation, not through the gate; parameters are as the model has them. Raises ApiError."""
        known = self.services[service].operations.get(action)
        if known is None:
            raise ApiError("InvalidAction", f"The lab does not emulate {service}:{action}.")
        strange = known.strange(parameters)
        if strange:
            raise ApiError(
                "UnsupportedOperation", f"The lab does not emulate {', '.join(strange)} of {action}."
            )
        return known.perform(context or self.context(), parameters)
