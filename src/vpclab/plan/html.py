"""The report as one page without anything from elsewhere: tables and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from vpclab.plan.outcome import Outcome
from vpclab.plan.run import clock
from vpclab.plan.scenario import Scenario
from vpclab.plan.svg import Line, bars, chart
from vpclab.plan.tables import brief, pods_in_words

STYLES = 8
_CSS = """
:root{--ink:#1c2330;--soft:#5b6575;--faint:#e4e8ee;--page:#fff;--card:#f7f9fb;--warn:#b3261e;--good:#0b6b3a;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#aa4499;--c4:#b58900;--c5:#56b4e9;--c6:#7a4b2a;--c7:#444b59}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa4b5;--faint:#2b323e;--page:#12161d;--card:#1a2029;
--warn:#ff8a80;--good:#6fcf97;--c0:#4aa8e0;--c1:#ff8a3d;--c2:#35c79a;--c3:#d98fd0;--c4:#e0b83a;--c5:#8fd0f5;--c6:#c08a62;--c7:#aab3c2}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1360px;margin:0 auto;padding:28px 28px 60px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:36px 0 12px}p{margin:0 0 8px;max-width:75ch}
.soft{color:var(--soft)}.facts{display:flex;flex-wrap:wrap;gap:4px 28px;margin:12px 0 0;padding:0;list-style:none;color:var(--soft)}
.facts b{color:var(--ink);font-weight:600}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}.main{min-width:100%}
.main th,.main td{padding:6px 14px;border-bottom:1px solid var(--faint);text-align:right;white-space:nowrap}
.main th[scope=row]{text-align:left;font-weight:400;color:var(--soft)}
.main thead th{font-weight:600;vertical-align:bottom;white-space:normal;max-width:190px}
.main tr.sub th[scope=row]{padding-left:30px}
.best{color:var(--good);font-weight:600}.bad{color:var(--warn);font-weight:600}
.swatch{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:7px}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(480px,1fr));gap:18px}
figure{margin:0;background:var(--card);border:1px solid var(--faint);border-radius:10px;padding:14px 14px 10px}
figcaption{font-weight:600;font-size:14px;margin-bottom:6px}
svg{width:100%;height:auto;display:block}
.grid{stroke:var(--faint);stroke-width:1}.tick{fill:var(--soft);font-size:11px}.tick.y{text-anchor:end}.tick.x{text-anchor:middle}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}.area{stroke:none;opacity:.22}
.limit{stroke:var(--warn);stroke-width:1;stroke-dasharray:2 3}.limit-name{fill:var(--warn);font-size:11px;text-anchor:end}
.legend{display:flex;flex-wrap:wrap;gap:3px 16px;list-style:none;margin:8px 0 0;padding:0;font-size:12.5px;color:var(--soft)}
.key{display:inline-block;width:16px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle}.key.area{height:10px}
.bars{width:100%;font-size:13px}.bars th{text-align:left;font-weight:400;padding:3px 10px 3px 0;white-space:nowrap}
.bars .bar{width:42%}.bars .num{text-align:right;color:var(--soft);padding-left:10px;white-space:nowrap}
.track{background:var(--faint);border-radius:4px;height:10px}.fill{height:10px;border-radius:4px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:14px}
.card{background:var(--card);border:1px solid var(--faint);border-radius:10px;padding:12px 16px}
.card h3{font-size:14px;margin:0 0 4px}.card p{font-size:14px;overflow-wrap:anywhere}
@media (max-width:560px){main{padding:18px 14px}.plots{grid-template-columns:1fr}}
"""
_COLOURS = "".join(
    f".line.s{n}{{stroke:var(--c{n})}}.area.s{n},.fill.s{n},.key.s{n},.swatch.s{n}{{fill:var(--c{n});background:var(--c{n})}}"
    for n in range(STYLES)
)


def render(scenario: Scenario, outcomes: Sequence[Outcome]) -> str:
    """The whole page."""
    body = [
        _head(scenario, outcomes),
        "<h2>Side by side</h2>",
        _table(outcomes),
        "<h2>What binds, and why pods waited</h2>",
        _cards(outcomes),
        "<h2>Over time</h2>",
        f'<div class="plots">{"".join(_plots(outcomes))}</div>',
        "<h2>Subnets</h2>",
        f'<div class="plots">{"".join(_subnets(outcomes))}</div>',
        "<h2>EC2 calls against the account's token buckets</h2>",
        '<p class="soft">How much of each bucket was left at the busiest moment. Other tools share the same buckets.</p>',
        f'<div class="plots">{"".join(_buckets(outcomes))}</div>',
    ]
    title = escape(f"vpc-cni plan: {scenario.name}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_CSS}{_COLOURS}</style></head>'
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def style(place: int) -> str:
    """A policy's colour."""
    return f"s{place % STYLES}"


