"""A scenario file, read strictly: each error names the line, the field, and what would be right (docs/plan.md)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

from vpccni.ipam.limits import known_limits
from vpclab.plan.policies import problem_of
from vpclab.plan.scenario import (
    CountChange,
    Manager,
    NodeGroup,
    PodGroup,
    Policy,
    Scenario,
    ScenarioError,
    Shape,
    SubnetPlan,
)
from vpclab.plan.yaml_fields import Field, boolean, load, number, seconds, text, whole
from vpclab.region.addresses import RESERVED_HEAD, RESERVED_TAIL
from vpclab.region.gate import RATES, Rate
from vpclab.sim.trace import PodSpan, from_file

T = TypeVar("T")
ZONES = 4
"""The region has so many."""
DEFAULT_SECONDS = 86400.0
LONGEST = 31 * 86400.0


def read_scenario(path: Path) -> Scenario:
    """Raises ScenarioError, OSError."""
    return scenario_of(path.read_text(encoding="utf-8"), str(path), path.parent)


def scenario_of(written: str, name: str = "scenario", folder: Path = Path()) -> Scenario:
    """From the text of a file; files of traces are looked for in `folder`. Raises ScenarioError."""
    top = load(written, name)
    top.only(
        *("name", "description", "seed", "duration", "warm_up", "ec2", "subnets", "nodes", "pods", "policies")
    )
    subnets = _named(top.need("subnets"), _subnet)
    if len({s.zone for s in subnets}) > ZONES:
        raise top.need("subnets").wrong(f"are in more than {ZONES} zones, which is all that the region has")
    _apart(top.need("subnets"), subnets)
    groups = _named(top.need("nodes"), lambda f: _nodes(f, {s.name for s in subnets}))
    _fits(top.need("subnets"), subnets, groups)
    length = top.get("duration", _positive(seconds, LONGEST), DEFAULT_SECONDS)
    ec2 = top.field("ec2")
    ec2_fields = ("delays", "throttle", "rates")
    if ec2 is not None:
        ec2.only(*ec2_fields)
    policies = top.field("policies")
    return Scenario(
        name=top.get("name", text, Path(name).stem),
        description=top.get("description", text, ""),
        seed=top.get("seed", whole(0), 1),
        seconds=length,
        warm_up=top.get("warm_up", seconds, None),
        real_delays=ec2 is None or ec2.get("delays", _delays, default=True),
        throttle=ec2 is None or ec2.get("throttle", boolean, default=True),
        rates=_rates(ec2.field("rates")) if ec2 is not None else {},
        subnets=subnets,
        nodes=groups,
        pods=_named(top.need("pods"), lambda f: _pods(f, {g.name for g in groups}, folder)),
        policies=_named(policies, _policy) if policies is not None else (Policy("default"),),
    )


# --- parts --------------------------------------------------------------------------------------------------


def _subnet(f: Field) -> SubnetPlan:
    f.only("name", "cidr", "zone", "used", "left", "scattered", "tags", "for_prefixes")
    cidr = f.need("cidr").parse(_cidr)
    room = cidr.num_addresses - RESERVED_HEAD - RESERVED_TAIL
    left = f.get("left", whole(0), None)
    used = f.get("used", whole(0), 0)
    if used and left is not None:
        raise f.need("left").wrong("is given beside `used`: one of them says it all")
    if max(used, left or 0) > room:
        raise f.need("used" if used else "left").wrong(f"is more than the {room} addresses that {cidr} has")
    tags = f.field("tags")
    ranges = f.field("for_prefixes")
    reserved = tuple(item.parse(_cidr) for item in ranges.items()) if ranges is not None else ()
    for network in reserved:
        if not network.subnet_of(cidr):
            raise f.need("for_prefixes").wrong(f"has {network}, which is not in {cidr}")
    return SubnetPlan(
        name=f.get("name", text, str(cidr)),
        cidr=cidr,
        zone=f.get("zone", text, "a"),
        used=used,
        left=left,
        scattered=f.get("scattered", boolean, default=False),
        tags={key: value.parse(text) for key, value in tags.entries()} if tags is not None else {},
        for_prefixes=reserved,
    )


def _nodes(f: Field, subnets: set[str]) -> NodeGroup:
    f.only("name", "type", "count", "subnets", "changes", "max_pods")
    instance_type = f.need("type").parse(text)
    if known_limits(instance_type) is None:
        raise f.need("type").wrong(f"{instance_type!r} is not in the list of instance types of this version")
    changes = f.field("changes")
    steps = [_change(item) for item in changes.items()] if changes is not None else []
    if changes is not None and [c.at for c in steps] != sorted(c.at for c in steps):
        raise changes.wrong("are not in the order of their times")
    return NodeGroup(
        name=f.get("name", text, instance_type),
        type=instance_type,
        count=f.need("count").parse(whole(0)),
        subnets=_among(f, "subnets", subnets, "subnet"),
        changes=tuple(steps),
        max_pods=f.get("max_pods", whole(3), None),
    )


def _change(f: Field) -> CountChange:
    f.only("at", "count")
    return CountChange(f.need("at").parse(seconds), f.need("count").parse(whole(0)))


OF_SHAPE: dict[Shape, tuple[str, ...]] = {
    Shape.CONSTANT: ("count",),
    Shape.POISSON: ("per_hour", "life"),
    Shape.DIURNAL: ("per_hour", "life", "night"),
    Shape.BURSTS: ("count", "every", "life", "within"),
    Shape.ROLL_OUTS: ("count", "every", "surge", "step"),
    Shape.FILE: ("file",),
}
"""The fields that each shape has beside its name and its nodes."""
OPTIONAL = frozenset({"night", "within", "surge", "step"})


def _pods(f: Field, groups: set[str], folder: Path) -> PodGroup:
    shape = f.need("shape").parse(_one_of(Shape))
    f.only("name", "shape", "nodes", *OF_SHAPE[shape])
    for name in OF_SHAPE[shape]:
        if name not in OPTIONAL:
            f.need(name)
    life, same = f.get("life", _life, (0.0, False))
    return PodGroup(
        name=f.get("name", text, shape.value),
        shape=shape,
        nodes=_among(f, "nodes", groups, "node group"),
        count=f.get("count", whole(0), 0),
        per_hour=f.get("per_hour", _positive(number), 0.0),
        life=life,
        same_life=same,
        every=f.get("every", _positive(seconds), 0.0),
        within=f.get("within", seconds, 5.0),
        night=f.get("night", _part, 0.1),
        surge=f.get("surge", _part, 0.25),
        step=f.get("step", _positive(seconds), 20.0),
        spans=f.need("file").parse(lambda said: _spans(folder / text(said))) if shape is Shape.FILE else (),
    )


def _policy(f: Field) -> Policy:
    f.only("name", "agent", "env", "batch", "minimum_free", "pre_allocate")
    env = f.field("env")
    given = {key: value.parse(_as_written) for key, value in env.entries()} if env is not None else {}
    policy = Policy(
        name=f.get("name", text, ", ".join(f"{k}={v}" for k, v in given.items()) or "default"),
        manager=f.get("agent", _one_of(Manager), Manager.OURS),
        env=given,
        batch=f.get("batch", whole(1), 16),
        minimum_free=f.get("minimum_free", number, 0.5),
        pre_allocate=f.get("pre_allocate", whole(1), 8),
    )
    problem = problem_of(policy)
    if problem is not None:
        name, said = problem
        raise (env.need(name) if env is not None and name in given else f).wrong(said)
    return policy


# --- checks across parts ------------------------------------------------------------------------------------


def _apart(f: Field, subnets: tuple[SubnetPlan, ...]) -> None:
    for at, subnet in enumerate(subnets):
        for other in subnets[:at]:
            if subnet.cidr.overlaps(other.cidr):
                raise f.items()[at].wrong(f"{subnet.cidr} overlaps {other.name} ({other.cidr})")


def _fits(f: Field, subnets: tuple[SubnetPlan, ...], groups: tuple[NodeGroup, ...]) -> None:
    """The first nodes' own addresses must be there."""
    for at, subnet in enumerate(subnets):
        machines = nodes_in(subnet, groups)
        room = subnet.cidr.num_addresses - RESERVED_HEAD - RESERVED_TAIL
        taken = subnet.used if subnet.left is None else subnet.left
        if machines + taken > room:
            raise f.items()[at].wrong(
                f"has {room} addresses: not enough for {taken} and the {machines} nodes that start in it"
            )


