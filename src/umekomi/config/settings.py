"""The whole of umekomi.yaml, and what is served where it says nothing."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from umekomi.config.models import ModelSettings
from umekomi.config.section import Section
from umekomi.config.server import KeySettings, Limits, RequestLogSettings, ServerSettings, TracingSettings
from umekomi.extras import is_installed

DEFAULT_MODEL = "multilingual-e5-small"
OPENAI_ALIASES = ("text-embedding-ada-002", "text-embedding-3-small", "text-embedding-3-large")
"""Names that OpenAI clients ask for out of the box; aliases of the default model unless a model claims them."""

DEFAULT_CHAT_MODEL = "smollm2-135m-instruct"
OPENAI_CHAT_ALIASES = ("gpt-3.5-turbo", "gpt-4o-mini")
"""The same for the default chat model."""

CHAT_ENGINE = "xllamacpp"
"""The package that runs chat models; the extra ``llm`` has it."""


class Settings(Section):
    """The whole of umekomi.yaml."""

    models: tuple[ModelSettings, ...] = Field(
        default=(),
        description="Served models; of each kind, the first is the default. Without any, the starters are served.",
    )
    server: ServerSettings = Field(default_factory=ServerSettings, description="Where the server listens.")
    limits: Limits = Field(default_factory=Limits, description="What a single request may ask for.")
    threads: int | None = Field(default=None, ge=1, description="Threads for inference; all cores by default.")
    memory_budget_bytes: int | None = Field(
        default=None, ge=1, description="Memory for models, over which the least recently used is unloaded."
    )
    single_active: bool = Field(
        default=False, description="Keep one model in memory at a time, beside pinned ones."
    )
    keys: KeySettings = Field(default_factory=KeySettings, description="Where API keys and usage are kept.")
    request_log: RequestLogSettings = Field(
        default_factory=RequestLogSettings, description="A line of JSON for each request, without its text."
    )
    tracing: TracingSettings = Field(
        default_factory=TracingSettings, description="Where OpenTelemetry spans are sent."
    )

    @field_validator("models")
    @classmethod
    def _names_are_unique(cls, models: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        seen: dict[str, str] = {}
        for model in models:
            for name in (model.name, *model.aliases):
                if name in seen:
                    raise ValueError(f"the name '{name}' is taken twice: by '{seen[name]}' and by '{model.name}'")
                seen[name] = model.name
        return models

    @field_validator("models")
    @classmethod
    def _fallbacks_are_served(cls, models: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        served = {name: model.name for model in models for name in (model.name, *model.aliases)}
        for model in models:
            for fallback in model.fallbacks:
                if fallback not in served:
                    raise ValueError(f"the fallback '{fallback}' of '{model.name}' is no model of this file")
                if served[fallback] == model.name:
                    raise ValueError(f"the fallback '{fallback}' of '{model.name}' is the model itself")
        return models

    @model_validator(mode="after")
    def _limits_fit(self) -> Settings:
        if self.limits.max_request_tokens < self.limits.max_input_tokens:
            raise ValueError("limits.max_request_tokens is smaller than limits.max_input_tokens")
        if self.limits.bodies_bytes < self.limits.max_body_bytes:
            raise ValueError("limits.max_bodies_bytes is smaller than limits.max_body_bytes")
        return self

    def with_defaults(self) -> Settings:
        """These settings with the starters where no model is named, and OpenAI's names on the default models.

        Each starter is loaded at its first use, and the one for chat left out where its engine is not installed.
        The default chat model is the first whose ``kind`` says so; the default model for embeddings is the first
        other one that is no reranker, nor a remote model of unknown kind.
        """
        starters = tuple(ModelSettings(name=name, preload=False) for name in (DEFAULT_MODEL, DEFAULT_CHAT_MODEL))
        models = self.models or starters[: 2 if is_installed(CHAT_ENGINE) else 1]
        taken = {name for model in models for name in (model.name, *model.aliases)}
        embedding = next((model for model in models if _embeds(model)), None)
        chatting = next((model for model in models if _chats(model)), None)
        free = {
            model.name: tuple(alias for alias in aliases if alias not in taken)
            for model, aliases in ((embedding, OPENAI_ALIASES), (chatting, OPENAI_CHAT_ALIASES))
            if model is not None
        }
        named = (
            model.model_copy(update={"aliases": (*model.aliases, *free.get(model.name, ()))}) for model in models
        )
        return self.model_copy(update={"models": tuple(named)})


def _chats(model: ModelSettings) -> bool:
    return model.kind == "chat" or (model.kind == "auto" and model.open_name == DEFAULT_CHAT_MODEL)


def _embeds(model: ModelSettings) -> bool:
    """As far as settings tell. A remote model is often for chat, and nobody here can look."""
    if model.kind == "auto":
        return model.remote is None and not _chats(model)
    return model.kind == "embedding"


def json_schema() -> dict[str, Any]:
    """JSON Schema of umekomi.yaml, for editors."""
    schema = Settings.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "umekomi.yaml"
    return schema
