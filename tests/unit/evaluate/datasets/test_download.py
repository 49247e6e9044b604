"""A download that is cut goes on, one that changed begins anew, and nothing broken takes the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.file_server import ServedFile, serve_file
from umekomi.errors import InvalidInput, SourceUnavailable, StoreError
from umekomi.evaluate.datasets.download import fetch

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def served() -> Iterator[ServedFile]:
    with serve_file(CONTENT) as file:
        yield file


def get(served: ServedFile, target: Path, *, max_bytes: int = 1 << 30) -> Path:
    def check(path: Path) -> None:
        if path.read_bytes() != served.content:
            raise InvalidInput(f"{path}: not what was served")

    return fetch(served.url, target, max_bytes=max_bytes, check=check)


def test_what_is_there_is_not_fetched_again(served: ServedFile, tmp_path: Path) -> None:
    assert get(served, tmp_path / "new" / "a").read_bytes() == CONTENT
    get(served, tmp_path / "new" / "a")
    assert served.requests == [""]


def test_a_cut_download_goes_on_where_it_stopped(served: ServedFile, tmp_path: Path) -> None:
    served.cut_after = 300_000
    with pytest.raises(SourceUnavailable, match="could not be fetched"):
        get(served, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert get(served, tmp_path / "a").read_bytes() == CONTENT
    assert served.requests == ["", "bytes=300000-"]
    assert [path.name for path in tmp_path.iterdir() if "lock" not in path.name] == ["a"]


def test_what_came_whole_and_was_not_checked_yet_is_not_fetched_again(served: ServedFile, tmp_path: Path) -> None:
    def die(path: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(served.url, tmp_path / "a", max_bytes=1 << 30, check=die)
    assert get(served, tmp_path / "a").read_bytes() == CONTENT
    assert served.requests == ["", f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize("version", ['"2"', ""])
def test_a_file_that_may_have_changed_begins_anew(served: ServedFile, tmp_path: Path, version: str) -> None:
    served.version = served.version if version else ""
    served.cut_after = 300_000
    with pytest.raises(SourceUnavailable):
        get(served, tmp_path / "a")
    served.version, served.content = version, CONTENT[::-1]
    assert get(served, tmp_path / "a").read_bytes() == CONTENT[::-1]


def test_a_file_that_became_shorter_can_be_fetched_at_the_third_try(served: ServedFile, tmp_path: Path) -> None:
    served.cut_after = 300_000
    with pytest.raises(SourceUnavailable):
        get(served, tmp_path / "a")
    served.content = CONTENT[:1000]
    with pytest.raises(SourceUnavailable, match="changed on the server; try again"):
        get(served, tmp_path / "a")
    assert get(served, tmp_path / "a").read_bytes() == CONTENT[:1000]


def test_what_does_not_pass_its_check_is_removed(served: ServedFile, tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        raise InvalidInput("no gzip file")

    with pytest.raises(SourceUnavailable, match="what came is broken and was removed: no gzip file"):
        fetch(served.url, tmp_path / "a", max_bytes=1 << 30, check=refuse)
    assert [
        path.name for path in tmp_path.iterdir() if "lock" not in path.name and "version" not in path.name
    ] == []


def test_limits_refusals_and_silence_are_named(served: ServedFile, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="more than 1000 bytes; this is not the file"):
        get(served, tmp_path / "a", max_bytes=1000)
    served.status = 404
    with pytest.raises(SourceUnavailable, match="the server answered 404 Not Found"):
        get(served, tmp_path / "b")
    served.url = "http://127.0.0.1:9/a"
    with pytest.raises(SourceUnavailable, match="could not be fetched"):
        get(served, tmp_path / "c")


def test_a_place_that_cannot_be_written_is_named(served: ServedFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be written"):
        get(served, tmp_path / "file" / "a")