def nodes_in(subnet: SubnetPlan, groups: tuple[NodeGroup, ...]) -> int:
    """Nodes that start in a subnet: each group takes its subnets in turn."""
    return sum(
        len(range(place, group.count, len(group.subnets)))
        for group in groups
        for place, name in enumerate(group.subnets)
        if name == subnet.name
    )


def _named(f: Field, parse: Callable[[Field], T]) -> tuple[T, ...]:
    """A list whose items have names, all different."""
    items = f.items()
    if not items:
        raise f.wrong("is empty: at least one is needed")
    made: list[T] = []
    seen: set[str] = set()
    for item in items:
        one = parse(item)
        name = str(getattr(one, "name", ""))
        if name in seen:
            raise item.wrong(f"another one has the name {name!r}")
        seen.add(name)
        made.append(one)
    return tuple(made)


def _among(f: Field, key: str, known: set[str], what: str) -> tuple[str, ...]:
    """Names that were said before; all of them, in their order, if none are given."""
    listed = f.field(key)
    if listed is None:
        return tuple(sorted(known))
    names = [item.parse(text) for item in listed.items()]
    for name in names:
        if name not in known:
            raise listed.wrong(f"there is no {what} {name!r}; there are {', '.join(sorted(known))}")
    if not names:
        raise listed.wrong("is empty")
    return tuple(names)


