"""``umekomi embed`` from the outside: every input and output form, and one-line errors with exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

import umekomi

TEXTS = ["green apple", "緑の果物", "🍏" * 30]


def _umekomi(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "umekomi", *arguments],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    with umekomi.open_embedder("hashing:32") as embedder:
        return embedder.embed(TEXTS, role="document").vectors


def test_arguments_to_json_lines(expected: np.ndarray) -> None:
    result = _umekomi("embed", "-m", "hashing:32", *TEXTS)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    assert [row["index"] for row in rows] == [0, 1, 2]
    np.testing.assert_array_equal(np.array([row["embedding"] for row in rows], np.float32), expected)


def test_standard_input_to_json_lines(expected: np.ndarray) -> None:
    result = _umekomi("embed", "-m", "hashing:32", stdin="\n".join(TEXTS))
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    np.testing.assert_array_equal(np.array([row["embedding"] for row in rows], np.float32), expected)


def test_a_csv_file_to_npy_and_parquet_with_manifests(tmp_path: Path, expected: np.ndarray) -> None:
    source = tmp_path / "in.csv"
    source.write_text("body,n\n" + "".join(f"{text},1\n" for text in TEXTS), encoding="utf-8")
    for name in ("out.npy", "out.parquet"):
        out = tmp_path / name
        result = _umekomi("embed", "-m", "hashing:32", "-f", str(source), "--column", "body", "-o", str(out))
        assert result.returncode == 0, result.stderr
        manifest = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
        assert (manifest["count"], manifest["dim"], manifest["role"]) == (3, 32, "document")
        assert manifest["fingerprint"] in result.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table["text"].to_pylist() == TEXTS
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in.csv", "out.npy", "out.npy.json", "out.parquet", "out.parquet.json",
    ]  # fmt: skip


def test_truncation_is_said(tmp_path: Path) -> None:
    result = _umekomi("embed", "-m", "hashing:32", "short", "x" * 1000)
    assert "1 of 2 texts were longer than 512 tokens and were cut at the end" in result.stderr
    refused = _umekomi("embed", "-m", "hashing:32", "--truncation", "error", "x" * 1000)
    assert refused.returncode == 2
    assert "maximum context length is 512 tokens" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "out.txt"], "unknown suffix '.txt'; use .jsonl, .npy, .parquet"),
        (["-o", "no/such/folder/x.npy"], "the folder no/such/folder does not exist"),
        (["-f", "missing.txt"], "missing.txt: cannot be read: No such file"),
        (["-f", "a.txt", "text"], "use one of them"),
        (["--dimensions", "99", "text"], "dimensions is 99, but this model's vectors have 32"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    result = _umekomi("embed", "-m", "hashing:32", *arguments, stdin="")
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


def test_a_full_disk_is_one_line_and_leaves_nothing() -> None:
    result = _umekomi("embed", "-m", "hashing:32", "-o", "/dev/full/x.npy", "text")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    command = f"{sys.executable} -m umekomi embed -m hashing:256 < /dev/stdin | head -n 1"
    lines = "\n".join(f"line {i}" for i in range(20_000))
    result = subprocess.run(["bash", "-c", command], input=lines, capture_output=True, text=True, timeout=240)
    assert json.loads(result.stdout)["index"] == 0
    assert "Traceback" not in result.stderr
