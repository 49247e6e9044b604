"""Whatever another server's configuration holds, the import ends in a file that loads, or in one clear error."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from umekomi.config import load_settings
from umekomi.errors import ConfigError
from umekomi.migrate.draft import Migration, write_settings
from umekomi.migrate.fastchat import read_fastchat
from umekomi.migrate.litellm import read_litellm
from umekomi.migrate.localai import read_localai

WORDS = """
    a b gpt-4 埋め込み x.gguf org/model openai/x on huggingface://o/r/f.gguf http://h/v1/x os.environ/KEY http://u:p@h/v1
    mean parallel:2 rerank embedding ~no-such-user/x
"""
words = st.sampled_from([*WORDS.split(), "", " ", "x" * 300, "\x00"])
scalars = st.one_of(words, st.integers(), st.floats(), st.booleans(), st.none())
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6
)


def mapping(*names: str, **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    keys = dict.fromkeys(names, scalars | anything) | {name: part | anything for name, part in parts.items()}
    return st.fixed_dictionaries({}, optional=keys)


localai_models = mapping(
    *("backend", "embeddings", "context_size", "threads", "f16", "gpu_layers", "flash_attention", "options"),
    *("alias", "failover", "pinned", "known_usecases", "template", "reranking", "disabled"),
    name=words,
    parameters=mapping("model", "pooling", "temperature"),
    proxy=mapping("upstream_url", "upstream_model", "api_key_env", "provider", "request_timeout_seconds"),
)
deployments = mapping(
    model_name=words,
    litellm_params=mapping("model", "api_base", "api_key", "timeout", "num_retries", "custom_llm_provider", "rpm"),
    model_info=mapping("mode", "id"),
)
router = mapping("fallbacks", "model_group_alias", "num_retries", "timeout", "default_fallbacks", "request_timeout")


def check(content: Any, read: Callable[[Path], Migration]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, target = Path(folder, "config.yaml"), Path(folder, "umekomi.yaml")
        path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        try:
            migration = read(path)
        except ConfigError as error:
            assert "\n" not in str(error)
            return
        write_settings(migration.settings, target, made_by="a test")
        loaded = load_settings(target)
        assert tuple(model.name for model in loaded.models) == migration.model_names


@settings(deadline=None, max_examples=150)
@given(st.lists(localai_models, max_size=4))
def test_localai(models: list[dict[str, Any]]) -> None:
    check(models, read_localai)


@settings(deadline=None, max_examples=150)
@given(st.lists(deployments, max_size=4), router | anything, router)
def test_litellm(listed: list[dict[str, Any]], first: Any, second: dict[str, Any]) -> None:
    content = {
        "model_list": listed,
        "router_settings": first,
        "litellm_settings": second,
        "general_settings": first,
    }
    check(content, read_litellm)


flags = st.sampled_from(
    ["--model-path", "--model-names", "--host", "--port", "--model", "--revision", "--seed", "-x"]
)
programs = st.sampled_from(["model_worker", "openai_api_server", "controller", "cli"]).map(
    "fastchat.serve.{}".format
)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.one_of(flags, words, programs, st.sampled_from(["python3", "-m", "&", "8000", "$M"])), max_size=20)
)
def test_fastchat(line: list[str]) -> None:
    check(None, lambda _: read_fastchat(line))


@pytest.mark.parametrize("name", ["x" * 300, f"{'x' * 300}.gguf", "~no-such-user/x"])
def test_a_model_name_that_no_path_can_have_is_carried_over(tmp_path: Path, name: str) -> None:
    config = tmp_path / "m.yaml"
    config.write_text(yaml.safe_dump({"name": "m", "embeddings": True, "parameters": {"model": name}}))
    worker = ["fastchat.serve.model_worker", "--model-path", name, "--model-names", "m"]
    for migration in (read_localai(config), read_fastchat(worker)):
        (model,) = migration.settings["models"]
        assert name in model["source"]
