"""Reads umekomi.yaml strictly: an unknown key is an error that names the nearest known one."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from umekomi.config.environment import named_config
from umekomi.config.settings import Settings
from umekomi.errors import ConfigError


def load_settings(path: Path | None = None) -> Settings:
    """Settings from ``path``, else from ``$UMEKOMI_CONFIG``, else the defaults.

    Raises `ConfigError` where the file cannot be read, is not YAML, or has unknown keys or wrong values.
    """
    path = path or named_config()
    if path is None:
        return Settings()
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_settings(text, path)


def parse_settings(text: str, path: Path) -> Settings:
    """Settings from the text of umekomi.yaml; ``path`` is for messages. Raises `ConfigError` as `load_settings`."""
    try:
        content = yaml.safe_load(text)
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
