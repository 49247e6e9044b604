"""``umekomi compare-endpoints`` and ``umekomi evaluate parity`` as users run them, against real servers."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.embedding_server import EmbeddingServer, serving_vectors
from kit.server import reference_vectors

MODEL = "hashing:128"


@pytest.fixture(scope="module")
def plain() -> Iterator[EmbeddingServer]:
    with serving_vectors(lambda texts: reference_vectors(texts, MODEL)) as server:
        yield server


@pytest.fixture(scope="module")
def prompting() -> Iterator[EmbeddingServer]:
    with serving_vectors(lambda texts: reference_vectors([f"query: {text}" for text in texts], MODEL)) as server:
        yield server


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.csv"
    rows = "".join(f"{row},a line about fruit {row * 7} 緑の果物\n" for row in range(40))
    file.write_text("id,text\n" + rows, encoding="utf-8")
    return file


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "umekomi", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=False, env={**os.environ, **environment}
    )


def test_equal_servers_keep_the_index(plain: EmbeddingServer, texts: Path) -> None:
    result = run("compare-endpoints", plain.base_url, plain.base_url, "-m", "e5", "--texts", texts)
    assert result.returncode == 0, result.stderr
    assert "The index can stay" in result.stdout
    assert "texts/s" in result.stdout
    assert "cause" not in result.stdout


def test_a_difference_is_named_and_ends_with_4(
    plain: EmbeddingServer, prompting: EmbeddingServer, texts: Path, tmp_path: Path
) -> None:
    rows, whole = tmp_path / "rows.csv", tmp_path / "all.json"
    arguments = ("compare-endpoints", plain.base_url.removesuffix("/v1"), prompting.base_url, "-f", texts)
    result = run(*arguments, "-m", "e5", "-o", rows)
    assert result.returncode == 4, result.stderr
    assert "cause (prefix, certain): NEW puts 'query: ' before each text" in result.stdout
    assert "The index cannot stay" in result.stdout
    assert f"taken as {plain.base_url}" in result.stderr
    table = list(csv.DictReader(rows.read_text(encoding="utf-8").splitlines()))
    assert [int(row["row"]) for row in table] == list(range(40))
    assert all(float(row["cosine"]) < 0.999 for row in table)
    assert "緑の果物" in table[0]["text"]

    result = run(*arguments, "-m", "e5", "--json", "--sample", 10, "-o", whole)
    record = json.loads(result.stdout)
    assert record == json.loads(whole.read_text(encoding="utf-8"))
    assert len(record["rows"]) == 10
    assert (record["verdict"], record["causes"][0]["kind"]) == ("rebuild", "prefix")
    assert "10 of 40 texts are compared" in result.stderr


def test_each_server_gets_its_own_model_name_and_key(plain: EmbeddingServer, texts: Path) -> None:
    plain.bodies.clear()
    plain.keys.clear()
    result = run(
        "compare-endpoints", plain.base_url, plain.base_url, "-m", "a", "--new-model", "b", "-f", texts,
        "--new-key-env", "NEW_KEY",
        UMEKOMI_API_KEY="old-secret", NEW_KEY="new-secret",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    asked = {(body["model"], key) for body, key in zip(plain.bodies, plain.keys, strict=True)}
    assert asked == {("a", "Bearer old-secret"), ("b", "Bearer new-secret")}
    assert "secret" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--old-model", "a"], 2, "no model: name it with -m"),
        (["-m", "a", "--old-key-env", "NOT_SET"], 2, "the environment variable NOT_SET is not set"),
        (["-m", "a", "-o", "x.txt"], 2, "unknown suffix '.txt'; use .json or .csv"),
        (["-m", "a", "-o", "nowhere/x.csv"], 2, "the folder nowhere does not exist"),
        (["-m", "a"], 3, "NEW, after 0 of 40 texts: http://127.0.0.1:1/v1: no answer"),
        (["-m", "a", "--reference", "no-such-model"], 2, "no-such-model"),
    ],
)
def test_what_is_wrong_is_one_line(
    plain: EmbeddingServer, texts: Path, arguments: list[str], code: int, message: str
) -> None:
    result = run("compare-endpoints", plain.base_url, "http://127.0.0.1:1/v1", "-f", texts, *arguments)
    assert result.returncode == code, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_an_empty_file_is_an_error(plain: EmbeddingServer, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    result = run("compare-endpoints", plain.base_url, plain.base_url, "-m", "a", "-f", empty)
    assert (result.returncode, "no texts in it" in result.stderr) == (2, True)


def test_parity_takes_the_sample_texts_and_names_the_prompt(
    plain: EmbeddingServer, prompting: EmbeddingServer, tmp_path: Path
) -> None:
    command = ("evaluate", "parity", "--reference", MODEL)
    same = run(*command, "--endpoint", f"{plain.base_url}#any", "--json")
    assert same.returncode == 0, same.stderr
    record = json.loads(same.stdout)
    assert len(record["rows"]) > 50
    assert any("embedded as they come" in note for note in record["notes"])  # the card has prompts, the alias none
    other = run(*command, "--endpoint", prompting.base_url, "-o", tmp_path / "rows.csv")
    assert other.returncode == 4
    assert f"'{MODEL}' is asked for" in other.stderr
    assert "cause (prefix, certain): endpoint puts 'query: ' before each text" in other.stdout
    assert (tmp_path / "rows.csv").exists()
    as_query = run(*command, "--endpoint", f"{prompting.base_url}#any", "--role", "query")
    assert as_query.returncode == 0, as_query.stdout
    assert "embedded as they come" not in as_query.stdout
