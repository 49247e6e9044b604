"""A map as a PNG file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput
from umekomi.evaluate.projection import Layout
from umekomi.evaluate.report.fonts import load_fonts
from umekomi.extras import require
from umekomi.writing import replacing

COLOURS = (
    *("#3a6ee0", "#e5851b", "#26a177", "#cf4a97", "#8463dd", "#b39410"),
    *("#dc4f48", "#25a2c6", "#94633f", "#71941c", "#64789c", "#e07fc4"),
)
OTHERS = "#b4bac6"
WIDEST_TITLE, WIDEST_NAME = 72, 28
"""Columns of text; what is wider would leave no room for the map."""

METHODS = {"tsne": "t-SNE", "pca": "PCA", "umap": "UMAP"}


def write_map_png(
    path: Path, layout: Layout, labels: Sequence[str] | None, *, title: str, notify: Callable[[str], None]
) -> None:
    """The map as a picture of 1600 by 1200 points, coloured by ``labels``: the 12 most frequent have a colour each.

    Characters without a glyph in any font at hand are told to ``notify`` and shown as ``?``. Raises `InvalidInput`
    where labels and points are not as many, `MissingExtra` without matplotlib.
    """
    if labels is not None and len(labels) != len(layout.points):
        raise InvalidInput(f"{len(labels)} labels for a map of {len(layout.points)} texts", param="labels")
    agg = require("matplotlib.backends.backend_agg", extra="evaluate")
    figure = require("matplotlib.figure", extra="evaluate").Figure(figsize=(8, 6), dpi=200, layout="constrained")
    agg.FigureCanvasAgg(figure)
    groups = _groups(labels, len(layout.points))
    title = _one_line(title, WIDEST_TITLE)
    names = [_one_line(group.name, WIDEST_NAME) for group in groups]
    fonts = load_fonts([title, *names], notify=notify)
    axes = figure.add_subplot()
    _draw_points(axes, layout.points, groups)
    axes.set_title(fonts.writable(title), loc="left", fontfamily=fonts.families, fontsize=13, parse_math=False)
    if labels is not None:
        shown = [f"{fonts.writable(name)} ({len(group.rows):,})" for name, group in zip(names, groups, strict=True)]
        _draw_legend(axes, shown, [group.colour for group in groups], fonts.families)
    figure.supxlabel(_caption(layout), fontsize=8, color="#5a6478")
    with replacing(path) as file:
        figure.savefig(file, format="png", metadata={"Software": "umekomi"})


def _one_line(text: str, widest: int) -> str:
    """``text`` without its line breaks, cut to ``widest`` columns, of which a Japanese character takes two."""
    line = " ".join(text.split())
    ends = np.cumsum([1 + (east_asian_width(character) in "WF") for character in line])
    return line if not len(line) or ends[-1] <= widest else line[: int(np.searchsorted(ends, widest))] + "…"


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    name: str
    rows: NDArray[np.int64]
    colour: str


def _groups(labels: Sequence[str] | None, count: int) -> list[_Group]:
    """The points of each of the most frequent labels, in the order of their names, and the rest."""
    if labels is None:
        return [_Group("", np.arange(count), COLOURS[0])]
    names = np.array(labels, dtype=object)
    frequent = [name for name, _ in Counter(labels).most_common()]
    own = sorted(frequent if len(frequent) <= len(COLOURS) else frequent[: len(COLOURS) - 1])
    groups = [
        _Group(name, np.flatnonzero(names == name), colour) for name, colour in zip(own, COLOURS, strict=False)
    ]
    if len(own) < len(frequent):
        rest = np.flatnonzero(~np.isin(labels, own))
        groups.append(_Group(f"{len(frequent) - len(own)} more", rest, OTHERS))
    return groups


def _draw_points(axes: Any, points: NDArray[np.float32], groups: list[_Group]) -> None:
    """All points in one shuffled layer, so that the last category does not cover the others."""
    colours = np.empty(len(points), dtype=object)
    for group in groups:
        colours[group.rows] = group.colour
    order = np.random.default_rng(0).permutation(len(points))
    size = float(np.clip(20_000 / max(1, len(points)), 0.6, 22))
    axes.scatter(*points[order].T, s=size, c=list(colours[order]), alpha=0.75, linewidths=0, rasterized=True)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color("#dfe2e8")


def _draw_legend(axes: Any, names: list[str], colours: list[str], families: list[str]) -> None:
    line = require("matplotlib.lines", extra="evaluate").Line2D
    marks = [line([], [], marker="o", linestyle="", markersize=6, color=colour) for colour in colours]
    style = {"family": families, "size": 9}
    legend = axes.legend(marks, names, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, prop=style)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _caption(layout: Layout) -> str:
    trust = "undefined" if np.isnan(layout.trustworthiness) else f"{layout.trustworthiness:.3f}"
    method = METHODS[layout.method]
    return f"{method}, seed {layout.seed}, trustworthiness {trust}. The layout is not a score."
