"""The livedoor data set: the published recipe to the character, the same bytes each time, a notice beside it."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from pathlib import Path
from typing import get_args

import pytest

from kit.livedoor_archive import article, livedoor_archive
from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.datasets.livedoor import CATEGORIES, Order, build_livedoor
from umekomi.evaluate.tasks import LabelTask


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "ldcc-20140209.tar.gz"
    path.write_bytes(livedoor_archive([3, 1, 2]))
    return path


def published_recipe(category: str, number: int, characters: int) -> str:
    """The text as the dataset loader and the notebook behind the published scores make it, line by line."""
    lines = [line.decode().strip() for line in io.BytesIO(article(category, number).encode()).readlines()]
    return " ".join(lines[3:])[:characters]


def read_rows(path: Path) -> list[dict[str, str]]:
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        assert name == path.name.removesuffix(".zip")
        return list(csv.DictReader(io.TextIOWrapper(archive.open(name), "utf-8", newline="")))


@pytest.mark.parametrize(("order", "numbers"), [("archive", [3, 1]), ("name", [1, 2])])
def test_the_recipe(archive: Path, tmp_path: Path, order: Order, numbers: list[int]) -> None:
    built = build_livedoor(archive, tmp_path / "l.csv.zip", per_category=2, characters=512, order=order)
    rows = read_rows(built.output)
    expected = [(category, number) for category in CATEGORIES for number in numbers]
    assert [row["content512"] for row in rows] == [published_recipe(*each, 512) for each in expected]
    assert [row["label"] for row in rows] == [category for category, _ in expected]
    assert [int(row["category"]) for row in rows] == [CATEGORIES.index(category) for category, _ in expected]
    positions = [3 * CATEGORIES.index(category) + [3, 1, 2].index(number) for category, number in expected]
    assert [int(row["index"]) for row in rows] == positions
    assert built.rows == dict.fromkeys(CATEGORIES, 2)


def test_what_was_built_is_a_task_that_knows_its_licence_and_preparation(archive: Path, tmp_path: Path) -> None:
    built = build_livedoor(archive, tmp_path / "livedoor_3.csv.zip", characters=100)
    task = open_task(str(built.output))
    assert isinstance(task, LabelTask)
    assert (task.name, len(task), set(map(len, task.texts))) == ("livedoor_3", 27, {100})
    assert task.labels == tuple(category for category in CATEGORIES for _ in range(3))
    assert task.origin.columns["text"] == "content100"
    assert task.origin.licence.startswith("CC BY-ND 2.1 JP")
    assert (task.origin.language, task.origin.preparation[-1]) == ("ja", "first 100 characters")


def test_equal_archives_give_equal_bytes_and_a_notice(archive: Path, tmp_path: Path) -> None:
    built = [build_livedoor(archive, tmp_path / folder / "l.csv.zip") for folder in make(tmp_path, "a", "b")]
    assert built[0].output.read_bytes() == built[1].output.read_bytes()
    notice = built[0].notice.read_text("utf-8")
    assert notice == built[1].notice.read_text("utf-8")
    for part in ("must not be passed on", "CC BY-ND 2.1 JP", "NHN Japan", "RONDHUIT", "再配布はできません"):
        assert part in notice
    assert all(f"notice of {category}" in notice for category in CATEGORIES)
    assert hashlib.sha256(archive.read_bytes()).hexdigest() in notice
    assert built[0].csv_sha256 in notice


def make(folder: Path, *names: str) -> tuple[str, ...]:
    for name in names:
        (folder / name).mkdir()
    return names


def test_a_plain_csv_and_what_stands_at_the_end_of_a_body(tmp_path: Path) -> None:
    ends = {0: "", 1: "\n", 2: "\n\n", 3: "\n  ", 4: "\r\n"}
    data = livedoor_archive(range(5), write=lambda c, n: f"u\nd\nt\n{c}{n}{ends[n]}")
    (tmp_path / "a.tar.gz").write_bytes(data)
    build_livedoor(tmp_path / "a.tar.gz", tmp_path / "l.csv")
    with (tmp_path / "l.csv").open(encoding="utf-8", newline="") as file:
        rows = [row["content512"] for row in csv.DictReader(file)]
    assert rows[:5] == [f"movie-enter{n}" + (" " if n in (2, 3) else "") for n in range(5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read whole"),
        (b"\x1f\x8b\x08\x00 broken", "cannot be read whole"),
        (livedoor_archive()[:-2000], "cannot be read whole"),
        (
            livedoor_archive(categories=["smax", "peachy"]),
            "no articles of dokujo-tsushin.*this is not the livedoor",
        ),
        (livedoor_archive(extra={"text/smax/smax-1.txt": b"x" * (5 << 20)}), "too large for an article"),
        (livedoor_archive(extra={"text/smax/smax-1.txt": b"u\nd\nt\n\xff"}), "cannot be read whole"),
    ],
)
def test_what_is_not_the_archive_leaves_nothing_behind(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        build_livedoor(tmp_path / "a.tar.gz", tmp_path / "l.csv.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_members_with_other_names_are_not_read(tmp_path: Path) -> None:
    extra = {"../smax/x.txt": b"\xff", "text/smax/../../x.txt": b"\xff", "text/other/x.txt": b"\xff"}
    (tmp_path / "a.tar.gz").write_bytes(livedoor_archive(range(2), extra=extra))
    assert build_livedoor(tmp_path / "a.tar.gz", tmp_path / "l.csv").archive_articles == 18


@pytest.mark.parametrize(
    ("options", "output", "message"),
    [
        ({"per_category": 0}, "l.csv", "per_category is 0"),
        ({"characters": -1}, "l.csv", "characters is -1"),
        ({}, "l.parquet", r"write a \.csv or a \.csv\.zip"),
    ],
)
def test_settings_out_of_range(
    archive: Path, tmp_path: Path, options: dict[str, int], output: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        build_livedoor(archive, tmp_path / output, **options)  # type: ignore[arg-type]


def test_the_real_archive(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Against the corpus itself, where ``--livedoor-archive`` names it."""
    path = request.config.getoption("--livedoor-archive")
    if path is None:
        pytest.skip("--livedoor-archive names no archive")
    for order in get_args(Order):
        built = build_livedoor(Path(path), tmp_path / f"{order}.csv.zip", order=order)
        assert built.archive_articles == 7367
        assert built.rows == dict.fromkeys(CATEGORIES, 300)
        task = open_task(str(built.output))
        assert len(task) == 2700
        assert not task.origin.skipped