def _head(scenario: Scenario, outcomes: Sequence[Outcome]) -> str:
    nodes = ", ".join(
        f"{g.count} {g.type}" + "".join(f", {c.count} from {clock(c.at)}" for c in g.changes)
        for g in scenario.nodes
    )
    subnets = ", ".join(
        f"{s.name} {s.cidr} (zone {s.zone}"
        + (f", {s.used} used" if s.used else "")
        + (f", {s.left} left" if s.left is not None else "")
        + ")"
        for s in scenario.subnets
    )
    facts = [
        ("time", f"{scenario.seconds / 3600:g} h"),
        ("nodes", nodes),
        *(("pods", pods_in_words(p)) for p in scenario.pods),
        ("pods started", str(max(o.pods for o in outcomes))),
        ("subnets", subnets),
        ("seed", str(scenario.seed)),
    ]
    listed = "".join(f"<li>{name} <b>{escape(value)}</b></li>" for name, value in facts)
    said = f"<p>{escape(scenario.description)}</p>" if scenario.description else ""
    return f'<h1>{escape(scenario.name)}</h1>{said}<ul class="facts">{listed}</ul>'


Row = tuple[str, Callable[[Outcome], str], Callable[[Outcome], float] | None, bool]


def _table(outcomes: Sequence[Outcome]) -> str:
    """The fewest of a row is marked, where fewer is better and there is a difference."""
    rows: list[Row] = [
        (
            "Pods that waited for an address",
            lambda o: f"{o.waited} ({o.waited / max(1, o.pods):.2%})",
            lambda o: float(o.waited),
            False,
        ),
        ("never had one", lambda o: str(o.never), lambda o: float(o.never), True),
        ("found no node with room", lambda o: str(o.no_room), lambda o: float(o.no_room), True),
        ("Failed ADDs", lambda o: str(o.failed_adds), lambda o: float(o.failed_adds), False),
        ("Wait p50", lambda o: f"{brief(o.wait_p50)} s", None, False),
        ("p99", lambda o: f"{brief(o.wait_p99)} s", lambda o: o.wait_p99, True),
        ("longest", lambda o: f"{brief(o.wait_max)} s", lambda o: o.wait_max, True),
        ("Addresses held, mean", lambda o: f"{o.mean_held:.1f}", lambda o: o.mean_held, False),
        ("at most", lambda o: str(o.peak_held), lambda o: float(o.peak_held), True),
        ("used, mean", lambda o: f"{o.mean_used:.1f}", None, True),
        ("unused, mean", lambda o: f"{o.mean_unused:.1f}", lambda o: o.mean_unused, True),
        ("EC2 calls", lambda o: str(o.calls), lambda o: float(o.calls), False),
        (
            "refused for their rate",
            lambda o: str(sum(c.refused for c in o.by_action)),
            lambda o: float(sum(c.refused for c in o.by_action)),
            True,
        ),
    ]
    if any(o.largest for o in outcomes):
        rows.append(("Largest cluster that fits", lambda o: o.largest, None, False))
    heads = "".join(
        f'<th scope="col"><span class="swatch {style(at)}"></span>{escape(o.policy)}</th>'
        for at, o in enumerate(outcomes)
    )
    lines = "".join(_row(row, outcomes) for row in rows)
    return f'<div class="scroll"><table class="main"><thead><tr><th></th>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'


