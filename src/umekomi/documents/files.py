"""Which files of the given paths are read: folders with all below them, in one order, each file once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from umekomi.documents.readers.kinds import SUFFIXES
from umekomi.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read."""

    path: Path


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that is not read, and why."""

    path: Path
    why: str


def find_files(paths: Iterable[Path]) -> Iterator[Found | Skipped]:
    """What stands at and below ``paths``, sorted by name within each folder.

    Hidden files and folders are skipped within folders, and so are links to folders, which may lead in circles or
    out of the folder; a link to a file is followed. Whoever names a file outright gets it. Raises `InvalidInput`
    for a path that does not exist.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        try:
            is_folder = path.is_dir()
            exists = path.exists()
        except (OSError, ValueError) as error:  # a name too long, or with NUL in it
            raise InvalidInput(f"{path!r}: {error}") from None
        if not exists:
            raise InvalidInput(f"{path}: no such file or folder")
        for found in _walk(path) if is_folder else (Found(path),):
            yield _once(found, seen)


def _once(found: Found | Skipped, seen: set[tuple[int, int]]) -> Found | Skipped:
    if isinstance(found, Skipped):
        return found
    try:
        status = found.path.stat()
    except OSError:
        return found  # read_file says why
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return Skipped(found.path, "the same file as one before, by another path")
    seen.add(key)
    return found


def _walk(folder: Path) -> Iterator[Found | Skipped]:
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield Skipped(here, f"folder cannot be read: {error.strerror or error}")
            continue
        folders: list[Path] = []
        for entry in ordered:
            path = here / entry.name
            if entry.name.startswith((".", "~$")):
                yield Skipped(path, "hidden")
            elif entry.is_dir(follow_symlinks=False):
                folders.append(path)
            else:
                yield _file(entry, path)
        waiting += reversed(folders)


def _file(entry: os.DirEntry[str], path: Path) -> Found | Skipped:
    try:
        if entry.is_symlink() and entry.is_dir():
            return Skipped(path, "a link to a folder: name the folder itself")
        if not entry.is_file():
            return Skipped(path, "a broken link" if entry.is_symlink() else "no plain file")
    except OSError as error:  # a link to itself
        return Skipped(path, f"cannot be followed: {error.strerror or error}")
    if path.suffix.lower() not in SUFFIXES:
        return Skipped(
            path, f"no reader for '{path.suffix}'" if path.suffix else "no suffix: name it to have it read"
        )
    return Found(path)
