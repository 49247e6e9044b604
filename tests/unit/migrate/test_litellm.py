"""LiteLLM's proxy configuration: models, replicas, fallbacks and aliases, and never a key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from umekomi.config import ModelSettings, RemoteSettings, Settings
from umekomi.errors import ConfigError
from umekomi.migrate.draft import Migration
from umekomi.migrate.litellm import read_litellm

CONFIG = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 60
      timeout: 120
    model_info: {mode: chat, base_model: gpt-4o}
  - model_name: text-embedding-ada-002
    litellm_params:
      model: openai/multilingual-e5-small
      api_base: http://localai:8080/v1
      api_key: sk-hush-0123456789
    model_info:
      mode: embedding
  - model_name: local-chat
    litellm_params: {model: hosted_vllm/Qwen/Qwen2.5-7B-Instruct, api_base: http://vllm-1:8000/v1, api_key: none}
  - model_name: local-chat
    litellm_params:
      model: hosted_vllm/Qwen/Qwen2.5-7B-Instruct
      api_base: http://vllm-2:8000/v1
      api_key: os.environ/VLLM_2_KEY
  - model_name: llama
    litellm_params: {model: ollama/llama3.1, api_base: http://ollama:11434}
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet, api_key: sk-hush-ant-1}
  - model_name: azure-gpt
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: os.environ/AZURE_API_BASE
      api_key: os.environ/AZURE_API_KEY
      api_version: "2024-02-01"
  - model_name: "groq/*"
    litellm_params: {model: "groq/*", api_key: os.environ/GROQ_API_KEY}
  - model_name: dalle
    litellm_params: {model: openai/dall-e-3}
    model_info: {mode: image_generation}
router_settings:
  routing_strategy: least-busy
  model_group_alias: {gpt-4: gpt-4o, claude-3: claude, chat: {model: local-chat, hidden: true}}
  fallbacks: [{local-chat: [gpt-4o, claude]}, {gpt-4: [chat]}]
  num_retries: 3
  redis_password: hush-redis
litellm_settings:
  drop_params: true
  default_fallbacks: [local-chat]
  request_timeout: 30
general_settings:
  master_key: sk-hush-master
  database_url: postgresql://u:hush-db@db/litellm
environment_variables:
  LANGFUSE_SECRET_KEY: hush-langfuse
"""


@pytest.fixture
def migration(tmp_path: Path) -> Migration:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return read_litellm(path)


def models(migration: Migration) -> dict[str, ModelSettings]:
    return {model.name: model for model in Settings.model_validate(migration.settings).models}


def remote(model: ModelSettings) -> RemoteSettings:
    assert model.remote is not None
    return model.remote


def test_deployments_become_remote_models(migration: Migration) -> None:
    found = models(migration)
    assert list(found) == ["gpt-4o", "text-embedding-ada-002", "local-chat", "llama"]
    openai = remote(found["gpt-4o"])
    assert (openai.base_url, openai.model) == ("https://api.openai.com/v1", "gpt-4o")
    assert (openai.api_key_env, openai.timeout_s, openai.max_retries) == ("OPENAI_API_KEY", 120, 3)
    assert found["gpt-4o"].kind == "chat"
    assert found["text-embedding-ada-002"].kind == "embedding"
    chat = remote(found["local-chat"])
    assert (chat.base_url, chat.model, chat.api_key_env) == (
        "http://vllm-1:8000/v1",
        "Qwen/Qwen2.5-7B-Instruct",
        None,
    )
    assert [(each.base_url, each.api_key_env) for each in chat.replicas] == [
        ("http://vllm-2:8000/v1", "VLLM_2_KEY")
    ]
    assert remote(found["llama"]).base_url == "http://ollama:11434/v1"
    assert chat.timeout_s == 30


