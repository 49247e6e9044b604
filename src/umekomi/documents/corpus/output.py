"""The output of a run on disk: where it may go, what a killed run left of it, and copies of its parts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import IO, Final

from umekomi.errors import ConfigError

DOCUMENTS_FILE: Final = "documents.json"
_COPIED_BYTES: Final = 1 << 20


def check_folder(output: Path) -> None:
    if not output.parent.is_dir():
        raise ConfigError(f"{output}: the folder {output.parent} does not exist")
    if output.is_dir():
        raise ConfigError(f"{output}: is a folder; name a file in it, such as {output / 'corpus.jsonl'}")
    beside = output.parent / DOCUMENTS_FILE
    try:
        owner = json.loads(beside.read_bytes())["corpus"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError):
        raise ConfigError(f"{beside}: is none of ours; choose another folder for {output.name}") from None
    if owner != output.name:
        raise ConfigError(f"{beside}: belongs to {owner}; choose another folder for {output.name}")


def remove_leftovers(output: Path) -> None:
    """Half-written files of a run that was killed while it wrote its output."""
    for path in output.parent.iterdir():
        for name in (output.name, DOCUMENTS_FILE):
            if path.name.startswith(f".{name}.") and path.name.endswith(".partial"):
                path.unlink(missing_ok=True)


def copy_range(source: Path, start: int, length: int, out: IO[bytes]) -> None:
    with source.open("rb") as file:
        file.seek(start)
        while length and (block := file.read(min(length, _COPIED_BYTES))):
            out.write(block)
            length -= len(block)


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_COPIED_BYTES):
            digest.update(block)
    return digest.hexdigest()
