"""Which models to serve, and how: the command line over umekomi.yaml over the defaults."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from umekomi.config import ModelSettings, Settings
from umekomi.errors import ConfigError
from umekomi.models.names import find_path
from umekomi.serve.opening import known_capability
from umekomi.types import Precision


def select(
    settings: Settings,
    names: Sequence[str],
    *,
    host: str | None = None,
    port: int | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
) -> Settings:
    """``settings`` with what the command line says, and the defaults where neither says anything.

    A name that the configuration serves keeps its settings there; any other name is a model to open, served under
    its last part (``./models/my-e5`` as ``my-e5``; a hub id whole, without its revision). Raises `ConfigError`
    where two models would be served under one name, and for a fallback that would not be served.
    """
    configured = {model.name: model for model in settings.models}
    models = tuple(configured.get(name) or _named(name) for name in names) or settings.models
    models = tuple(_of_known_kind(model) for model in models)
    if precision is not None:
        models = tuple(model.model_copy(update={"precision": precision}) for model in models)
    _check_unique(models)
    _check_fallbacks(models)
    server = settings.server.model_copy(
        update={key: value for key, value in (("host", host), ("port", port)) if value is not None}
    )
    chosen = {"models": models, "server": server, "threads": threads or settings.threads}
    return settings.model_copy(update=chosen).with_defaults()


def served_name(name: str) -> str:
    """The name that clients use for a model opened as ``name``."""
    if path := find_path(name):
        resolved = path.resolve()
        return resolved.stem if resolved.suffix.lower() == ".gguf" else resolved.name
    return name.partition("@")[0]


def _named(name: str) -> ModelSettings:
    try:
        return ModelSettings(name=name and served_name(name), source=name)
    except ValidationError:
        shown = repr(name) if len(name) <= 100 else f"{name[:97]!r}…"
        raise ConfigError(
            f"{shown} cannot be served by its name, which is empty or very long; give a folder, a hub id or a "
            "starter's name, or name the model in umekomi.yaml"
        ) from None


def _of_known_kind(model: ModelSettings) -> ModelSettings:
    """``model`` with its kind where that can be told without opening it, so that it gets its kind's aliases."""
    kind = known_capability(model)
    return model if kind is None or kind == model.kind else model.model_copy(update={"kind": kind})


def _check_fallbacks(models: Sequence[ModelSettings]) -> None:
    served = {name for model in models for name in (model.name, *model.aliases)}
    for model in models:
        for fallback in model.fallbacks:
            if fallback not in served:
                raise ConfigError(
                    f"'{model.name}' falls back on '{fallback}', which is not served; name it as well"
                )


def _check_unique(models: Sequence[ModelSettings]) -> None:
    seen: set[str] = set()
    for model in models:
        for name in (model.name, *model.aliases):
            if name in seen:
                raise ConfigError(f"two models would be served as '{name}'; give one another name in umekomi.yaml")
            seen.add(name)
