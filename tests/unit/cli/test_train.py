"""``umekomi train`` from the outside: mistakes are told in one line, before anything is trained or written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kit.fitting import pairs
from kit.training_data import write_rows


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "umekomi", "train", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=240,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--general", "none", "--general", "sample"], "--general none: leave it out, or leave the others out"),
        (["--target", "rating"], "name it with --preference"),
        (["--preference", "ratings.csv"], "name the column of the ratings with --target"),
        (["--columns", "query"], "write USE=COLUMN"),
        (["--alphas", "0.5;1"], "--alphas 0.5;1: write numbers with commas between them"),
        (["--matryoshka", "12.5"], "--matryoshka 12.5: write whole numbers"),
        (["--model", "hashing:32"], "has no weights"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    rows = [{"query": each.query, "positive": each.positive} for each in pairs(12, "row")]
    source = write_rows(tmp_path / "pairs.jsonl", rows)
    result = run(str(source), "-o", str(tmp_path / "out"), *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout
    assert not (tmp_path / "out/training.json").exists()


def test_columns_of_pairs_that_are_not_given_are_refused(tmp_path: Path) -> None:
    ratings = ("--preference", "ratings.csv", "--target", "rating")
    result = run("-o", str(tmp_path / "out"), *ratings, "--columns", "query=q")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--columns is about pairs: give them before --preference" in result.stderr
