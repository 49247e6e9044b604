"""``umekomi datasets`` from the outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.file_server import serve_file
from kit.livedoor_archive import livedoor_archive
from umekomi.cli.datasets import livedoor
from umekomi.errors import SourceUnavailable


def _umekomi(*arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"}
    if home:
        environment["UMEKOMI_HOME"] = str(home)
    return subprocess.run(
        [sys.executable, "-m", "umekomi", "datasets", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        env=environment,
    )


def test_list_names_the_samples_and_how_to_build_livedoor() -> None:
    result = _umekomi("list")
    assert result.returncode == 0, result.stderr
    for part in ("sample-retrieval", "sample-sts", "umekomi datasets build livedoor"):
        assert part in result.stdout


@pytest.mark.parametrize(
    ("source", "kind", "items"),
    [("sample", "labels", 216), ("sample-retrieval", "retrieval", 40), ("sample-sts", "pairs", 40)],
)
def test_show_a_sample(source: str, kind: str, items: int) -> None:
    facts = json.loads(_umekomi("show", source, "--json").stdout)
    assert (facts["kind"], facts["items"], facts["licence"]) == (kind, items, "CC0-1.0")


def test_show_says_how_a_file_is_read(tmp_path: Path) -> None:
    rows = "".join(f"テキスト{n}\x1b[31m [bold],{n % 2},s{n % 3}\n" for n in range(6))
    (tmp_path / "a.csv").write_bytes(f"本文,class,by\n{rows},1,s1\n".encode("cp932"))
    result = _umekomi("show", str(tmp_path / "a.csv"), "--label", "class", "--group", "by")
    assert result.returncode == 0, result.stderr
    for part in ("read as cp932", "empty text: 1", "text: 本文, label: class, group: by", "0: 3, 1: 3", "[bold]"):
        assert part in result.stdout
    assert "\x1b[31m" not in result.stdout


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    result = _umekomi("show", str(tmp_path / "none.csv"))
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "does not exist" in result.stderr


def test_build_livedoor_says_what_it_wrote_and_that_it_may_not_be_passed_on(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(livedoor_archive(range(4)))
    output = tmp_path / "l.csv.zip"
    arguments = (
        "build",
        "livedoor",
        "--archive",
        str(tmp_path / "a.tar.gz"),
        "-o",
        str(output),
        "--characters",
        "50",
    )
    result = _umekomi(*arguments, "--per-category", "3")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"27 texts → {output}")
    assert "CC BY-ND 2.1 JP: do not pass l.csv.zip on" in result.stderr
    assert "the archive holds 36 articles; the published one has 7367" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.tar.gz", "l.csv.zip", "l.csv.zip.LICENCE.txt", "l.csv.zip.json",
    ]  # fmt: skip
    short = _umekomi(*arguments)
    assert "smax: only 4 articles; 300 were asked for" in short.stderr


def test_build_uses_the_archive_that_lies_in_the_store(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "ldcc-20140209.tar.gz").write_bytes(livedoor_archive(range(2)))
    result = _umekomi("build", "livedoor", "-o", str(tmp_path / "l.csv"), home=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "l.csv").read_text("utf-8").count("\n") == 19


def test_the_archive_is_fetched_into_the_store_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UMEKOMI_HOME", str(tmp_path))
    with serve_file(livedoor_archive(range(2))) as served:
        monkeypatch.setattr("umekomi.evaluate.datasets.livedoor.ARCHIVE_URL", served.url)
        served.cut_after = 1000
        with pytest.raises(SourceUnavailable, match="or fetch it elsewhere and name it with --archive"):
            livedoor(tmp_path / "l.csv")
        livedoor(tmp_path / "l.csv")
        livedoor(tmp_path / "m.csv")
    assert served.requests == ["", "bytes=1000-"]
    assert (tmp_path / "l.csv").read_bytes() == (tmp_path / "m.csv").read_bytes()
    assert capsys.readouterr().out.count("18 texts → ") == 2


def test_what_is_fetched_and_is_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMEKOMI_HOME", str(tmp_path))
    with serve_file(b"<html>moved</html>") as served:
        monkeypatch.setattr("umekomi.evaluate.datasets.livedoor.ARCHIVE_URL", served.url)
        with pytest.raises(SourceUnavailable, match="what came is broken and was removed"):
            livedoor(tmp_path / "l.csv")
    assert not (tmp_path / "l.csv").exists()


def test_build_into_no_folder(tmp_path: Path) -> None:
    result = _umekomi("build", "livedoor", "-o", str(tmp_path / "none" / "l.csv"))
    assert result.returncode == 2
    assert "the folder" in result.stderr
