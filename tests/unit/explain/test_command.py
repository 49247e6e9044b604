"""``umekomi explain`` from end to end, and what it says to tables that it cannot use."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kit.studies import COLUMNS, rated_movies, write_table
from umekomi.cli.exit_codes import exit_code
from umekomi.cli.main import app
from umekomi.errors import UmekomiError

FLAGS = ("--target", "rating", "--text", "title", "--text", "overview", "--categorical", "occupation")
QUICK = ("--permutations", "60", "--resamples", "300")


def run(table: Path, *arguments: str, output: Path | None = None) -> Result:
    folder = output or table.parent / "out"
    cache = ("--cache", str(table.parent / "cache"))
    return CliRunner().invoke(app, ["explain", str(table), *arguments, "-o", str(folder), *cache, *QUICK])


def refusal(table: Path, *arguments: str) -> str:
    found = run(table, *arguments)
    assert isinstance(found.exception, UmekomiError), found.output
    assert exit_code(found.exception) == 2
    return str(found.exception)


def results(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "explain.json").read_bytes())
    return content


def test_a_table_with_something_in_it(tmp_path: Path) -> None:
    rows = rated_movies(60, effect=1.0)
    rows[0] = (rows[0][0], "<script>alert(1)</script>", *rows[0][2:])
    table = write_table(tmp_path / "films.csv", [*rows, ("x", "", "no title", "student", "3")])
    found = run(table, *FLAGS, "--group", "movie_id", "-m", "hashing:48")
    assert found.exit_code == 0, found.output
    assert "Signal: grouped R²" in found.stdout
    out = results(tmp_path / "out")
    assert out["verdict"] == "signal"
    low, high = out["grouped_r2"]["ci95"]
    assert 0 < low < out["grouped_r2"]["value"] < high < 1
    assert out["table"]["skipped"] == {"no text in 'title'": 1}
    blocks = {each["name"]: each for each in out["blocks"]}
    assert {name: each["columns"] for name, each in blocks.items()} == {
        "title": 48,
        "overview": 48,
        "categories": 3,
    }
    assert blocks["overview"]["q"] <= 0.05 < blocks["categories"]["q"]
    (direction,) = out["directions"]
    assert {each["target"] > 3 for each in direction["highest"]} == {True}
    with (tmp_path / "out" / "coefficients.csv").open(encoding="utf-8-sig") as file:
        coefficients = list(csv.DictReader(file))
    assert len(coefficients) == 99
    assert {"overview[0]", "occupation=student"} <= {each["column"] for each in coefficients}
    sizes = [abs(float(each["coefficient"])) for each in coefficients]
    assert sizes == sorted(sizes, reverse=True)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page and "http" not in re.sub(r"http-equiv", "", page)
    assert page.count("<svg") == 3


def test_a_table_of_noise(tmp_path: Path) -> None:
    table = write_table(tmp_path / "films.csv", rated_movies(60, effect=0.0))
    found = run(table, *FLAGS, "--group", "movie_id", "-m", "hashing:48")
    assert found.exit_code == 0, found.output
    out = results(tmp_path / "out")
    assert out["verdict"] == "no detectable signal"
    assert (out["coefficients"], out["directions"], out["rotation"]) == ([], [], [])
    assert (tmp_path / "out" / "coefficients.csv").read_text(encoding="utf-8-sig").count("\n") == 1


def test_the_order_of_rows_decides_nothing(tmp_path: Path) -> None:
    rows = rated_movies(40, effect=0.5)
    rows[5:9] = [("", *row[1:]) for row in rows[5:9]]
    found = []
    for name, ordered in (("one", rows), ("other", rows[::-1])):
        table = write_table(tmp_path / f"{name}.csv", ordered)
        said = run(table, *FLAGS, "--group", "movie_id", "-m", "hashing:16", output=tmp_path / name)
        assert said.exit_code == 0 and "4 rows without 'movie_id' are each a group of their own" in said.stderr
        content = results(tmp_path / name)
        found.append({key: content[key] for key in ("verdict", "grouped_r2", "null", "blocks")})
    assert found[0] == found[1]


def test_comparing_a_model_with_itself_shows_no_move(tmp_path: Path) -> None:
    table = write_table(tmp_path / "films.csv", rated_movies(40, effect=1.0))
    flags = ("--target", "rating", "--text", "overview", "--group", "movie_id")
    assert run(table, *flags, "--compare", "hashing:24", "hashing:24").exit_code == 0
    same = results(tmp_path / "out")["comparison"]
    assert (same["verdict"], same["r2_difference"]) == ("tied", 0.0)
    assert str(same["blocks"][0]["before"]) == "0.0", "rounding is no move, nor has nothing a sign"
    assert not same["blocks"][0]["moved"] and not same["blocks"][0]["direction"]["moved"]
    assert run(table, *flags, "--compare", "hashing:24", "hashing:32").exit_code == 0
    other = results(tmp_path / "out")["comparison"]
    assert other["blocks"][0]["moved"] and other["blocks"][0]["before"] is None
    assert other["blocks"][0]["texts"]
    assert "moved most" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def changed(column: str, value: object) -> list[tuple[object, ...]]:
    place = COLUMNS.index(column)
    return [(*row[:place], value, *row[place + 1 :]) for row in rated_movies(20, effect=1.0)]


@pytest.mark.parametrize(
    ("rows", "arguments", "said"),
    [
        (changed("rating", "good"), FLAGS, "line 2: 'good' in 'rating' is no number"),
        (changed("rating", "nan"), FLAGS, "the target in 'rating' is nan"),
        (changed("rating", "-1e200"), FLAGS, "the target in 'rating' is -1e+200; write a number up to 1e+100"),
        (changed("rating", "3"), FLAGS, "every target in 'rating' is 3; there is nothing to explain"),
        (changed("rating", ""), FLAGS, "0 usable rows; explain needs at least 20"),
        (changed("title", " "), FLAGS, "the column 'title' holds no text"),
        (changed("occupation", "farmer"), FLAGS, "every row has 'farmer' in 'occupation'"),
        (rated_movies(1, effect=1.0)[:1], FLAGS, "1 usable rows"),
        (changed("movie_id", "7"), (*FLAGS, "--group", "movie_id"), "1 groups for 5 folds"),
        (changed("movie_id", "7"), (*FLAGS, "--group", "film"), "no column 'film' for --group; there are"),
        (changed("title", "x"), ("--target", "rating", "--text", "rating"), "'rating' is named twice"),
        (changed("title", "x"), (*FLAGS, "-m", "a", "--compare", "a", "b"), "leave -m out"),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Path, rows: list[tuple[object, ...]], arguments: tuple[str, ...], said: str) -> None:
    assert said in refusal(write_table(tmp_path / "films.csv", rows), *arguments)


def test_a_category_of_a_thousand_values_is_refused(tmp_path: Path) -> None:
    rows = [(*row[:3], f"job {number}", row[4]) for number, row in enumerate(rated_movies(500, effect=0.0)[:1000])]
    assert "'occupation' has 1000 values; a category may have 100" in refusal(
        write_table(tmp_path / "films.csv", rows), *FLAGS
    )


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    table = write_table(tmp_path / "films.csv", rated_movies(20, effect=1.0))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    assert "the folder holds 'thesis.txt' and no explain.json" in refusal(table, *FLAGS)


def test_a_table_from_a_spreadsheet_in_cp932(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    write_table(path, rated_movies(40, effect=1.0))
    path.write_bytes(path.read_text(encoding="utf-8").encode("cp932"))
    found = run(path, *FLAGS, "-m", "hashing:16")
    assert found.exit_code == 0 and "read as cp932" in found.stderr
    assert "rows with the same texts are taken as one group" in found.stderr


@pytest.mark.starter
def test_a_starter_model_finds_kind_films(tmp_path: Path) -> None:
    table = write_table(tmp_path / "films.csv", rated_movies(50, effect=1.0))
    flags = ("--target", "rating", "--text", "overview", "--group", "movie_id")
    found = run(table, *flags, "-m", "multilingual-e5-small:int8")
    assert found.exit_code == 0, found.output
    out = results(tmp_path / "out")
    assert out["verdict"] == "signal" and out["grouped_r2"]["value"] > 0.3
    assert {each["text"].split()[1] for each in out["directions"][0]["lowest"]} <= {"murder", "and", "killer"}
    assert not out["rotation"][0]["single_dimensions"]
