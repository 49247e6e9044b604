"""Pictures of the report as SVG: drawn here, so that the page needs no script and no network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from umekomi.explain.results import BlockRecord

WIDTH, HEIGHT = 480, 320
LEFT, BOTTOM, TOP, RIGHT = 56, 40, 12, 16
BINS = 24
ROW_HEIGHT = 44


def scatter(points: Sequence[tuple[float, float]], *, across: str, up: str) -> str:
    """Points with both axes on one scale, and the line on which they would lie if all were right."""
    values = np.array(points)
    low, high = _padded(float(values.min()), float(values.max()))
    dots = "".join(
        f'<circle class="dot" cx="{_x(first, low, high):.1f}" cy="{_y(second, low, high):.1f}" r="3"/>'
        for first, second in points
    )
    diagonal = f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}L{WIDTH - RIGHT} {TOP}"/>'
    return _frame(diagonal + dots, (low, high), (low, high), across=across, up=up)


def histogram(values: Sequence[float], marked: float, *, across: str, mark: str) -> str:
    """How often each value came, with a line where ``marked`` lies."""
    low, high = _padded(min(*values, marked), max(*values, marked))
    counts, edges = np.histogram(np.array(values), bins=BINS, range=(low, high))
    most = int(max(1, counts.max()))
    bars = "".join(
        f'<rect class="bar" x="{_x(start, low, high):.1f}" y="{_y(count, 0, most):.1f}" '
        f'width="{_x(end, low, high) - _x(start, low, high) - 1:.1f}" '
        f'height="{HEIGHT - BOTTOM - _y(count, 0, most):.1f}"/>'
        for count, start, end in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    )
    at = _x(marked, low, high)
    anchor = "end" if at > WIDTH / 2 else "start"
    line = (
        f'<path class="value" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        f'<text class="value-text" x="{at + (-6 if anchor == "end" else 6):.1f}" y="{TOP + 12}" '
        f'text-anchor="{anchor}">{escape(mark)}</text>'
    )
    return _frame(bars + line, (low, high), (0, most), across=across, up="shuffled targets")


def bars(blocks: Sequence[BlockRecord], *, across: str) -> str:
    """The contribution of each block with its interval, one below the other."""
    shown = [(block, block.contribution, block.ci95) for block in blocks]
    ends = [end for _, value, ci95 in shown if value is not None and ci95 is not None for end in (value, *ci95)]
    low, high = _padded(min(0.0, *ends), max(0.0, *ends))
    height = TOP + ROW_HEIGHT * len(shown) + BOTTOM
    parts = []
    for row, (block, value, ci95) in enumerate(shown):
        if value is None or ci95 is None:
            continue
        top = TOP + row * ROW_HEIGHT
        start, end = sorted((_x(0.0, low, high), _x(value, low, high)))
        middle = top + 28
        parts.append(
            f'<text x="{LEFT}" y="{top + 12}">{escape(block.name)} ({block.columns} columns)</text>'
            f'<rect class="block" x="{start:.1f}" y="{top + 20}" width="{end - start:.1f}" height="16"/>'
            f'<path class="whisker" d="M{_x(ci95[0], low, high):.1f} {middle}H{_x(ci95[1], low, high):.1f}"/>'
        )
    zero = _x(0.0, low, high)
    parts.append(f'<path class="axis" d="M{zero:.1f} {TOP}V{height - BOTTOM}"/>')
    parts.append(_ticks((low, high), height))
    return _svg("".join(parts) + f'<text x="{LEFT}" y="{height - 6}">{escape(across)}</text>', height, across)


def _frame(
    inside: str, horizontal: tuple[float, float], vertical: tuple[float, float], *, across: str, up: str
) -> str:
    axes = f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
    low, high = vertical
    labels = (
        f'<text x="{LEFT - 6}" y="{HEIGHT - BOTTOM}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{LEFT - 6}" y="{TOP + 10}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>'
        f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>'
    )
    return _svg(axes + _ticks(horizontal, HEIGHT) + labels + inside, HEIGHT, f"{up} by {across}")


def _ticks(span: tuple[float, float], height: float) -> str:
    low, high = span
    return (
        f'<text x="{LEFT}" y="{height - BOTTOM + 16}">{low:.3g}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{height - BOTTOM + 16}" text-anchor="end">{high:.3g}</text>'
    )


def _svg(inside: str, height: float, label: str) -> str:
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
    return f'<svg {size} role="img" aria-label="{escape(label)}">{inside}</svg>'


def _padded(low: float, high: float) -> tuple[float, float]:
    room = 0.04 * (high - low) or 1.0
    return low - room, high + room


def _x(value: float, low: float, high: float) -> float:
    return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)


def _y(value: float, low: float, high: float) -> float:
    return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP)