def _row(row: Row, outcomes: Sequence[Outcome]) -> str:
    name, words, value, below = row
    values = [value(o) for o in outcomes] if value is not None else []
    differ = len(set(values)) > 1
    cells = "".join(
        f"<td{' class=best' if differ and values[at] == min(values) else ''}>{escape(words(o))}</td>"
        for at, o in enumerate(outcomes)
    )
    return f'<tr{" class=sub" if below else ""}><th scope="row">{escape(name)}</th>{cells}</tr>'


def _cards(outcomes: Sequence[Outcome]) -> str:
    cards = []
    for at, o in enumerate(outcomes):
        reasons = "".join(
            f"<p><b{' class=bad' if r.failed else ''}>{r.reason}</b>: {r.waited} waited, {r.failed} ADDs failed, "
            f"from {clock(r.first_at)} to {clock(r.last_at)}"
            + (f"; first {escape(r.pod)} on {escape(r.node)}: {escape(r.detail)}" if r.detail else "")
            + "</p>"
            for r in o.reasons
        )
        cards.append(
            f'<div class="card"><h3><span class="swatch {style(at)}"></span>{escape(o.policy)}</h3>'
            f'<p>{escape(o.constraint)}</p><div class="soft">{reasons or "<p>No pod waited.</p>"}</div></div>'
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _plots(outcomes: Sequence[Outcome]) -> list[str]:
    times = outcomes[0].series.times
    used = Line("used by pods", "s7", outcomes[0].series.running, filled=True)
    shown = [
        chart(
            "Addresses held, all subnets",
            times,
            [*(Line(o.policy, style(at), o.series.held) for at, o in enumerate(outcomes)), used],
        ),
        chart(
            "Pods waiting for an address",
            times,
            [Line(o.policy, style(at), o.series.waiting) for at, o in enumerate(outcomes)],
        ),
        chart(
            "EC2 calls so far",
            times,
            [Line(o.policy, style(at), _sums(o.series.calls)) for at, o in enumerate(outcomes)],
        ),
    ]
    if len(set(outcomes[0].series.nodes)) > 1:
        shown.append(chart("Nodes", times, [Line("nodes", "s7", outcomes[0].series.nodes)]))
    return shown


def _subnets(outcomes: Sequence[Outcome]) -> list[str]:
    times, shown = outcomes[0].series.times, []
    for subnet in outcomes[0].subnets:
        held = [Line(o.policy, style(at), o.series.subnet_held[subnet.name]) for at, o in enumerate(outcomes)]
        used = Line("used by pods", "s7", outcomes[0].series.subnet_used[subnet.name], filled=True)
        free = [
            Line(o.policy, style(at), o.series.subnet_free_prefixes[subnet.name])
            for at, o in enumerate(outcomes)
        ]
        room = subnet.capacity - subnet.of_others
        near = max(o.subnets[0].peak_held for o in outcomes) > room / 4
        shown.append(
            chart(
                f"{subnet.name} ({subnet.cidr}): addresses held",
                times,
                [*held, used],
                limit=room if near else None,
                limit_name=f"all {room} that others do not use",
            )
        )
        shown.append(chart(f"{subnet.name}: free aligned /28s", times, free))
    return shown


def _buckets(outcomes: Sequence[Outcome]) -> list[str]:
    actions = sorted({c.action for o in outcomes for c in o.by_action})
    shown = []
    for action in actions:
        rows = []
        for at, o in enumerate(outcomes):
            found = next((c for c in o.by_action if c.action == action), None)
            if found is None:
                rows.append((o.policy, style(at), 1.0, "no calls"))
                continue
            refused = f", {found.refused} refused" if found.refused else ""
            rows.append(
                (
                    o.policy,
                    style(at),
                    found.headroom,
                    f"{found.calls} calls, {found.lowest:.0f} of {found.size:.0f} left{refused}",
                )
            )
        shown.append(bars(action, rows))
    return shown


def _sums(values: Sequence[int]) -> list[float]:
    total, sums = 0, list[float]()
    for value in values:
        total += value
        sums.append(total)
    return sums
