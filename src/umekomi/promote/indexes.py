"""Vectors on disk that another model made than the one that answers now, and how each is made anew."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umekomi.config import ModelSettings

SUFFIXES = (".jsonl.json", ".npy.json", ".parquet.json")
"""Manifests, as ``umekomi embed`` writes them beside its vectors."""

MOST_ENTRIES = 200_000
_PASSED_OVER = frozenset({"node_modules", "__pycache__"})


@dataclass(frozen=True, slots=True)
class StaleVectors:
    """Vectors of the model that answered before.

    command   what makes them anew from the same texts; None where nobody noted which those were
    """

    path: Path
    count: int | None
    command: str | None


@dataclass(frozen=True, slots=True)
class Search:
    """What a search through folders came to. ``whole``: False where it stopped at `MOST_ENTRIES`."""

    stale: tuple[StaleVectors, ...]
    folders: tuple[Path, ...]
    whole: bool = True


def find_stale(folders: Sequence[Path], fingerprints: Sequence[str], model: ModelSettings) -> Search:
    """Vectors in or below ``folders`` whose manifest has one of ``fingerprints``; ``model`` is who answers now."""
    manifests: dict[Path, None] = {}
    whole = True
    for folder in folders:
        budget = MOST_ENTRIES
        for path in _iter_files(folder):
            budget -= 1
            if path.name.endswith(SUFFIXES):
                manifests[path.resolve()] = None
            if budget <= 0:
                whole = False
                break
    found = (_stale(path, fingerprints, model) for path in sorted(manifests))
    return Search(tuple(each for each in found if each is not None), tuple(folders), whole)


def _iter_files(folder: Path) -> Iterator[Path]:
    for root, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in _PASSED_OVER)
        yield from (Path(root, name) for name in sorted(files))


def _stale(manifest: Path, fingerprints: Sequence[str], model: ModelSettings) -> StaleVectors | None:
    try:
        content = json.loads(manifest.read_bytes())
        if content["fingerprint"] not in fingerprints:
            return None
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    vectors = manifest.with_suffix("")
    count = content.get("count")
    return StaleVectors(vectors, count if isinstance(count, int) else None, _command(content, vectors, model))


def _command(manifest: dict[str, Any], vectors: Path, model: ModelSettings) -> str | None:
    source = _texts_of(manifest, vectors)
    if source is None:
        return None
    words = ["umekomi", "embed", *source, "--model", model.open_name, "--precision", model.precision]
    for flag in ("role", "truncation", "dimensions"):
        value = manifest.get(flag)
        if isinstance(value, str | int) and not isinstance(value, bool):
            words += [f"--{flag}", str(value)]
    return shlex.join([*words, "--output", str(vectors)])


def _texts_of(manifest: dict[str, Any], vectors: Path) -> list[str] | None:
    """The flags that name the texts: those of the run that made the vectors, else the texts beside the vectors."""
    given = manifest.get("input")
    if isinstance(given, dict) and isinstance(given.get("file"), str) and Path(given["file"]).is_file():
        words = ["--file", given["file"]]
        for flag in ("column", "encoding"):
            if isinstance(given.get(flag), str):
                words += [f"--{flag}", given[flag]]
        return words
    if vectors.suffix == ".jsonl" and vectors.is_file():
        return ["--file", str(vectors), "--column", "text"]
    return None
