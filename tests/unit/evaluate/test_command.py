"""`umekomi evaluate` from the outside: the files it leaves, and one-line errors with exit codes."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import numpy as np
import pytest

from kit.evaluating import embeddings_server
from kit.source import ROOT

QUICK = ("--no-cost", "--no-curves", "--resamples", "200")


def _umekomi(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "umekomi", "evaluate", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "120"},
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("evaluation")
    models = ("-m", "hashing:32", "-m", "hashing:256")
    done = _umekomi("sample-en", *models, "-o", str(folder / "out"), "--cache", str(folder / "cache"), *QUICK[:1])
    assert done.returncode == 0, done.stderr
    return folder / "out", done.stdout


def test_the_folder_holds_what_the_guide_names(finished: tuple[Path, str]) -> None:
    folder, said = finished
    assert {path.name for path in folder.iterdir()} == {
        "results.json",
        "scores.csv",
        "items.npz",
        "report.html",
        "map-sample-en-hashing-32.png",
        "map-sample-en-hashing-256.png",
    }
    assert re.search(r"hashing:256 (beats|and) hashing:32", said) or "tied" in said
    with (folder / "scores.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert len(rows) == len(results["scores"])
    assert {point["curve"] for point in results["curves"]} == {"dimensions", "precision"}
    assert {audit["audit"] for audit in results["audits"]} == {"prompts", "boilerplate"}


def test_results_keep_to_the_documented_schema(finished: tuple[Path, str]) -> None:
    schema = json.loads((ROOT / "docs" / "reference" / "results.schema.json").read_text(encoding="utf-8"))
    jsonschema_rs.validate(schema, json.loads((finished[0] / "results.json").read_text(encoding="utf-8")))


def test_two_folders_are_compared(finished: tuple[Path, str], tmp_path: Path) -> None:
    cache = ("--cache", str(finished[0].parent / "cache"))
    other = _umekomi("sample-en", "-m", "hashing:64", "-o", str(tmp_path / "b"), *cache, *QUICK, "--no-audits")
    assert other.returncode == 0, other.stderr
    done = _umekomi(
        "compare", str(finished[0]), str(tmp_path / "b"), "-o", str(tmp_path / "both"), "--language", "ja"
    )
    assert done.returncode == 0, done.stderr
    for model in ("hashing:32", "hashing:64", "hashing:256"):
        assert model in done.stdout
    assert '<html lang="ja"' in (tmp_path / "both" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["sample-en"], 2, "name one or more with -m"),
        (["sample-en", "-m", "no-such-model"], 2, "no-such-model"),
        (["sample-en", "-m", "http://127.0.0.1:9/v1#m"], 3, "127.0.0.1:9"),
        (["nowhere.csv", "-m", "hashing:16"], 2, "nowhere.csv"),
        (["sample-en", "-m", "hashing:16", "-k", "5000"], 2, "5000 nearest"),
        (["compare", "nowhere.json", "nowhere.json"], 2, "nowhere.json"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    where = [] if arguments[0] == "compare" else ["-o", str(tmp_path / "out"), *QUICK]
    done = _umekomi(*arguments, *where)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    done = _umekomi("sample-en", "-m", "hashing:16", "-o", str(tmp_path), *QUICK)
    assert done.returncode == 2
    assert "thesis.txt" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_server_that_sends_nan_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with embeddings_server(lambda texts: np.full((len(texts), 8), np.nan)) as url:
        done = _umekomi("sample-en", "-m", f"{url}#broken", "-o", str(tmp_path / "out"), *QUICK)
    assert done.returncode == 3, done.stderr
    assert "not finite" in done.stderr
    assert not (tmp_path / "out" / "results.json").exists()
