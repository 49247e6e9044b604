"""Made-up tables with ratings: some that owe to their texts, some that owe to nothing."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from umekomi.explain.reading import Study
from umekomi.explain.settings import Question

GOOD = (
    "a bright warm comedy with a kind heart",
    "friends laugh and find love in summer",
    "a joyful dance through a sunny town",
)
BAD = ("a murder in a dark cold city", "war and ruin, a bleak grim story", "a killer hunts in fog and blood")
PLACES = ("in Paris", "by the sea", "at night", "in winter", "on a train", "at school", "京都で", "夏の島で")
WORDS = ("Sun", "Night", "River", "Stone", "Glass", "花", "星")
COLUMNS = ("movie_id", "title", "overview", "occupation", "rating")


def rated_movies(movies: int, *, effect: float, seed: int = 0) -> list[tuple[str, ...]]:
    """Rows of `COLUMNS`: each movie rated one to four times; ``effect`` is what a kind overview adds."""
    rng = np.random.default_rng(seed)
    rows = []
    for movie in range(movies):
        kind = movie % 2 == 0
        overview = f"{rng.choice(GOOD if kind else BAD)} {rng.choice(PLACES)} {rng.integers(1000)}"
        title = f"{rng.choice(WORDS)} {rng.choice(PLACES)} {movie}"
        taste = rng.normal()
        for _ in range(rng.integers(1, 5)):
            rating = 3 + (effect if kind else -effect) + 0.5 * taste + 0.5 * rng.normal()
            job = str(rng.choice(["student", "teacher", "farmer"]))
            rows.append((str(movie), title, overview, job, f"{rating:.2f}"))
    return rows


def write_table(path: Path, rows: Sequence[Sequence[object]], *, columns: Sequence[str] = COLUMNS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(rows)
    return path


def study_of(target: np.ndarray, groups: np.ndarray, *, texts: Sequence[str] | None = None) -> Study:
    """A study whose vectors the test makes up; its texts are numbers."""
    names = tuple(texts or map(str, range(len(target))))
    question = Question("target", ("text",), (), "group")
    return Study("made up", question, target, {"text": names}, {}, groups, {}, (), "")
