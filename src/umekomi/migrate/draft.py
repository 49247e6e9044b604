"""A umekomi.yaml in the making: models, their aliases and fallbacks, kept such that the whole always loads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from umekomi.config import ModelSettings, Settings
from umekomi.errors import ConfigError, StoreError
from umekomi.migrate.ledger import Ledger, Note

MAX_FILE_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class Migration:
    """A configuration as umekomi.yaml holds it, and the account of what became of the other one."""

    settings: Mapping[str, Any]
    carried: tuple[Note, ...]
    left: tuple[Note, ...]

    @property
    def model_names(self) -> tuple[str, ...]:
        return tuple(model["name"] for model in self.settings.get("models", ()))


class Draft:
    """Collects models. What does not fit, such as a name that is taken, goes into the ledger instead."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.settings: dict[str, Any] = {}
        self._models: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}

    def add(self, model: dict[str, Any], *, place: str) -> bool:
        """Add a model, as umekomi.yaml writes it. False, with a note, where it cannot be served."""
        name = model.get("name")
        try:
            ModelSettings.model_validate(model)
        except ValidationError as error:
            detail = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in detail["loc"])
            self.ledger.leave(
                place, str(name), f"{where}: {detail['msg'].removeprefix('Value error, ')}".strip(": ")
            )
            return False
        assert isinstance(name, str)
        if name in self._names:
            self.ledger.leave(place, name, f"the name is taken by another model, '{self._names[name]}'")
            return False
        aliases = model.pop("aliases", ())
        self._models[name] = model
        self._names[name] = name
        for alias in aliases:
            self.add_alias(alias, name, place=place, key=name)
        return True

    def find(self, name: str) -> dict[str, Any] | None:
        """The model of that name or alias."""
        return self._models[self._names[name]] if name in self._names else None

    def add_alias(self, alias: str, target: str, *, place: str, key: str) -> None:
        model = self.find(target)
        if model is None:
            self.ledger.leave(place, key, f"alias '{alias}': its model '{target}' was not carried over")
        elif alias in self._names:
            self.ledger.leave(place, key, f"alias '{alias}': the name is taken by '{self._names[alias]}'")
        elif not 1 <= len(alias) <= 256:
            self.ledger.leave(place, key, f"alias of {len(alias)} characters; 1 to 256 are possible")
        else:
            model.setdefault("aliases", []).append(alias)
            self._names[alias] = model["name"]
            self.ledger.carry(place, key, f"aliases of {model['name']}: {alias}")

    def add_fallbacks(self, name: str, fallbacks: Iterable[str], *, place: str, key: str) -> None:
        """Models to ask after ``name``, which may stand anywhere in the draft. Call it when all models are in."""
        model = self.find(name)
        if model is None:
            self.ledger.leave(place, key, f"'{name}' was not carried over")
            return
        for fallback in fallbacks:
            known = self.find(fallback)
            if known is None or known is model:
                why = "was not carried over" if known is None else "is the model itself"
                self.ledger.leave(place, key, f"fallback '{fallback}' of '{name}': {why}")
            elif fallback not in model.get("fallbacks", ()):
                model.setdefault("fallbacks", []).append(fallback)
                self.ledger.carry(place, key, f"fallbacks of {model['name']}: {fallback}")

    def models(self) -> list[dict[str, Any]]:
        return list(self._models.values())

    def finish(self) -> Migration:
        settings = {"models": self.models()} | self.settings if self._models else dict(self.settings)
        Settings.model_validate(settings)  # a bug of ours, not of the file, where this raises
        return Migration(settings, tuple(self.ledger.carried), tuple(self.ledger.left))


def read_yaml(path: Path) -> list[Any]:
    """The documents of a YAML file, empty ones left out.

    Raises `ConfigError`, which quotes nothing of the file: such files hold keys.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: over {MAX_FILE_BYTES} bytes, too large for a configuration")
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8-sig")))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}: not valid YAML in line {line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(f"{path}: not valid YAML") from None
    return [document for document in documents if document is not None]


def write_settings(settings: Mapping[str, Any], path: Path, *, made_by: str, force: bool = False) -> None:
    """Write umekomi.yaml whole or not at all. Raises `ConfigError` where it exists and ``force`` is not given."""
    if path.exists() and not force:
        raise ConfigError(f"{path}: exists already; give --output another name, or --force to replace it")
    body = yaml.safe_dump(dict(settings), allow_unicode=True, sort_keys=False, width=110)
    text = f"# Made by `{made_by}`. `umekomi config check` says what it would serve.\n{body}"
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if force:
            partial.replace(path)
        else:
            os.link(partial, path)  # unlike a rename, this never replaces a file that has come since
    except FileExistsError:
        raise ConfigError(f"{path}: exists already; give --output another name, or --force to replace it") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
