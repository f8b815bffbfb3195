"""Whatever the dependencies: nothing is made before what it needs, nothing goes before what needs it."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tests.cloudformation.toys import ToyCloud, engine_of, run
from vpclab.cloudformation import Wish
from vpclab.cloudformation.graph import check_circles
from vpclab.region.values import ApiError


@st.composite
def templates(draw: st.DrawFn) -> tuple[str, dict[str, set[str]]]:
    count = draw(st.integers(1, 9))
    names = [f"R{n}" for n in draw(st.permutations(range(count)))]
    needs: dict[str, set[str]] = {}
    lines = ["Resources:"]
    for place, name in enumerate(names):
        needs[name] = set(draw(st.lists(st.sampled_from(names[:place]), max_size=3))) if place else set()
        spoken = [one for one in needs[name] if draw(st.booleans())]
        said = sorted(needs[name] - set(spoken))
        lines.append(
            f"  {name}: {{Type: 'Toy::Box::Thing', DependsOn: [{', '.join(said)}],"
            f" Properties: {{Takes: {draw(st.integers(0, 3))}, Needs: [{', '.join(f'!Ref {one}' for one in spoken)}]}}}}"
        )
    body = sorted(lines[1:])
    return "\n".join([lines[0], *body]), needs


@given(templates(), st.data())
def test_order(made: tuple[str, dict[str, set[str]]], data: st.DataObject) -> None:
    text, needs = made
    cloud = ToyCloud()
    engine = engine_of(cloud)
    broken = data.draw(st.sampled_from([None, *needs]))
    cloud.broken = {broken} if broken else set()
    engine.create_stack("demo", Wish(text))
    run(engine)
    stack = engine.stack("demo")
    whole = {
        e.logical_id: e.at
        for e in stack.events
        if e.status == "CREATE_COMPLETE" and e.physical_id != stack.id
    }
    begun: dict[str, float] = {}
    for event in stack.events:
        if event.status == "CREATE_IN_PROGRESS":
            begun.setdefault(event.logical_id, event.at)
    places = {(e.logical_id, e.status): place for place, e in enumerate(stack.events)}
    for name in whole:
        assert all(places[need, "CREATE_COMPLETE"] < places[name, "CREATE_COMPLETE"] for need in needs[name])
    if broken is None:
        assert stack.status == "CREATE_COMPLETE"
        for name, of in needs.items():
            # begun as soon as it could be: nothing waits for what it does not need
            assert begun[name] == max((whole[need] for need in of), default=1000.0)
        engine.delete_stack("demo")
        run(engine)
    else:
        assert stack.status == "ROLLBACK_COMPLETE"
    assert not cloud.things
    ends = [name for deed, name in cloud.log if deed == "end"]
    for one, other in itertools.combinations(ends, 2):
        assert other not in _reached(needs, other, one), f"{one} went before {other}, which needs it"


def _reached(needs: dict[str, set[str]], name: str, wanted: str) -> set[str]:
    """{name} if it needs the wanted one, by however many steps."""
    waiting, seen = [name], set()
    while waiting:
        for below in needs[waiting.pop()]:
            if below == wanted:
                return {name}
            if below not in seen:
                seen.add(below)
                waiting.append(below)
    return set()


@given(st.dictionaries(st.sampled_from("ABCDEF"), st.frozensets(st.sampled_from("ABCDEF")), max_size=6))
def test_circles_are_found_exactly_where_they_are(graph: dict[str, frozenset[str]]) -> None:
    def reaches_itself(name: str) -> bool:
        waiting, seen = list(graph[name] & graph.keys()), set()
        while waiting:
            one = waiting.pop()
            if one == name:
                return True
            if one not in seen:
                seen.add(one)
                waiting.extend(graph[one] & graph.keys())
        return False

    circular = sorted(name for name in graph if reaches_itself(name))
    try:
        check_circles(graph)
    except ApiError as error:
        assert error.message == f"Circular dependency between resources: [{', '.join(circular)}]"  # noqa: PT017
        assert circular
    else:
        assert not circular
