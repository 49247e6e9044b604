"""Pictures of the report as SVG: drawn here, so that the page needs no script and no network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from umekomi.explain.results import BlockRecord
from umekomi.pages.drawing import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    ROW_HEIGHT,
    TOP,
    WIDTH,
    frame,
    padded,
    svg,
    ticks,
    upright,
    x_at,
    y_at,
)

BINS = 24


def scatter(points: Sequence[tuple[float, float]], *, across: str, up: str) -> str:
    """Points with both axes on one scale, and the line on which they would lie if all were right."""
    values = np.array(points)
    low, high = padded(float(values.min()), float(values.max()))
    dots = "".join(
        f'<circle class="dot" cx="{x_at(first, low, high):.1f}" cy="{y_at(second, low, high):.1f}" r="3"/>'
        for first, second in points
    )
    diagonal = f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}L{WIDTH - RIGHT} {TOP}"/>'
    return frame(diagonal + dots, (low, high), (low, high), across=across, up=up)


def histogram(values: Sequence[float], marked: float, *, across: str, mark: str) -> str:
    """How often each value came, with a line where ``marked`` lies."""
    low, high = padded(min(*values, marked), max(*values, marked))
    counts, edges = np.histogram(np.array(values), bins=BINS, range=(low, high))
    most = int(max(1, counts.max()))
    bars = "".join(
        f'<rect class="bar" x="{x_at(start, low, high):.1f}" y="{y_at(count, 0, most):.1f}" '
        f'width="{x_at(end, low, high) - x_at(start, low, high) - 1:.1f}" '
        f'height="{HEIGHT - BOTTOM - y_at(count, 0, most):.1f}"/>'
        for count, start, end in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    )
    return frame(
        bars + upright(marked, mark, (low, high)), (low, high), (0, most), across=across, up="shuffled targets"
    )


def bars(blocks: Sequence[BlockRecord], *, across: str) -> str:
    """The contribution of each block with its interval, one below the other."""
    shown = [(block, block.contribution, block.ci95) for block in blocks]
    ends = [end for _, value, ci95 in shown if value is not None and ci95 is not None for end in (value, *ci95)]
    low, high = padded(min(0.0, *ends), max(0.0, *ends))
    height = TOP + ROW_HEIGHT * len(shown) + BOTTOM
    parts = []
    for row, (block, value, ci95) in enumerate(shown):
        if value is None or ci95 is None:
            continue
        top = TOP + row * ROW_HEIGHT
        start, end = sorted((x_at(0.0, low, high), x_at(value, low, high)))
        middle = top + 28
        parts.append(
            f'<text x="{LEFT}" y="{top + 12}">{escape(block.name)} ({block.columns} columns)</text>'
            f'<rect class="block" x="{start:.1f}" y="{top + 20}" width="{end - start:.1f}" height="16"/>'
            f'<path class="whisker" d="M{x_at(ci95[0], low, high):.1f} {middle}H{x_at(ci95[1], low, high):.1f}"/>'
        )
    zero = x_at(0.0, low, high)
    parts.append(f'<path class="axis" d="M{zero:.1f} {TOP}V{height - BOTTOM}"/>')
    parts.append(ticks((low, high), height))
    return svg("".join(parts) + f'<text x="{LEFT}" y="{height - 6}">{escape(across)}</text>', height, across)
