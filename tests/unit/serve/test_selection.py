"""The command line over the configuration over the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.gguf_files import gguf
from umekomi.config import (
    DEFAULT_CHAT_MODEL,
    DEFAULT_MODEL,
    OPENAI_ALIASES,
    OPENAI_CHAT_ALIASES,
    ModelSettings,
    ServerSettings,
    Settings,
)
from umekomi.errors import ConfigError
from umekomi.serve.selection import select, served_name

CONFIGURED = Settings(
    models=(
        ModelSettings(name="ours", source="hashing:32", role="query", aliases=("text-embedding-3-small",)),
        ModelSettings(name="theirs", source="hashing:16"),
    ),
    server=ServerSettings(host="127.0.0.2", port=9000),
    threads=3,
)


def test_without_anything_the_starters_are_served_under_openais_names(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding, chat = select(Settings(), []).models
    assert (embedding.name, embedding.open_name, embedding.aliases) == (
        DEFAULT_MODEL,
        DEFAULT_MODEL,
        OPENAI_ALIASES,
    )
    assert (chat.name, chat.aliases) == (DEFAULT_CHAT_MODEL, OPENAI_CHAT_ALIASES)
    assert (embedding.preload, chat.preload) == (False, False)
    monkeypatch.setattr("umekomi.config.settings.is_installed", lambda module: False)
    (alone,) = select(Settings(), []).models
    assert alone == embedding


def test_each_kind_has_its_own_default(tmp_path: Path) -> None:
    file = tmp_path / "talker.gguf"
    file.write_bytes(
        gguf({"general.architecture": "llama", "llama.embedding_length": 8, "llama.context_length": 16})
    )
    settings = Settings(models=(ModelSettings(name="ranker", kind="rerank"),))
    talker, starter, ours = select(settings, [str(file), DEFAULT_CHAT_MODEL, "hashing:8"]).models
    assert (talker.kind, talker.aliases) == ("chat", OPENAI_CHAT_ALIASES)
    assert (starter.kind, starter.aliases) == ("chat", ())
    assert (ours.kind, ours.aliases) == ("embedding", OPENAI_ALIASES)
    (ranker,) = select(settings, []).models
    assert ranker.aliases == ()


def test_the_configuration_stands_where_the_command_line_is_silent() -> None:
    chosen = select(CONFIGURED, [])
    assert [model.name for model in chosen.models] == ["ours", "theirs"]
    assert chosen.models[0].aliases == (
        "text-embedding-3-small",
        "text-embedding-ada-002",
        "text-embedding-3-large",
    )
    assert (chosen.server.host, chosen.server.port, chosen.threads) == ("127.0.0.2", 9000, 3)


def test_the_command_line_wins() -> None:
    chosen = select(CONFIGURED, ["theirs", "hashing:8"], port=0, precision="int8", threads=1)
    assert [(model.name, model.open_name) for model in chosen.models] == [
        ("theirs", "hashing:16"),
        ("hashing:8", "hashing:8"),
    ]
    assert {model.precision for model in chosen.models} == {"int8"}
    assert (chosen.server.host, chosen.server.port, chosen.threads) == ("127.0.0.2", 0, 1)
    assert chosen.models[0].aliases == OPENAI_ALIASES  # the first is the default, and nobody claims them


def test_names_that_clients_can_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / "my-e5"
    folder.mkdir(parents=True)
    gguf = tmp_path / "small.Q4_1.gguf"
    gguf.touch()
    assert served_name(str(folder)) == served_name(f"{folder}/") == "my-e5"
    assert served_name(str(gguf)) == "small.Q4_1"
    assert served_name("intfloat/multilingual-e5-small@main") == "intfloat/multilingual-e5-small"
    monkeypatch.chdir(folder)
    assert served_name(".") == "my-e5"


def test_what_no_path_can_be_is_left_to_the_opening_to_refuse() -> None:
    (model,) = select(Settings(), ["~no-such-user/x"]).models
    assert (model.name, model.kind) == ("~no-such-user/x", "auto")


@pytest.mark.parametrize("name", ["", "/", "@main", "x" * 300])
def test_what_has_no_name_that_clients_could_ask_for_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="its name, which is empty or very long"):
        select(Settings(), [name])


@pytest.mark.parametrize("names", [["hashing:8", "hashing:8"], ["ours", "text-embedding-3-small"], [""]])
def test_names_that_clash_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError):
        select(CONFIGURED, names)


def test_a_fallback_has_to_be_served_too() -> None:
    far = {"name": "far", "remote": {"base_url": "http://127.0.0.1:9/v1"}, "fallbacks": ["ours"]}
    settings = Settings.model_validate({"models": [{"name": "ours", "source": "hashing:32"}, far]})
    assert [chosen.name for chosen in select(settings, []).models] == ["ours", "far"]
    assert [chosen.name for chosen in select(settings, ["far", "ours"]).models] == ["far", "ours"]
    with pytest.raises(ConfigError, match="'far' falls back on 'ours', which is not served"):
        select(settings, ["far"])
