"""``umekomi documents read``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from umekomi.cli.main import app
from umekomi.errors import ConfigError, InvalidInput, MissingExtra

COMMAND = ["documents", "read", "--model", "hashing:16", "--processes", "1"]


def test_a_folder_becomes_a_corpus_and_a_table(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_bytes("果物は甘い。\n".encode("cp932") * 50)
    (tmp_path / "docs" / "b.pdf").write_bytes(b"")
    output = tmp_path / "corpus.jsonl"
    done = CliRunner().invoke(app, [*COMMAND, str(tmp_path / "docs"), "-o", str(output)])
    assert done.exit_code == 0, done.output
    assert "empty: 0 bytes" in done.output
    assert "2 files: 1 ok, 0 warned, 1 quarantined, 0 failed" in done.output
    assert {json.loads(line)["language"] for line in output.read_text().splitlines()} == {"ja"}
    again = CliRunner().invoke(app, [*COMMAND, "--json", str(tmp_path / "docs"), "-o", str(output)])
    assert "(2 unchanged since the last run)" in again.stderr
    assert [json.loads(line)["status"] for line in again.stdout.splitlines()] == ["ok", "quarantined"]


def test_what_is_wrong_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: str) -> Exception:
        done = CliRunner().invoke(app, [*COMMAND, *arguments])
        assert isinstance(done.exception, Exception)
        return done.exception

    (tmp_path / "a.txt").write_text("x")
    path, output = str(tmp_path / "a.txt"), str(tmp_path / "corpus.jsonl")
    assert isinstance(fails(path, "-o", str(tmp_path / "corpus.csv")), ConfigError)
    assert "no such file" in str(fails(str(tmp_path / "none"), "-o", output))
    assert isinstance(fails(path, "-o", output, "--min-tokens", "400"), InvalidInput)
    monkeypatch.setattr("umekomi.documents.extras.is_installed", lambda module: module != "docling")
    missing = fails(path, "-o", output, "--layout")
    assert isinstance(missing, MissingExtra)
    assert "pip install 'umekomi[layout]'" in str(missing)
