"""training.json: what a folder's training was begun with, so that no other goes on in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from umekomi.errors import ConfigError, StoreError
from umekomi.writing import replacing

JOURNAL = "training.json"
LEAKAGE = "leakage.jsonl"
SCHEMA = "umekomi-training-1"

_OWN = (JOURNAL, LEAKAGE, "run.lock")
"""What a run that failed at its start may have left."""


def check_folder(folder: Path, *, resume: bool) -> None:
    """Make ``folder``. Raises `ConfigError` where it holds something else, or a training that is not to go on."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ConfigError(f"--output {folder}: cannot be used: {error.strerror or error}") from None
    if JOURNAL in names:
        if not resume:
            raise ConfigError(
                f"--output {folder}: holds a training already; go on with it by --resume, or choose another folder"
            )
        return
    if foreign := [name for name in names if name not in _OWN]:
        raise ConfigError(
            f"--output {folder}: the folder holds '{foreign[0]}' and no {JOURNAL}; name a new or an empty folder"
        )


def begin(folder: Path, what: Mapping[str, Any]) -> None:
    """Note what a training is begun with. Raises `ConfigError`, naming what differs, where that was another one."""
    path = folder / JOURNAL
    now = orjson.loads(orjson.dumps({"schema": SCHEMA, **what}))
    if not path.exists():
        with replacing(path) as out:
            out.write(orjson.dumps(now, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        return
    try:
        before = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        before = None
    if not isinstance(before, dict):
        raise StoreError(f"{path}: cannot be read; choose another --output")
    differences = list(_differences(before, now))
    if differences:
        raise ConfigError(
            f"--resume: {folder} was begun with something else: {'; '.join(differences[:5])}; "
            "give the same again, or choose another --output"
        )


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """Every value in which two JSON contents differ, by its path."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            yield from _differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif before != now:
        yield f"{name} was {_shown(before)} and is {_shown(now)}"


def _shown(value: Any) -> str:
    return orjson.dumps(value).decode()[:60]
