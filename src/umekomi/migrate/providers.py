"""Providers that LiteLLM names and that speak OpenAI's protocol, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider that speaks OpenAI's protocol: where, under which path, and where its key usually stands."""

    base_url: str | None = None
    path: str = ""
    key_env: str | None = None


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider("https://api.openai.com/v1", key_env="OPENAI_API_KEY"),
    "text-completion-openai": Provider("https://api.openai.com/v1", key_env="OPENAI_API_KEY"),
    "custom_openai": Provider(),
    "openai_like": Provider(),
    "litellm_proxy": Provider(),
    "hosted_vllm": Provider(),
    "vllm": Provider(),
    "lm_studio": Provider(),
    "llamafile": Provider("http://127.0.0.1:8080/v1"),
    "xinference": Provider("http://127.0.0.1:9997/v1"),
    "infinity": Provider(),
    "ollama": Provider("http://127.0.0.1:11434/v1", path="/v1"),
    "ollama_chat": Provider("http://127.0.0.1:11434/v1", path="/v1"),
    "groq": Provider("https://api.groq.com/openai/v1", key_env="GROQ_API_KEY"),
    "deepseek": Provider("https://api.deepseek.com/v1", key_env="DEEPSEEK_API_KEY"),
    "mistral": Provider("https://api.mistral.ai/v1", key_env="MISTRAL_API_KEY"),
    "together_ai": Provider("https://api.together.xyz/v1", key_env="TOGETHERAI_API_KEY"),
    "openrouter": Provider("https://openrouter.ai/api/v1", key_env="OPENROUTER_API_KEY"),
}
"""Addresses and variables as LiteLLM's own pages give them (2026-11)."""
