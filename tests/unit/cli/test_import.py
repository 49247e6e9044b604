"""``umekomi import`` from the outside: the file that it writes, the account that it prints, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from umekomi.config import load_settings


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "umekomi", "import", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=240, cwd=folder)


@pytest.fixture
def localai(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    text = "name: 埋め込み\nembeddings: true\nparameters: {model: intfloat/e5-small}\nstopwords: [x]\n"
    (tmp_path / "models" / "e5.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def test_the_file_loads_and_the_account_is_printed(localai: Path) -> None:
    result = run(localai, "localai", "models")
    assert result.returncode == 0, result.stderr
    assert "埋め込み: parameters.model → source: intfloat/e5-small" in result.stdout
    assert "埋め込み: stopwords – clients send it with each request" in result.stdout
    assert "1 models → umekomi.yaml" in result.stderr
    settings = load_settings(localai / "umekomi.yaml")
    assert settings.models[0].name == "埋め込み"
    assert "埋め込み" in (localai / "umekomi.yaml").read_text(encoding="utf-8")
    assert sorted(path.name for path in localai.iterdir()) == ["models", "umekomi.yaml"]


def test_an_existing_file_is_kept_unless_forced(localai: Path) -> None:
    target = localai / "umekomi.yaml"
    target.write_text("models: [{name: mine}]\n", encoding="utf-8")
    refused = run(localai, "localai", "models")
    assert refused.returncode == 2
    assert "exists already" in refused.stderr
    assert load_settings(target).models[0].name == "mine"
    assert run(localai, "localai", "models", "--force").returncode == 0
    assert load_settings(target).models[0].name == "埋め込み"


def test_nothing_is_written_where_nothing_can_be_carried_over(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "model_list: [{model_name: c, litellm_params: {model: anthropic/c, api_key: sk-hush-1}}]", encoding="utf-8"
    )
    result = run(tmp_path, "litellm", "config.yaml")
    assert result.returncode == 2
    assert "the provider 'anthropic'" in result.stdout
    assert "nothing was written" in result.stderr
    assert "hush" not in result.stdout + result.stderr
    assert not (tmp_path / "umekomi.yaml").exists()


def test_a_fastchat_command_line_and_a_script(tmp_path: Path) -> None:
    line = ["python3", "-m", "fastchat.serve.model_worker", "--model-path", "a/b", "--model-names", "x,y"]
    assert run(tmp_path, "fastchat", "-o", "one.yaml", "--", *line).returncode == 0
    (tmp_path / "start.sh").write_text(" ".join(line) + " &\n", encoding="utf-8")
    assert run(tmp_path, "fastchat", "--file", "start.sh", "-o", "two.yaml").returncode == 0
    one, two = (load_settings(tmp_path / name) for name in ("one.yaml", "two.yaml"))
    assert one == two
    assert one.models[0].aliases == ("y",)
    assert "give FastChat's command lines after --" in run(tmp_path, "fastchat").stderr
    assert "No such file" in run(tmp_path, "fastchat", "--file", "none.sh").stderr