def _rates(f: Field | None) -> dict[str, Rate]:
    if f is None:
        return {}
    found: dict[str, Rate] = {}
    for action, rate in f.entries():
        if action not in RATES and not action[:1].isupper():
            raise rate.wrong("is no EC2 action: CreateNetworkInterface, for instance")
        rate.only("size", "refill")
        found[action] = Rate(
            rate.need("size").parse(_positive(number)), rate.need("refill").parse(_positive(number))
        )
    return found


# --- values -------------------------------------------------------------------------------------------------


def _cidr(said: object) -> IPv4Network:
    try:
        cidr = IPv4Network(text(said))
    except ValueError:
        raise ScenarioError(f"{said!r} is not an IPv4 CIDR block such as 10.0.0.0/24") from None
    if not 16 <= cidr.prefixlen <= 28:
        raise ScenarioError(f"{cidr} is not between a /16 and a /28, as a subnet is")
    return cidr


def _delays(said: object) -> bool:
    if said in ("usual", "none"):
        return said == "usual"
    raise ScenarioError(f"{said!r} is neither usual nor none")


def _life(said: object) -> tuple[float, bool]:
    """A mean, or with the word `always` before it everyone's."""
    if isinstance(said, str) and said.startswith("always "):
        return _positive(seconds)(said.removeprefix("always ").strip()), True
    return _positive(seconds)(said), False


def _part(said: object) -> float:
    found = number(said)
    if not 0 <= found <= 1:
        raise ScenarioError(f"{found:g} is not between 0 and 1")
    return found


def _positive(parse: Callable[[object], float], most: float = float("inf")) -> Callable[[object], float]:
    def positive(said: object) -> float:
        found = parse(said)
        if not 0 < found <= most:
            raise ScenarioError(
                f"{said!r} is not above 0" + (f" and at most {most:g}" if found > most else "")
            )
        return found

    return positive


E = TypeVar("E", Shape, Manager)


def _one_of(kind: type[E]) -> Callable[[object], E]:
    def parse(said: object) -> E:
        for one in kind:
            if one.value == said:
                return one
        raise ScenarioError(f"{said!r} is none of {', '.join(one.value for one in kind)}")

    return parse


def _as_written(said: object) -> str:
    """An environment variable: YAML's true and 2 are the words that aws-node would read."""
    if isinstance(said, bool):
        return str(said).lower()
    if isinstance(said, str | int | float):
        return str(said)
    raise ScenarioError("is not a word or a number")


def _spans(path: Path) -> tuple[PodSpan, ...]:
    try:
        return from_file(path).pods
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ScenarioError(str(error)) from None
