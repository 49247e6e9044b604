"""``umekomi similarity`` from the outside, on the hashing engine; meaning is tested with the starter model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def _similarity(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "umekomi", "similarity", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=240,
    )


def test_the_same_text_comes_first(tmp_path: Path) -> None:
    source = tmp_path / "texts.jsonl"
    source.write_text('{"name": "a", "text": "zzz"}\n{"name": "b", "text": "green fruit"}\n', encoding="utf-8")
    result = _similarity(str(source), "green fruit", "-m", "hashing:512", "--json")
    hits = [json.loads(line) for line in result.stdout.splitlines()]
    assert [hit["title"] for hit in hits] == ["b", "a"]
    assert hits[0]["score"] > hits[1]["score"]
    assert hits[0]["line"] == 2
    table = _similarity(str(source), "green fruit", "-m", "hashing:512", "--top", "1")
    assert "green fruit" in table.stdout
    assert "zzz" not in table.stdout


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", [], "no texts in it"),
        ("x", ["--base-url", "http://127.0.0.1:9/v1"], "http://127.0.0.1:9/v1: no answer"),
        ("x", ["--base-url", "not a url"], "not a url"),
        ("x", ["--base-url", "http://127.0.0.1:9/v1", "--precision", "int8"], "the server's to choose"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, content: str, options: list[str], message: str) -> None:
    source = tmp_path / "texts.txt"
    source.write_text(content, encoding="utf-8")
    result = _similarity(str(source), "query", "-m", "hashing:32", *options)
    assert result.returncode in (2, 3)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
