"""What is known of a data set beside its rows, in a small JSON file next to it: licence, language, preparation."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from umekomi.embedding.files import manifest_path
from umekomi.writing import replacing

_KEY = "umekomi_dataset"
_VERSION = 1
_MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Description:
    """The fields are those of `Origin`."""

    licence: str = ""
    language: str = ""
    preparation: tuple[str, ...] = ()


def write_description(path: Path, description: Description) -> None:
    """Write ``PATH.json`` beside the data set at ``path``. Raises `StoreError`."""
    content = {_KEY: _VERSION, **asdict(description)}
    with replacing(manifest_path(path)) as out:
        out.write(json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n")


def read_description(path: Path) -> Description:
    """What ``PATH.json`` says; nothing where there is no such file, or it is about something else."""
    beside = manifest_path(path)
    try:
        if not beside.is_file() or beside.stat().st_size > _MAX_BYTES:
            return Description()
        content = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError):
        return Description()
    if not isinstance(content, dict) or content.get(_KEY) != _VERSION:
        return Description()
    preparation = content.get("preparation")
    return Description(
        licence=str(content.get("licence", "")),
        language=str(content.get("language", "")),
        preparation=tuple(map(str, preparation)) if isinstance(preparation, list) else (),
    )
