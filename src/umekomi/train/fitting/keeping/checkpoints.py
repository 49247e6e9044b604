"""Checkpoints that count only once they are whole: a list of their files, written last, says so."""

from __future__ import annotations

import shutil
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import orjson

from umekomi.errors import StoreError
from umekomi.writing import replacing, sync_tree

SEAL = "whole.json"
PREFIX = "checkpoint-"

_PICKLED = "training_args.bin"
"""The trainer's own arguments as a pickle. They follow from our settings, and nobody need be tempted."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole one: weights, optimiser, schedule and random states after ``step`` steps, and its dev score if any.

    ``seconds`` is how long the steps took to make, over all runs.
    """

    step: int
    path: Path
    dev: float | None
    seconds: float = 0.0


def seal(path: Path, *, step: int, dev: float | None, seconds: float = 0.0) -> Checkpoint:
    """Say that the checkpoint in ``path`` is whole, once every byte of it is on the disk. Raises `StoreError`."""
    (path / _PICKLED).unlink(missing_ok=True)
    try:
        sync_tree(path)
        files = sorted(file for file in path.rglob("*") if file.is_file())
        sizes = {str(file.relative_to(path)): file.stat().st_size for file in files}
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from None
    with replacing(path / SEAL) as out:
        out.write(orjson.dumps({"step": step, "dev": dev, "seconds": seconds, "files": sizes}))
    return Checkpoint(step, path, dev, seconds)


def find_whole(folder: Path) -> list[Checkpoint]:
    """The whole checkpoints in ``folder``, by step. One that was cut short is as if it were not there."""
    found = [_read(path) for path in folder.glob(f"{PREFIX}*")] if folder.exists() else []
    return sorted((each for each in found if each is not None), key=lambda each: each.step)


def best_of(checkpoints: list[Checkpoint]) -> Checkpoint | None:
    """The one of the highest dev score, the earliest of equals; None where none was scored."""
    scored = [each for each in checkpoints if each.dev is not None]
    return max(scored, key=lambda each: (each.dev, -each.step), default=None)


def remove_others(folder: Path, *, keep: Container[int]) -> None:
    """Delete all checkpoints but the whole ones of the steps to ``keep``."""
    kept = {each.path for each in find_whole(folder) if each.step in keep}
    for path in folder.glob(f"{PREFIX}*"):
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def _read(path: Path) -> Checkpoint | None:
    try:
        content = orjson.loads((path / SEAL).read_bytes())
        whole = all((path / name).stat().st_size == size for name, size in content["files"].items())
        dev = None if content["dev"] is None else float(content["dev"])
        return Checkpoint(int(content["step"]), path, dev, float(content["seconds"])) if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def read_logged(checkpoint: Checkpoint, name: str) -> list[float]:
    """Every value that the trainer logged under ``name`` up to this checkpoint, in order."""
    path = checkpoint.path / "trainer_state.json"
    try:
        state = orjson.loads(path.read_bytes())
        return [float(entry[name]) for entry in state["log_history"] if name in entry]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: cannot be used: {error}; delete {checkpoint.path} to go on from the one before"
        ) from None
