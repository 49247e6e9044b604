"""umekomi.yaml and the environment, as frozen settings. The only reader of ``os.environ``.

Keys are checked strictly: an unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

import platformdirs
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from umekomi.errors import ConfigError
from umekomi.extras import is_installed
from umekomi.types import Precision, Role, Truncation

DEFAULT_MODEL = "multilingual-e5-small"
OPENAI_ALIASES = ("text-embedding-ada-002", "text-embedding-3-small", "text-embedding-3-large")
"""Names that OpenAI clients ask for out of the box; aliases of the default model unless a model claims them."""

DEFAULT_CHAT_MODEL = "smollm2-135m-instruct"
OPENAI_CHAT_ALIASES = ("gpt-3.5-turbo", "gpt-4o-mini")
"""The same for the default chat model."""

CHAT_ENGINE = "xllamacpp"
"""The package that runs chat models; the extra ``llm`` has it."""

TokenVocabulary: TypeAlias = Literal["cl100k_base", "o200k_base", "model"]
"""Which vocabulary token-id inputs are in: OpenAI's (what clients send), or the model's own."""

ModelKind: TypeAlias = Literal["auto", "embedding", "chat", "rerank"]
"""What a served model is for; auto reads it from the model's files."""

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]
VariableName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def _checked_base_url(value: str) -> str:
    """A server's address as clients prepend it to ``/embeddings``: no trailing slash, and no secret in it."""
    try:
        address = urlsplit(value)
        port = address.port
    except ValueError as error:
        raise ValueError(f"not an address: {error}") from None
    if address.scheme not in ("http", "https") or not address.hostname or port == 0:
        raise ValueError("must be an address such as http://127.0.0.1:8080/v1")
    if address.username is not None or address.query or address.fragment:
        raise ValueError("must hold no user, query or fragment; name the variable of a key in api_key_env")
    return value.rstrip("/")


BaseUrl: TypeAlias = Annotated[str, AfterValidator(_checked_base_url)]


class Section(BaseModel):
    """A part of umekomi.yaml: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LlamaSettings(Section):
    """How llama.cpp runs a GGUF file; the keys are llama-server's."""

    chat_template: str | None = Field(
        default=None, description="Jinja template, or the name of one that llama.cpp knows; else the file's own."
    )
    ctx_size: int | None = Field(
        default=None, ge=0, description="Context in tokens, shared by all slots; 0 takes the model's own."
    )
    n_gpu_layers: int | None = Field(default=None, ge=-1, description="Layers to keep on the GPU; -1 for all.")
    parallel: int | None = Field(default=None, ge=1, description="Slots: requests that run at the same time.")
    threads: int | None = Field(default=None, ge=1, description="Threads of this model; else the server's.")
    flash_attn: Literal["auto", "on", "off"] = Field(default="auto", description="Flash attention.")
    pooling: Literal["mean", "cls", "last"] | None = Field(
        default=None, description="How the vectors of tokens become one; else as the file says."
    )

    @field_validator("flash_attn", mode="before")
    @classmethod
    def _yaml_switch(cls, value: Any) -> Any:
        """YAML reads an unquoted ``on`` as true."""
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class Replica(Section):
    """A further server for a remote model. It gets no key but its own."""

    base_url: BaseUrl = Field(description="Address up to and including /v1.")
    model: Name | None = Field(default=None, description="The model's name there; else as on the first server.")
    api_key_env: VariableName | None = Field(
        default=None, description="Environment variable with its key; without one, no key is sent."
    )


class RemoteSettings(Section):
    """An OpenAI-compatible server that runs the model."""

    base_url: BaseUrl = Field(description="Address up to and including /v1.")
    model: Name | None = Field(default=None, description="The model's name there; else the name here.")
    api_key_env: VariableName | None = Field(
        default=None, description="Environment variable with the key; the key itself is never in this file."
    )
    timeout_s: float = Field(default=60.0, gt=0, description="Longest wait for an answer to begin, in seconds.")
    max_retries: int = Field(default=2, ge=0, le=10, description="Further tries after a failure that may pass.")
    replicas: tuple[Replica, ...] = Field(
        default=(), description="Further servers of the same model; the least busy one is asked."
    )


class ModelSettings(Section):
    """One served model."""

    name: Name = Field(description="Name that clients ask for.")
    source: str | None = Field(
        default=None,
        description="Folder, hub id with optional @revision, GGUF file or starter name; else the name itself.",
    )
    kind: ModelKind = Field(default="auto", description="What the model is for; auto reads it from its files.")
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
    keep_alive_s: float | None = Field(
        default=900.0, ge=0, description="Seconds without a request after which the model is unloaded; null: never."
    )
    pinned: bool = Field(default=False, description="Never unload, neither when idle nor to make room.")
    llama: LlamaSettings | None = Field(default=None, description="How llama.cpp runs the model.")
    remote: RemoteSettings | None = Field(default=None, description="Server that runs the model instead of us.")
    fallbacks: tuple[Name, ...] = Field(
        default=(),
        description="Models to ask in this order where this one fails; their own fallbacks are not followed.",
    )

    @model_validator(mode="after")
    def _runs_in_one_place(self) -> ModelSettings:
        if self.remote is not None and (self.source is not None or self.llama is not None):
            raise ValueError("a remote model has neither source nor llama: its server decides how it runs")
        return self

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


class KeySettings(Section):
    """Where API keys and usage are kept. With the first key, every request needs one."""

    file: Path | None = Field(default=None, description="SQLite file; else server.sqlite in the store's folder.")

    @property
    def database(self) -> Path:
        return self.file.expanduser() if self.file else home() / "server.sqlite"


class RequestLogSettings(Section):
    """A line of JSON for each request, without its text."""

    file: Path | None = Field(default=None, description="File to write; without it there is no request log.")
    max_file_bytes: int = Field(default=50_000_000, ge=4096, description="Size at which a new file is begun.")
    max_files: int = Field(default=5, ge=1, description="Files to keep, the one being written included.")


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
        return self

    def with_defaults(self) -> Settings:
        """These settings with the starters where no model is named, and OpenAI's names on the default models.

        The starter for chat is loaded at its first use, and left out where its engine is not installed. The default
        chat model is the first whose ``kind`` says so; the default model for embeddings is the first other one.
        """
        starters = (ModelSettings(name=DEFAULT_MODEL), ModelSettings(name=DEFAULT_CHAT_MODEL, preload=False))
        models = self.models or starters[: 2 if is_installed(CHAT_ENGINE) else 1]
        taken = {name for model in models for name in (model.name, *model.aliases)}
        embedding = next((model for model in models if not _chats(model) and model.kind != "rerank"), None)
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
        raise ConfigError(f"{path}: not valid YAML: {_yaml_problem(error)}") from None
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


_MAY_HOLD_SECRETS = frozenset({"base_url", "api_key_env"})
"""Keys into which people paste a password or a key by mistake: their values are not repeated in messages."""


def _yaml_problem(error: yaml.YAMLError) -> str:
    """Where and what, without the parser's drawing of the line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())


def _explain(detail: ErrorDetails, content: Any) -> str:
    """One validation problem in a person's words: where, what, and the nearest known key."""
    where = ".".join(str(part) for part in detail["loc"]) or "the file"
    if detail["type"] != "extra_forbidden":
        message = detail["msg"].removeprefix("Value error, ")
        hidden = detail["loc"] == () or detail["loc"][-1] in _MAY_HOLD_SECRETS
        return f"{where}: {message}" + ("" if hidden else f" (got {_short(detail['input'])})")
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
