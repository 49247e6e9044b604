"""Drawings as SVG: axes, lines and intervals, made here so that a page needs no script and no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

WIDTH, HEIGHT = 480, 320
LEFT, BOTTOM, TOP, RIGHT = 56, 40, 12, 16
ROW_HEIGHT = 44
COLOURS = 4
"""Classes c0 to c3 of the page's style."""

Span: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """Points from left to right. The name is shown where there are several lines."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Row:
    """A value with its interval. ``colour``: place among `COLOURS`."""

    name: str
    value: float
    interval: Span
    colour: int = 0


def lines(
    drawn: Sequence[Line],
    *,
    across: str,
    up: str,
    marked: tuple[float, str] | None = None,
    level: float | None = None,
) -> str:
    """Lines over one horizontal axis.

    marked  a place on it with what it is
    level   a value with a dashed line of its own
    """
    across_all = [x for line in drawn for x, _ in line.points] + ([marked[0]] if marked else [])
    up_all = [y for line in drawn for _, y in line.points] + ([level] if level is not None else [])
    horizontal, vertical = padded(min(across_all), max(across_all)), padded(min(up_all), max(up_all))
    inside = "".join(
        _line(line.points, f"c{number % COLOURS}", horizontal, vertical) for number, line in enumerate(drawn)
    )
    if len(drawn) > 1:
        inside += "".join(_legend(line.name, number) for number, line in enumerate(drawn))
    if level is not None:
        inside += f'<path class="dashed" d="M{LEFT} {y_at(level, *vertical):.1f}H{WIDTH - RIGHT}"/>'
    if marked is not None:
        inside += upright(*marked, horizontal)
    return frame(inside, horizontal, vertical, across=across, up=up)


def _line(values: Sequence[tuple[float, float]], colour: str, horizontal: Span, vertical: Span) -> str:
    points = [(x_at(x, *horizontal), y_at(y, *vertical)) for x, y in values]
    path = f'<path class="line {colour}" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>'
    return path + "".join(f'<path class="point {colour}" d="M{x:.1f} {y:.1f}h0"/>' for x, y in points)


def _legend(name: str, number: int) -> str:
    return f'<text class="c{number % COLOURS}" x="{LEFT + 8}" y="{TOP + 12 + 16 * number}">{escape(name)}</text>'


def upright(value: float, name: str, span: Span) -> str:
    """An upright line where ``value`` lies, with its ``name``."""
    at = x_at(value, *span)
    anchor = "end" if at > WIDTH / 2 else "start"
    return (
        f'<path class="value" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        f'<text class="value-text" x="{at + (-6 if anchor == "end" else 6):.1f}" y="{TOP + 12}" '
        f'text-anchor="{anchor}">{escape(name)}</text>'
    )


def intervals(rows: Sequence[Row], *, across: str) -> str:
    """Values with their intervals one below the other, and the line of 0."""
    ends = [end for row in rows for end in (row.value, *row.interval)]
    low, high = padded(min(0.0, *ends), max(0.0, *ends))
    height = TOP + ROW_HEIGHT * len(rows) + BOTTOM
    zero = x_at(0.0, low, high)
    parts = [f'<path class="dashed" d="M{zero:.1f} {TOP}V{height - BOTTOM}"/>']
    for place, row in enumerate(rows):
        top = TOP + place * ROW_HEIGHT
        start, end = (x_at(bound, low, high) for bound in row.interval)
        parts.append(
            f'<text x="{LEFT}" y="{top + 14}">{escape(row.name)}</text>'
            f'<path class="line c{row.colour}" d="M{start:.1f} {top + 28}H{end:.1f}"/>'
            f'<path class="point c{row.colour}" d="M{x_at(row.value, low, high):.1f} {top + 28}h0"/>'
        )
    parts.append(ticks((low, high), height))
    if LEFT + ROW_HEIGHT < zero < WIDTH - RIGHT - ROW_HEIGHT:  # not over the ends of the axis
        parts.append(f'<text x="{zero:.1f}" y="{height - BOTTOM + 16}" text-anchor="middle">0</text>')
    return svg("".join(parts) + f'<text x="{LEFT}" y="{height - 6}">{escape(across)}</text>', height, across)


def frame(inside: str, horizontal: Span, vertical: Span, *, across: str, up: str) -> str:
    """``inside`` between two axes, whose ends are written beside them. The names of the axes are its label."""
    axes = f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
    low, high = vertical
    labels = (
        f'<text x="{LEFT - 6}" y="{HEIGHT - BOTTOM}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{LEFT - 6}" y="{TOP + 10}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>'
        f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>'
    )
    return svg(axes + ticks(horizontal, HEIGHT) + labels + inside, HEIGHT, f"{up} by {across}")


def ticks(span: Span, height: float) -> str:
    """The ends of the horizontal axis of a drawing that is ``height`` high."""
    low, high = span
    return (
        f'<text x="{LEFT}" y="{height - BOTTOM + 16}">{low:.3g}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{height - BOTTOM + 16}" text-anchor="end">{high:.3g}</text>'
    )


def svg(inside: str, height: float, label: str) -> str:
    """The drawing itself; ``label`` is read to those who do not see it."""
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
    return f'<svg {size} role="img" aria-label="{escape(label)}">{inside}</svg>'


def padded(low: float, high: float) -> Span:
    """A little more on both sides."""
    room = 0.04 * (high - low) or 1.0
    return low - room, high + room


def x_at(value: float, low: float, high: float) -> float:
    """Where ``value`` lies between the ends of the horizontal axis."""
    return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)


def y_at(value: float, low: float, high: float) -> float:
    """Where ``value`` lies between the ends of the vertical axis."""
    return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP)
