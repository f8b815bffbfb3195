"""A cloud of toys: things that refer to each other, take their time, and can be told to fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vpclab.cloudformation import Context, Engine, ResourceType, Wish
from vpclab.cloudformation.resource_type import properties
from vpclab.cloudformation.values import Properties
from vpclab.region.values import ApiError


@dataclass
class ToyCloud:
    """What the toys' service keeps: by id, their properties; and the order in which it was asked."""

    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    """Ids that are in use whatever one does."""
    store: dict[str, str] = field(default_factory=dict)

    def call(self, service: str, action: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        if (service, action) == ("ec2", "DescribeAvailabilityZones"):
            return {"AvailabilityZones": [{"ZoneName": f"ap-northeast-2{z}"} for z in "abcd"]}
        if service == "ssm":
            if parameters["Name"] not in self.store:
                raise ApiError("ParameterNotFound", "")
            return {"Parameter": {"Value": self.store[parameters["Name"]]}}
        if service == "ec2":
            if any(ids == ["nothing"] for ids in parameters.values()):
                raise ApiError("InvalidKeyPair.NotFound", "The key pair 'nothing' does not exist")
            return {}
        answer: Mapping[str, Any] = getattr(self, action)(**parameters)
        return answer

    def make(self, name: str, given: dict[str, Any]) -> Mapping[str, Any]:
        if name in self.broken:
            raise ApiError("InvalidParameterValue", f"{name} can't be made")
        made = f"toy-{len(self.log)}-{name}"
        self.things[made] = {**given, "name": name}
        self.log.append(("make", name))
        return {"id": made}

    def change(self, id: str, given: dict[str, Any]) -> Mapping[str, Any]:  # noqa: A002
        name = self.things[id]["name"]
        if name in self.broken:
            raise ApiError("InvalidParameterValue", f"{name} can't be changed")
        self.things[id] = {**given, "name": name}
        self.log.append(("change", name))
        return {}

    def end(self, id: str) -> Mapping[str, Any]:  # noqa: A002
        if id not in self.things:
            raise ApiError("InvalidToy.NotFound", f"no toy {id}")
        name = self.things[id]["name"]
        if name in self.stuck or any(id in str(one) for key, one in self.things.items() if key != id):
            raise ApiError("DependencyViolation", f"resource {id} has a dependent object")
        del self.things[id]
        self.log.append(("end", name))
        return {}


class Toy(ResourceType):
    """`Takes` is the seconds until it is there."""

    name = "Toy::Box::Thing"
    properties = properties(replace="Kind Needs", modify="Size Takes Tags Text")
    attributes = frozenset({"Arn", "Text"})

    def create(self, context: Context, p: Properties) -> str:
        made = context.call("toy", "make", name=context.logical_id, given=dict(p) | {"made": context.now})
        return str(made["id"])

    def settled(self, context: Context, physical_id: str, p: Properties) -> bool:
        thing = context.cloud.things[physical_id]  # type: ignore[attr-defined]
        return bool(context.now >= thing.get("made", 0.0) + float(p.get("Takes", 0)))

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        return {"Arn": f"arn:{physical_id}", "Text": p.get("Text", "")}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        context.call("toy", "change", id=physical_id, given=dict(new) | {"made": context.now})

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        context.call("toy", "end", id=physical_id)


class Other(Toy):
    """Another type of the same."""

    name = "Toy::Box::Other"


TOYS: Mapping[str, ResourceType] = {one.name: one for one in (Toy(), Other())}


def engine_of(cloud: ToyCloud, **options: Any) -> Engine:
    return Engine(cloud, TYPES_AND_IAM, now=1000.0, **options)


class Role(Toy):
    """Something that needs a capability."""

    name = "AWS::IAM::Role"
    properties = properties(replace="RoleName")


TYPES_AND_IAM: Mapping[str, ResourceType] = {**TOYS, Role.name: Role()}


def run(engine: Engine, seconds: float = 120.0) -> None:
    """Let time pass until nothing is under way."""
    until = engine.now + seconds
    engine.advance(engine.now)
    while (due := engine.next_due()) is not None:
        assert due < until, "something is still under way"
        engine.advance(due)


def created(engine: Engine, text: str, name: str = "demo", **wish: Any) -> Any:
    engine.create_stack(name, Wish(text, **wish))
    run(engine)
    return engine.stack(name)


def told(stack: Any, after: int = 0) -> list[str]:
    """The events as text, oldest first, from the one of that number on."""
    return [
        f"{one.logical_id} {one.status}" + (f": {one.reason}" if one.reason else "")
        for one in stack.events[after:]
    ]
