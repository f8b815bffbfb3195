"""What a plan found, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from vpclab.plan.outcome import Outcome
from vpclab.plan.run import clock
from vpclab.plan.scenario import PodGroup, Scenario, Shape

WIDEST = 26


def report(scenario: Scenario, outcomes: Sequence[Outcome]) -> str:
    """All of it."""
    parts = [_head(scenario), _side_by_side(outcomes), _subnets(outcomes), _calls(outcomes)]
    parts += [_reasons(outcomes), _constraints(outcomes)]
    return "\n\n".join(part for part in parts if part)


def _head(scenario: Scenario) -> str:
    groups = ", ".join(
        f"{g.count} {g.type}" + "".join(f", {c.count} from {clock(c.at)}" for c in g.changes)
        for g in scenario.nodes
    )
    lines = [
        f"{scenario.name}: {scenario.seconds / 3600:g} h, seed {scenario.seed}",
        *([scenario.description.strip()] if scenario.description else []),
        f"  nodes    {groups}",
    ]
    lines += [f"  pods     {name}" for name in map(pods_in_words, scenario.pods)]
    lines += [
        f"  subnet   {s.name} {s.cidr} in zone {s.zone}"
        + (f", {s.used} used" if s.used else "")
        + (f", {s.left} left" if s.left is not None else "")
        + (", scattered" if s.scattered else "")
        for s in scenario.subnets
    ]
    return "\n".join(lines)


def pods_in_words(pods: PodGroup) -> str:
    """A pod group in a line."""
    life = f"{'all' if pods.same_life else 'about'} {pods.life:g} s each"
    words = {
        Shape.CONSTANT: f"{pods.count} all the time",
        Shape.POISSON: f"{pods.per_hour:g} an hour, {life}",
        Shape.DIURNAL: f"up to {pods.per_hour:g} an hour at noon, {life}",
        Shape.BURSTS: f"{pods.count} within {pods.within:g} s every {pods.every:g} s, {life}",
        Shape.ROLL_OUTS: f"{pods.count}, all rolled every {pods.every:g} s with a surge of {pods.surge:.0%}",
        Shape.FILE: f"{len(pods.spans)} of a trace",
    }
    return f"{pods.name} ({pods.shape.value}): {words[pods.shape]}"


def _side_by_side(outcomes: Sequence[Outcome]) -> str:
    rows: list[tuple[str, Callable[[Outcome], str]]] = [
        ("pods started", lambda o: f"{o.pods}"),
        ("  waited for an address", lambda o: f"{o.waited} ({o.waited / max(o.pods, 1):.2%})"),
        ("  never had one", lambda o: f"{o.never}"),
        ("  found no node with room", lambda o: f"{o.no_room}"),
        ("failed ADDs", lambda o: f"{o.failed_adds}"),
        ("wait p50 / p99 / most, s", lambda o: " / ".join(map(brief, (o.wait_p50, o.wait_p99, o.wait_max)))),
        ("addresses held, mean", lambda o: f"{o.mean_held:.1f}"),
        ("  at most", lambda o: f"{o.peak_held}"),
        ("  unused, mean", lambda o: f"{o.mean_unused:.1f}"),
        ("  unused, address-hours", lambda o: f"{o.unused_hours:.0f}"),
        ("EC2 calls", lambda o: f"{o.calls}"),
    ]
    if any(o.largest for o in outcomes):
        rows.append(("largest cluster that fits", lambda o: o.largest))
    return _grid("", [o.policy for o in outcomes], [(name, [of(o) for o in outcomes]) for name, of in rows])


def brief(seconds: float) -> str:
    """Three digits, but no exponent."""
    return f"{seconds:.0f}" if seconds >= 100 else f"{seconds:.3g}"


def _subnets(outcomes: Sequence[Outcome]) -> str:
    rows = []
    for place, subnet in enumerate(outcomes[0].subnets):
        at = [o.subnets[place] for o in outcomes]
        rows += [
            (
                f"{subnet.name}: held mean / most of {subnet.capacity}",
                [f"{s.mean_held:.0f} / {s.peak_held}" for s in at],
            ),
            ("  used mean / most", [f"{s.mean_used:.0f} / {s.peak_used}" for s in at]),
            (
                "  free at least: addresses, /28s",
                [f"{s.lowest_free}, {s.lowest_free_prefixes}" for s in at],
            ),
        ]
    return _grid("subnets", [o.policy for o in outcomes], rows)


def _calls(outcomes: Sequence[Outcome]) -> str:
    actions = sorted({c.action for o in outcomes for c in o.by_action})
    rows = []
    for action in actions:
        cells = []
        for o in outcomes:
            found = next((c for c in o.by_action if c.action == action), None)
            if found is None:
                cells.append("-")
                continue
            refused = f", {found.refused} refused" if found.refused else ""
            cells.append(f"{found.calls}; {found.lowest:.0f} of {found.size:.0f} left{refused}")
        rows.append((action, cells))
    return _grid("EC2 calls; tokens left in the account's bucket", [o.policy for o in outcomes], rows)


def _reasons(outcomes: Iterable[Outcome]) -> str:
    lines = ["why pods waited and ADDs failed"]
    for o in outcomes:
        lines.append(f"  {o.policy}")
        if not o.reasons:
            lines.append("    nothing did")
        for r in o.reasons:
            span = clock(r.first_at) + (f"-{clock(r.last_at)}" if r.last_at > r.first_at + 1 else "")
            lines.append(
                f"    {r.reason}: {r.waited} waited, {r.failed} ADDs failed, at {span}; "
                f"first {r.pod} on {r.node}" + (f": {r.detail}" if r.detail else "")
            )
    return "\n".join(lines)


def _constraints(outcomes: Iterable[Outcome]) -> str:
    return "\n".join(["what binds", *(f"  {o.policy}: {o.constraint}" for o in outcomes)])


def _grid(title: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    heads = [_cut(head) for head in heads]
    first = max([len(title), *(len(name) for name, _ in rows)])
    widths = [max(len(head), *(len(cells[at]) for _, cells in rows)) for at, head in enumerate(heads)]
    lines = [f"{title:{first}}" + "".join(f"  {head:>{w}}" for head, w in zip(heads, widths, strict=True))]
    lines += [
        f"{name:{first}}" + "".join(f"  {cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
        for name, cells in rows
    ]
    return "\n".join(lines)


def _cut(name: str) -> str:
    return name if len(name) <= WIDEST else name[: WIDEST - 1] + "…"
