"""``umekomi config check``: what a file would serve, and what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from umekomi.cli.main import app

RUN = CliRunner()


def test_servers_behind_fallbacks_and_missing_keys_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_A", "sk-secret")
    monkeypatch.delenv("KEY_B", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    config = tmp_path / "umekomi.yaml"
    config.write_text(
        "models:\n"
        "- name: far\n"
        "  remote: {base_url: 'http://a/v1', api_key_env: KEY_A, "
        "replicas: [{base_url: 'http://b/v1', api_key_env: KEY_B}]}\n"
        "  fallbacks: [near]\n"
        "- {name: near, source: 'hashing:8'}\n"
    )
    result = RUN.invoke(app, ["config", "check", str(config)])
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    assert rows[0][:2] == ["far", "http://a/v1"]
    assert rows[1][1] == "http://b/v1"
    assert rows[0][5] == "near"
    assert rows[0][4] == ""
    assert "text-embedding-3-small" in "".join(row[4] for row in rows)  # near, which surely makes embeddings
    assert "variable KEY_B is not set" in result.stderr
    assert "KEY_A" not in result.stderr
    assert "sk-secret" not in result.output


def test_an_alias_without_the_prompts_of_its_card_is_warned_of(tmp_path: Path) -> None:
    config = tmp_path / "umekomi.yaml"
    config.write_text("models: [{name: team, source: multilingual-e5-small}]\n")
    result = RUN.invoke(app, ["config", "check", str(config)])
    assert result.exit_code == 0
    assert "team: texts are embedded as they come, though the card has prompts (query: 'query: '" in result.stderr
    config.write_text("models: [{name: team, source: multilingual-e5-small, role: document}]\n")
    assert RUN.invoke(app, ["config", "check", str(config)]).stderr == ""


def test_a_source_that_no_path_can_be_is_shown_as_it_is(tmp_path: Path) -> None:
    config = tmp_path / "umekomi.yaml"
    config.write_text(f"models: [{{name: long, source: {'x' * 300}}}]\n")
    assert RUN.invoke(app, ["config", "check", str(config)]).exit_code == 0
