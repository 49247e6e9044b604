"""FastChat's command lines, as start scripts and shells have them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from umekomi.config import Settings
from umekomi.errors import ConfigError
from umekomi.migrate.draft import Migration
from umekomi.migrate.fastchat import read_fastchat

SCRIPT = """#!/bin/bash
# Don't start it twice
source ~/venv/bin/activate
nohup python3 -m fastchat.serve.controller --host 0.0.0.0 > controller.log 2>&1 &
sleep 5
CUDA_VISIBLE_DEVICES=1 nohup python3 -m fastchat.serve.model_worker \\
    --model-names "text-embedding-ada-002,japanese-large-lm" \\
    --model-path line-corporation/japanese-large-lm-1.7b \\
    --revision v2 --worker http://0.0.0.0:21002 --controller-address=http://localhost:21001 \\
    --num-gpus 1 --limit-worker-concurrency 10 \\
    # --load-8bit \\
    &> worker.log &
python3 -m fastchat.serve.model_worker --model-path /models/vicuna.Q4_K_M.gguf --model-name gpt-3.5-turbo &
python3 -m fastchat.serve.openai_api_server --host localhost --port 8001 --api-keys sk-hush-1 sk-hush-2
"""


def left(migration: Migration) -> dict[tuple[str, str], str]:
    return {(note.place, note.key): note.text for note in migration.left}


def test_a_start_script_becomes_one_server() -> None:
    migration = read_fastchat([SCRIPT])
    settings = Settings.model_validate(migration.settings)
    embedding, chat = settings.models
    assert (embedding.name, embedding.aliases) == ("text-embedding-ada-002", ("japanese-large-lm",))
    assert (embedding.source, embedding.kind) == ("line-corporation/japanese-large-lm-1.7b@v2", "embedding")
    assert (chat.name, chat.source, chat.kind) == ("gpt-3.5-turbo", "/models/vicuna.Q4_K_M.gguf", "chat")
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8001)
    reasons = left(migration)
    assert "no controller" in reasons["model_worker", "--worker-address"]
    assert "environment" in reasons["model_worker", "CUDA_VISIBLE_DEVICES"]
    assert "max_queued_tokens" in reasons["model_worker", "--limit-worker-concurrency"]
    assert "no controller" in reasons["controller", "--host"]
    assert "`umekomi keys create`" in reasons["openai_api_server", "--api-keys"]
    assert "hush" not in repr(migration)
    assert "--load-8bit" not in {note.key for note in migration.left}, "it is commented out"


def test_words_as_a_shell_hands_them_over() -> None:
    line = "python3 -m fastchat.serve.model_worker --model-path BAAI/bge-m3 --device cpu"
    server = "python3 -m fastchat.serve.openai_api_server --host 0.0.0.0 --port 8000"
    for words in (
        shlex.split(line) + shlex.split(server),
        [line, server],
        [f"{line} & {server}"],
        [f"({line}); {server}"],
    ):
        migration = read_fastchat(words)
        settings = Settings.model_validate(migration.settings)
        assert [(model.name, model.source) for model in settings.models] == [("bge-m3", "BAAI/bge-m3")]
        assert (settings.server.host, settings.server.port) == ("0.0.0.0", 8000)
        assert "make keys" in left(migration)["openai_api_server", "--host"]


def test_chat_from_weights_that_are_no_gguf_is_said_to_be_lost() -> None:
    words = shlex.split(
        "python -m fastchat.serve.model_worker --model-names gpt-3.5-turbo,e --model-path lmsys/vicuna-7b"
    )
    assert "GGUF" in left(read_fastchat(words))["model_worker", "--model-names"]


def test_one_worker_of_several_models_and_a_name_that_is_taken(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    lines = [
        f"python -m fastchat.serve.multi_model_worker --model-path a/b --model-names x --model-path {weights}",
        "python -m fastchat.serve.model_worker --model-path c/d --model-names x",
        "python -m fastchat.serve.model_worker --model-path $MODEL",
        "python -m fastchat.serve.model_worker --device cpu",
        "python -m fastchat.serve.gradio_web_server --share",
    ]
    migration = read_fastchat(lines)
    assert [(model["name"], model["source"]) for model in migration.settings["models"]] == [
        ("x", "a/b"),
        ("weights", str(weights)),
    ]
    reasons = left(migration)
    assert "taken by another model" in reasons["model_worker", "x"]
    assert "variable of the shell" in reasons["model_worker", "--model-path"]
    assert "names no --model-path" in reasons["model_worker", "--device"]
    assert "no part of an API server" in reasons["gradio_web_server", "the whole command"]


@pytest.mark.parametrize("words", [[], ["ls", "-l"], ["python3 -m vllm.entrypoints.openai.api_server"], [" "]])
def test_other_commands_are_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="no command of FastChat's"):
        read_fastchat(words)


def test_an_open_quote_is_named() -> None:
    with pytest.raises(ConfigError, match="No closing quotation"):
        read_fastchat(["python -m fastchat.serve.model_worker --model-path 'a b"])
