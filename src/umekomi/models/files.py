"""Reading a model's small files with suspicion: bounded size, plain files only, no path out of the folder."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from umekomi.errors import BrokenModel

MAX_JSON_BYTES = 32 * 1024 * 1024
"""Over the largest index and configuration files there are; a tokenizer.json is not read here."""

_MAX_FRONT_MATTER = 64 * 1024


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises `BrokenModel` naming the file, and the place of the mistake."""
    try:
        return json.loads(_read_bounded(path).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BrokenModel(f"{path}: not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise BrokenModel(
            f"{path}: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise BrokenModel(f"{path}: not usable JSON: {error}") from None


def read_object(path: Path) -> dict[str, Any]:
    """The content of a JSON file that holds an object. Raises `BrokenModel`."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise BrokenModel(f"{path}: holds a {type(content).__name__}; expected a JSON object")
    return content


def read_optional_object(path: Path) -> dict[str, Any]:
    """As `read_object`; empty where there is no such file."""
    return read_object(path) if path.exists() else {}


def inside(folder: Path, relative: object, *, stated_in: Path) -> Path:
    """``folder / relative`` for a path that a model's file states. Raises `BrokenModel` where it leads outside.

    Symlinks are followed on purpose: the hub's cache consists of them. What a path leads to is only ever parsed
    as a model's file.
    """
    if not isinstance(relative, str) or "\\" in relative or "\0" in relative or ":" in relative:
        raise BrokenModel(f"{stated_in}: {relative!r} is no path inside the model's folder")
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts:
        raise BrokenModel(f"{stated_in}: the path {relative!r} leads out of the model's folder")
    return folder / path


def front_matter(readme: Path) -> dict[str, Any]:
    """The YAML block that opens a model card's README.md; empty where there is none that can be read."""
    try:
        if not readme.is_file():  # a pipe of that name would be waited for
            return {}
        with readme.open("rb") as file:
            head = file.read(_MAX_FRONT_MATTER).decode("utf-8", errors="replace")
    except OSError:
        return {}
    opening, _, rest = head.partition("\n")
    block, end, _ = rest.partition("\n---")
    if opening.strip() != "---" or not end:
        return {}
    try:
        content = yaml.safe_load(block)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _read_bounded(path: Path) -> bytes:
    try:
        if not path.is_file():
            state = "is not a plain file" if path.exists() else "is missing"
            raise BrokenModel(f"{path}: {state}")
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise BrokenModel(f"{path}: {size} bytes; the limit is {MAX_JSON_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise BrokenModel(f"{path}: cannot be read: {error.strerror}") from None