def test_what_only_a_later_deployment_says_counts_or_is_named_as_left_out(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "model_list:\n"
        "- {model_name: e, litellm_params: {model: openai/e, api_base: http://a/v1, timeout: 9}}\n"
        "- {model_name: e, litellm_params: {model: openai/e, api_base: http://b/v1, timeout: 70, max_retries: 4},"
        " model_info: {mode: embedding}}\n",
        encoding="utf-8",
    )
    migration = read_litellm(path)
    model = models(migration)["e"]
    assert (model.kind, remote(model).timeout_s, remote(model).max_retries) == ("embedding", 9, 2)
    assert [note.key for note in migration.left] == ["litellm_params.timeout", "litellm_params.max_retries"]
    assert not any("70" in note.text for note in migration.carried)


def test_aliases_and_fallbacks_follow(migration: Migration) -> None:
    found = models(migration)
    assert found["gpt-4o"].aliases == ("gpt-4",)
    assert found["local-chat"].aliases == ("chat",)
    assert found["local-chat"].fallbacks == ("gpt-4o",)
    assert found["gpt-4o"].fallbacks == ("chat",)
    assert found["llama"].fallbacks == ("local-chat",), "the default fallback"


def test_no_secret_is_repeated_anywhere(migration: Migration) -> None:
    everything = repr(migration)
    assert "hush" not in everything
    assert remote(models(migration)["text-embedding-ada-002"]).api_key_env == "UMEKOMI_TEXT_EMBEDDING_ADA_002_KEY"


@pytest.mark.parametrize(
    ("place", "key", "reason"),
    [
        ("gpt-4o", "litellm_params.rpm", "limits go by key"),
        (
            "text-embedding-ada-002",
            "litellm_params.api_key",
            "environment variable UMEKOMI_TEXT_EMBEDDING_ADA_002_KEY",
        ),
        ("local-chat", "litellm_params.api_key", "a placeholder"),
        ("claude", "litellm_params.api_key", "the provider 'anthropic'"),
        ("azure-gpt", "litellm_params.api_version", "the provider 'azure'"),
        ("groq/*", "model_name", "whole names"),
        ("dalle", "model_info.mode", "not image_generation"),
        ("config.yaml", "router_settings.model_group_alias", "its model 'claude' was not carried over"),
        ("config.yaml", "router_settings.fallbacks", "fallback 'claude' of 'local-chat': was not carried over"),
        ("config.yaml", "router_settings.routing_strategy", "built in"),
        ("config.yaml", "router_settings.redis_password", "no server beside"),
        ("config.yaml", "litellm_settings.drop_params", "as they are"),
        ("config.yaml", "general_settings.master_key", "`umekomi keys create`"),
        ("config.yaml", "environment_variables.LANGFUSE_SECRET_KEY", "environment of the server"),
    ],
)
def test_what_is_left_out_is_named(migration: Migration, place: str, key: str, reason: str) -> None:
    assert [note for note in migration.left if (note.place, note.key) == (place, key) and reason in note.text]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ("{model: openai/x, api_base: 'http://user:hush-9@h/v1'}", "no user, query or fragment"),
        ("{model: openai/x, api_base: 'h:8000'}", "must be an address"),
        ("{model: infinity/x}", "needs an api_base"),
        ("{model: os.environ/MODEL}", "names no model"),
        ("{model: openai/x, api_base: os.environ/BASE}", r"stands in the environment \(BASE\)"),
        ("{}", "names no model"),
    ],
)
def test_a_deployment_without_a_way_to_reach_it(tmp_path: Path, params: str, reason: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"model_list: [{{model_name: a, litellm_params: {params}}}, {{nothing: 1}}, text]", encoding="utf-8"
    )
    migration = read_litellm(path)
    assert migration.model_names == ()
    assert any(re.search(reason, note.text) for note in migration.left)
    assert "hush-9" not in repr(migration)


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for content in ("a: 1", "- 1", "", "model_list: {}"):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match="no model_list in it"):
            read_litellm(path)
