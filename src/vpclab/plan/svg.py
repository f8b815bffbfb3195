"""Line charts as inline SVG: axes with round numbers, one step line a series, a table of values for who can't see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 12, 30
TICKS_X, TICKS_Y = 8, 5
POINTS = 300


@dataclass(frozen=True, slots=True)
class Line:
    """One series. `style` is a CSS class: its colour."""

    name: str
    style: str
    values: Sequence[float]
    filled: bool = False
    dashed: bool = False


def chart(
    title: str,
    times: Sequence[float],
    lines: Sequence[Line],
    *,
    limit: float | None = None,
    limit_name: str = "",
) -> str:
    """A figure; `times` are seconds. A limit is a line across."""
    top = nice_top(max([1.0, *(max(line.values, default=0.0) for line in lines), limit or 0.0]))
    end = max(times, default=1.0) or 1.0

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at / end

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_grid(top, end, x, y),
        *(_path(line, times, x, y) for line in sorted(lines, key=lambda one: not one.filled)),
    ]
    if limit is not None:
        at = y(limit)
        parts.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(
            f'<text class="limit-name" x="{WIDTH - RIGHT - 4}" y="{at + (12 if at < TOP + 14 else -5):.1f}">{escape(limit_name)}</text>'
        )
    parts.append("</svg>")
    return f"<figure><figcaption>{escape(title)}</figcaption>{''.join(parts)}{_legend(lines)}</figure>"


def bars(title: str, rows: Sequence[tuple[str, str, float, str]]) -> str:
    """Parts of one, as bars: (name, style, part, words)."""
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="bar"><div class="track"><div class="fill {style}" '
        f'style="width:{100 * min(1.0, max(0.0, part)):.1f}%"></div></div></td><td class="num">{escape(words)}</td></tr>'
        for name, style, part, words in rows
    )
    return f'<figure><figcaption>{escape(title)}</figcaption><table class="bars">{cells}</table></figure>'


def nice_top(most: float) -> float:
    """The axis's end: a round number not below."""
    step = max(1.0, nice_step(most / TICKS_Y))
    return step * math.ceil(most / step - 1e-9)


def nice_step(about: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, not below."""
    power = 10.0 ** math.floor(math.log10(max(about, 1e-9)))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= about - 1e-12)


def time_step(end: float) -> float:
    """Seconds between two marks: minutes or hours that people count in."""
    marks = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800)
    return next((float(m) for m in marks if end / m <= TICKS_X), float(marks[-1]))


def _grid(top: float, end: float, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    parts = []
    step = max(1.0, nice_step(top / TICKS_Y))
    for number in range(round(top / step) + 1):
        value = number * step
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        parts.append(f'<text class="tick y" x="{LEFT - 8}" y="{y(value) + 3.5:.1f}">{value:g}</text>')
    each = time_step(end)
    for number in range(int(end / each + 1e-6) + 1):
        at = number * each
        parts.append(f'<text class="tick x" x="{x(at):.1f}" y="{HEIGHT - 10}">{_mark(at, each)}</text>')
    return parts


def _mark(at: float, each: float) -> str:
    minutes = round(at / 60)
    if each >= 3600:
        return f"{minutes // 60} h"
    return f"{minutes // 60}:{minutes % 60:02}"


def _path(
    line: Line, times: Sequence[float], x: Callable[[float], float], y: Callable[[float], float]
) -> str:
    every = max(1, math.ceil(len(times) / POINTS))
    points = list(zip(times, line.values, strict=True))
    thinned = [max(points[at : at + every], key=lambda p: p[1]) for at in range(0, len(points), every)]
    if not thinned:
        return ""
    drawn = f"M{x(thinned[0][0]):.1f},{y(thinned[0][1]):.1f}" + "".join(
        f"H{x(at):.1f}V{y(value):.1f}" for at, value in thinned[1:]
    )
    if line.filled:
        floor = y(0)
        area = f"{drawn}V{floor:.1f}H{x(thinned[0][0]):.1f}Z"
        return f'<path class="area {line.style}" d="{area}"/>'
    dashed = ' stroke-dasharray="5 3"' if line.dashed else ""
    return f'<path class="line {line.style}" d="{drawn}"{dashed}><title>{escape(line.name)}</title></path>'


def _legend(lines: Sequence[Line]) -> str:
    if len(lines) < 2:
        return ""
    items = "".join(
        f'<li><span class="key {line.style}{" area" if line.filled else ""}"></span>{escape(line.name)}</li>'
        for line in lines
    )
    return f'<ul class="legend">{items}</ul>'
