"""Ratings become pairs to train on, and pairs of groups that training never sees."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from kit.studies import COLUMNS, rated_movies, write_table
from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.repeats import find_known
from umekomi.train.data import Preferences, read_preferences


def _read(path: Path, **options: object) -> Preferences:
    chosen = {"target": "rating", "text": ["title", "overview"], "group": "movie_id", **options}
    return read_preferences(str(path), notify=lambda message: None, **chosen)  # type: ignore[arg-type]


def _table(folder: Path, movies: int = 120, **options: float) -> Path:
    return write_table(folder / "ratings.csv", rated_movies(movies, effect=1.0, **options))  # type: ignore[arg-type]


def test_held_out_groups_share_nothing_with_train(tmp_path: Path) -> None:
    found = _read(_table(tmp_path))
    trained = {text for each in found.train for text in (each.query, each.positive)}
    proved = {*found.task.first, *found.task.second}
    assert not (find_known(sorted(proved), sorted(trained)).first >= 0).any()
    assert found.groups == 120
    assert found.held_out == 24
    assert len(trained) == 96
    assert f"24 of 120 groups are held out for the proof, in {len(found.task)} pairs" in found.notes
    assert "\n" in next(iter(trained))


@pytest.mark.parametrize(("groups", "held_out", "blocks"), [(20, 10, 5), (60, 24, 8), (200, 40, 8), (400, 80, 10)])
def test_a_fifth_is_held_out_and_more_where_that_is_little(
    tmp_path: Path, groups: int, held_out: int, blocks: int
) -> None:
    rows = [(str(n), f"t{n}", f"{n * 7919} {n * 104729}", "x", str(n % 11)) for n in range(groups)]
    found = _read(write_table(tmp_path / "r.csv", rows))
    assert (found.groups, found.held_out, len(set(found.task.groups or ()))) == (groups, held_out, blocks)
    assert len({each.document_id for each in found.train}) == groups - held_out


def test_blocks_that_a_proof_resamples_share_no_text(tmp_path: Path) -> None:
    task = _read(_table(tmp_path)).task
    assert task.groups is not None
    texts: dict[str, set[str]] = {}
    for first, second, block in zip(task.first, task.second, task.groups, strict=True):
        texts.setdefault(block, set()).update((first, second))
    assert len(texts) == 8
    assert not any(one & other for one, other in combinations(texts.values(), 2))
    assert len(set(zip(task.first, task.second, strict=True))) == len(task)


def test_likeness_follows_the_ratings_and_nothing_else(tmp_path: Path) -> None:
    rows = [(str(n), f"title {n} {n * 7919}", f"{n * 104729} overview {n}", "x", str(n)) for n in range(40)]
    found = _read(write_table(tmp_path / "r.csv", rows))
    for each in found.train:
        assert each.score is not None
        assert 0 <= each.score <= 1
    rated = {f"{row[1]}\n{row[2]}": float(row[4]) for row in rows}
    apart = [abs(rated[each.query] - rated[each.positive]) for each in found.train]
    scores = [float(each.score or 0) for each in found.train]
    assert np.corrcoef(apart, scores)[0, 1] < -0.95
    # Another scale with the same order is the same teaching.
    curved = [(*row[:4], str(2.0 ** float(row[4]))) for row in rows]
    assert _read(write_table(tmp_path / "curved.csv", curved)).train == found.train


def test_order_and_seed_decide_no_more_than_they_should(tmp_path: Path) -> None:
    rows = rated_movies(60, effect=1.0)
    one = _read(write_table(tmp_path / "a.csv", rows))
    two = _read(write_table(tmp_path / "b.csv", rows[::-1]))
    assert one.train == two.train
    assert (one.task.first, one.task.second) == (two.task.first, two.task.second)
    other = _read(write_table(tmp_path / "c.csv", rows), seed=1)
    assert other.train != one.train
    assert other.task.first == one.task.first


def test_the_longest_text_is_taken_where_none_is_named_and_that_is_said(tmp_path: Path) -> None:
    told: list[str] = []
    rows = [
        (str(n), f"t {n}", f"{n * 104729} a longer overview {n * 31} of {n}", "x", str(n % 7)) for n in range(60)
    ]
    read_preferences(str(write_table(tmp_path / "r.csv", rows)), target="rating", notify=told.append)
    assert any("the texts are those of 'overview'; name others with --text" in each for each in told)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [(str(n % 5), f"t{n}", f"o {n * 7919}", "x", str(n)) for n in range(60)],
            r"5 groups of texts .* at least 20",
        ),
        ([(str(n), f"t{n}", f"o {n * 7919}", "x", "4") for n in range(60)], "every target in 'rating' is 4"),
        ([(str(n), f"t{n}", f"o {n * 7919}", "x", "good") for n in range(60)], r"'good' in 'rating' is no number"),
        ([(str(n), f"t{n}", f"o {n * 7919}", "x", "3") for n in range(4)], r"4 usable rows"),
    ],
)
def test_bad_ratings_are_one_clear_error(tmp_path: Path, rows: list[tuple[str, ...]], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        _read(write_table(tmp_path / "r.csv", rows, columns=COLUMNS))


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    for text in ([], ["title"]):
        with pytest.raises(InvalidInput, match="no column 'stars' for --target"):
            _read(_table(tmp_path), target="stars", text=text)


def test_ratings_that_differ_for_one_text_alone_prove_nothing(tmp_path: Path) -> None:
    rows = [(str(n), f"t{n}", f"o {n * 7919} {n * 31}", "x", "5" if n == 7 else "4") for n in range(60)]
    with pytest.raises(InvalidInput, match="the same for all that is trained, or for all that is held out"):
        _read(write_table(tmp_path / "r.csv", rows))
