"""umekomi.yaml and the environment, as frozen settings. The only reader of ``os.environ``.

Keys are checked strictly: an unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

import platformdirs
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from umekomi.errors import ConfigError
from umekomi.types import Precision, Role, Truncation

DEFAULT_MODEL = "multilingual-e5-small"
OPENAI_ALIASES = ("text-embedding-ada-002", "text-embedding-3-small", "text-embedding-3-large")
"""Names that OpenAI clients ask for out of the box; aliases of the default model unless a model claims them."""

TokenVocabulary: TypeAlias = Literal["cl100k_base", "o200k_base", "model"]
"""Which vocabulary token-id inputs are in: OpenAI's (what clients send), or the model's own."""

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]


class Section(BaseModel):
    """A part of umekomi.yaml: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSettings(Section):
    """One served model."""

    name: Name = Field(description="Name that clients ask for.")
    source: str | None = Field(
        default=None,
        description="Folder, hub id with optional @revision, GGUF file or starter name; else the name itself.",
    )
    engine: str = Field(default="auto", description="auto, or the name of an engine.")
    precision: Precision = Field(default="fp32", description="fp32, or int8 for about three times the speed.")
    role: Role = Field(
        default="raw",
        description="Role of inputs whose request names none: raw sends text as it is, query and document add "
        "the model's prompt.",
    )
    prompts: dict[Literal["query", "document"], str] = Field(
        default_factory=dict, description="Prompts that replace the model's own, by role."
    )
    truncation: Truncation = Field(
        default="end",
        description="What to do with a text longer than the model's context: error, end or start.",
    )
    token_ids: TokenVocabulary = Field(
        default="cl100k_base", description="Vocabulary of token-id inputs; 'model' for the model's own."
    )
    aliases: tuple[Name, ...] = Field(default=(), description="Further names for the same model.")
    preload: bool = Field(default=True, description="Load at start rather than at the first request.")

    @property
    def open_name(self) -> str:
        return self.source or self.name


class Limits(Section):
    """What a single request may ask for."""

    max_inputs: int = Field(default=2048, ge=1, description="Inputs in one request.")
    max_input_tokens: int = Field(default=8192, ge=1, description="Tokens in one input, before truncation.")
    max_request_tokens: int = Field(default=300_000, ge=1, description="Tokens in one request, before truncation.")
    max_body_bytes: int = Field(default=15_000_000, ge=1024, description="Size of a request body.")
    max_queued_tokens: int = Field(
        default=2_000_000, ge=1, description="Tokens waiting for a model, over which requests get 429."
    )


class ServerSettings(Section):
    """Where the server listens."""

    host: str = Field(default="127.0.0.1", description="Address to bind; loopback unless told.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to bind; 0 takes a free one.")


class Settings(Section):
    """The whole of umekomi.yaml."""

    models: tuple[ModelSettings, ...] = Field(
        default=(),
        description="Served models; the first is the default. Without any, the starter model is served.",
    )
    server: ServerSettings = Field(default_factory=ServerSettings, description="Where the server listens.")
    limits: Limits = Field(default_factory=Limits, description="What a single request may ask for.")
    threads: int | None = Field(default=None, ge=1, description="Threads for inference; all cores by default.")

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

    @model_validator(mode="after")
    def _limits_fit(self) -> Settings:
        if self.limits.max_request_tokens < self.limits.max_input_tokens:
            raise ValueError("limits.max_request_tokens is smaller than limits.max_input_tokens")
        return self

    def with_defaults(self) -> Settings:
        """These settings with the starter model where none is named, and OpenAI's names on the default model."""
        models = self.models or (ModelSettings(name=DEFAULT_MODEL),)
        taken = {name for model in models for name in (model.name, *model.aliases)}
        free = tuple(alias for alias in OPENAI_ALIASES if alias not in taken)
        first = models[0].model_copy(update={"aliases": (*models[0].aliases, *free)})
        return self.model_copy(update={"models": (first, *models[1:])})


def load_settings(path: Path | None = None) -> Settings:
    """Settings from ``path``, else from ``$UMEKOMI_CONFIG``, else the defaults.

    Raises `ConfigError` where the file cannot be read, is not YAML, or has unknown keys or wrong values.
    """
    if path is None and (named := os.environ.get("UMEKOMI_CONFIG")):
        path = Path(named)
    if path is None:
        return Settings()
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {_one_line(str(error))}") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: the top level must be a mapping with keys such as 'models'")
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_explain(detail, content) for detail in error.errors())
        raise ConfigError(f"{path}: {problems}") from None


def home() -> Path:
    """Folder of the model store: ``$UMEKOMI_HOME``, else the user's data folder by XDG."""
    named = os.environ.get("UMEKOMI_HOME")
    return Path(named).expanduser() if named else Path(platformdirs.user_data_path("umekomi"))


def hub_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` forbids every request to the hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}


def disable_hub_telemetry() -> None:
    """Tell the hub's client, before its first import, not to report more than a request needs.

    By default it names torch's version and the calling program in every request, and fetches a list of programs to
    know them by. A user who sets ``HF_HUB_DISABLE_TELEMETRY`` decides for himself.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def api_key() -> str | None:
    """Key for a server that the command line asks, from ``$UMEKOMI_API_KEY``."""
    return os.environ.get("UMEKOMI_API_KEY") or None


def json_schema() -> dict[str, Any]:
    """JSON Schema of umekomi.yaml, for editors."""
    schema = Settings.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "umekomi.yaml"
    return schema


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _explain(detail: ErrorDetails, content: Any) -> str:
    """One validation problem in a person's words: where, what, and the nearest known key."""
    where = ".".join(str(part) for part in detail["loc"]) or "the file"
    if detail["type"] != "extra_forbidden":
        message = detail["msg"].removeprefix("Value error, ")
        return f"{where}: {message}" + ("" if detail["loc"] == () else f" (got {_short(detail['input'])})")
    known = _known_keys(detail["loc"][:-1])
    near = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
    return f"{where}: unknown key; {hint}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """Keys that the section at ``loc`` may have."""
    section: type[BaseModel] = Settings
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = section.model_fields[part].annotation if part in section.model_fields else None
        candidates = [annotation, *get_args(annotation)]
        nested = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not nested:
            return []
        section = nested[0]
    return sorted(section.model_fields)
