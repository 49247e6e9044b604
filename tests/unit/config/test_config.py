"""umekomi.yaml: what it means, and errors that name the place, the value and the nearest known key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from umekomi import config
from umekomi.config import OPENAI_ALIASES, load_settings
from umekomi.errors import ConfigError


def _load(tmp_path: Path, text: str | bytes) -> config.Settings:
    path = tmp_path / "umekomi.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(path)


def test_without_a_file_the_starters_are_served_under_openai_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UMEKOMI_CONFIG", raising=False)
    settings = load_settings().with_defaults()
    assert [model.name for model in settings.models] == ["multilingual-e5-small", "smollm2-135m-instruct"]
    assert settings.models[0].aliases == OPENAI_ALIASES
    assert settings.server.host == "127.0.0.1"


def test_openai_names_go_to_the_first_model_unless_claimed(tmp_path: Path) -> None:
    settings = _load(
        tmp_path,
        """
        models:
          - name: 社内検索
            source: /models/e5
            precision: int8
            role: query
            prompts: {query: "質問: "}
          - name: second
            aliases: [text-embedding-ada-002]
        """,
    ).with_defaults()
    first, second = settings.models
    assert first.open_name == "/models/e5"
    assert first.prompts == {"query": "質問: "}
    assert first.aliases == ("text-embedding-3-small", "text-embedding-3-large")
    assert second.aliases == ("text-embedding-ada-002",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modles: []", "modles: unknown key; did you mean 'models'?"),
        ("models: [{name: a, precison: int8}]", r"models\.0\.precison: unknown key; did you mean 'precision'?"),
        ("server: {prot: 1}", r"server\.prot: unknown key; did you mean 'port'?"),
        ("models: [{name: a, precision: int4}]", r"models\.0\.precision: .*'fp32' or 'int8'.*got 'int4'"),
        ("server: {port: 99999}", r"server\.port: .*65535.*got 99999"),
        ("models: [{source: x}]", r"models\.0\.name: Field required"),
        ("models: [{name: a}, {name: b, aliases: [a]}]", "the name 'a' is taken twice: by 'a' and by 'b'"),
        ("limits: {max_request_tokens: 10}", "max_request_tokens is smaller than"),
        ("models: [{name: a, fallbacks: [b]}]", "the fallback 'b' of 'a' is no model of this file"),
        ("models: [{name: a, aliases: [b], fallbacks: [b]}]", "the fallback 'b' of 'a' is the model itself"),
        (
            "models: [{name: a, source: x, remote: {base_url: 'http://h/v1'}}]",
            r"models\.0: .*a remote model has no source",
        ),
        ("models: [{name: a, remote: {base_url: 'h/v1'}}]", "such as http://127.0.0.1:8080/v1"),
        ("models: [{name: a, llama: {ctx_sise: 1}}]", r"llama\.ctx_sise: unknown key; did you mean 'ctx_size'?"),
        ("models: [{name: a, remote: {base_url: 'http://h/v1', replicas: [{url: x}]}}]", "did you mean 'base_url'"),
        ("- a list", "the top level must be a mapping"),
        ("models: [", "not valid YAML"),
        ("key: !!python/object/apply:os.system [echo]", "not valid YAML"),
        ("名前: x".encode("cp932"), "not UTF-8 at byte 0"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        _load(tmp_path, text)
    assert "umekomi.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "remote",
    [
        "{base_url: 'https://user:hush-9@host/v1'}",
        "{base_url: 'https://host/v1?key=hush-9'}",
        "{base_url: 'https://host/v1', api_key_env: sk-hush-9}",
        "{base_url: 'https://host/v1', api_key: hush-9}",
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(tmp_path: Path, remote: str) -> None:
    with pytest.raises(ConfigError, match=r"api_key_env|base_url") as caught:
        _load(tmp_path, f"models: [{{name: a, remote: {remote}}}]")
    assert "hush-9" not in str(caught.value)


def test_models_that_run_elsewhere_and_in_llama_cpp(tmp_path: Path) -> None:
    settings = _load(
        tmp_path,
        """
        models:
          - name: chat
            source: /models/chat.gguf
            kind: chat
            llama: {ctx_size: 8192, n_gpu_layers: -1, parallel: 4, flash_attn: on}
            fallbacks: [gpt]
          - name: embed
            remote:
              base_url: http://127.0.0.1:8080/v1/
              api_key_env: UPSTREAM_KEY
              replicas: [{base_url: "http://127.0.0.1:8081/v1"}]
            keep_alive_s: null
            pinned: true
          - {name: big, aliases: [gpt], remote: {base_url: "https://api.example.com/v1"}}
        """,
    )
    chat, embed, _ = settings.models
    assert chat.llama is not None
    assert chat.llama.flash_attn == "on", "YAML reads a bare 'on' as true"
    assert chat.keep_alive_s == 900
    assert embed.remote is not None
    assert embed.remote.base_url == "http://127.0.0.1:8080/v1"
    assert embed.keep_alive_s is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load_settings(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_settings(tmp_path)


def test_the_environment_names_the_file_and_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("server: {port: 9}", encoding="utf-8")
    monkeypatch.setenv("UMEKOMI_CONFIG", str(path))
    monkeypatch.setenv("UMEKOMI_HOME", str(tmp_path / "store"))
    assert load_settings().server.port == 9
    assert config.home() == tmp_path / "store"
    monkeypatch.delenv("UMEKOMI_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert config.home() == tmp_path / "xdg" / "umekomi"


def test_settings_cannot_be_changed_and_the_schema_lists_every_key() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.threads = 3  # type: ignore[misc]
    schema = json.dumps(config.json_schema())
    sections = config.Section.__subclasses__()
    assert len(sections) > 5
    for section in sections:
        assert all(f'"{key}"' in schema for key in section.model_fields)
        assert all(field.description for field in section.model_fields.values())
