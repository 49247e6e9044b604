"""Where models, converted models and built graphs live on this machine: whole entries only, each with checksums.

    HOME/                         $UMEKOMI_HOME, else the user's data folder
    ├── models/KEY/               starter models, unpacked from their wheels
    ├── converted/KEY/            models turned from pickles into safetensors
    ├── graphs/KEY/               graphs that engines built
    │   ├── manifest.json         key, sha256 and size of every file, and what the builder said about it
    │   └── files/                the entry's files
    ├── snapshots/                what was pulled from the hub into the hub's own cache: commit and files
    ├── wheels/                   wheels that somebody put here by hand; read, never written
    ├── digests/                  remembered checksums of files elsewhere
    ├── locks/                    one lock for each entry
    └── building/                 entries that are being made; what a killed process left is swept at the next build

An entry is made in ``building`` under its lock, written through to the disk, and renamed into place: a reader sees
all of it or nothing. Reading takes no lock and writes nothing, so a read-only store serves.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from filelock import FileLock, Timeout

from umekomi.errors import BrokenModel, StoreError
from umekomi.models.digests import combine, sha256_of_file
from umekomi.writing import sync_path, sync_tree

Kind: TypeAlias = Literal["models", "converted", "graphs"]
KINDS: tuple[Kind, ...] = ("models", "converted", "graphs")

_MANIFEST = "manifest.json"
_FILES = "files"
_MAX_NAME = 120
"""Under the 255 bytes of file systems, with room for the prefixes of locks and building folders."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A whole entry. ``sizes`` and ``digests`` go by path inside ``files``; ``about`` is what its builder noted."""

    kind: Kind
    key: str
    files: Path
    sizes: Mapping[str, int]
    digests: Mapping[str, str]
    about: Mapping[str, Any]

    @property
    def size_bytes(self) -> int:
        return sum(self.sizes.values())


class Store:
    """The store in ``home``. Nothing is created before something is built."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @property
    def wheels(self) -> Path:
        """Folder for wheels put there by hand, on a machine that cannot fetch them."""
        return self.home / "wheels"

    @property
    def snapshots(self) -> Path:
        """Folder of notes on what was pulled from the hub."""
        return self.home / "snapshots"

    @property
    def digests(self) -> Path:
        """Folder of the digest cache."""
        return self.home / "digests"

    def find(self, kind: Kind, key: str) -> Entry | None:
        """The entry, None where there is none.

        Raises `BrokenModel` where a file is gone or has another size than it was made with, `StoreError` where the
        store cannot be read.
        """
        entry = self._read(self.place(kind, key))
        if entry is not None:
            _check_sizes(entry)
        return entry

    def build(
        self,
        kind: Kind,
        key: str,
        build: Callable[[Path], None],
        *,
        about: Mapping[str, Any] | None = None,
    ) -> Path:
        """Folder with the files of the entry; made by ``build(empty folder)`` unless it is there and whole.

        Any number of processes may ask at once: one builds, the others wait and use it. ``about`` must be JSON.
        Raises `StoreError` where the store cannot be written, and whatever ``build`` raises but `OSError`.
        """
        if entry := self._find_whole(kind, key):
            return entry.files
        with self._writing(f"{kind}/{key}"), self._lock(kind, key):
            if entry := self._find_whole(kind, key):
                return entry.files
            self._sweep(kind, key)
            self._discard(kind, key)
            temporary = self._temporary(kind, key)
            files = temporary / _FILES
            files.mkdir(parents=True)
            try:
                build(files)
                _write_manifest(temporary, kind, key, about or {})
                sync_tree(temporary)
                place = self.place(kind, key)
                place.parent.mkdir(parents=True, exist_ok=True)
                temporary.rename(place)
                sync_path(place.parent)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            return place / _FILES

    def entries(self, kind: Kind) -> list[Entry]:
        """All whole entries of one kind, by key. Entries whose manifest cannot be read are left out."""
        folder = self.home / kind
        try:
            places = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        except OSError as error:
            raise StoreError(f"the model store cannot be read: {folder}: {error.strerror}") from None
        entries: list[Entry] = []
        for place in places:
            with suppress(BrokenModel):
                if entry := self._read(place):
                    entries.append(entry)
        return sorted(entries, key=lambda entry: entry.key)

    def remove(self, kind: Kind, key: str) -> None:
        """Take the entry away, whole or damaged; a process with its files open keeps them. Raises `StoreError`."""
        with self._writing(f"{kind}/{key}"), self._lock(kind, key):
            self._discard(kind, key)

    def verify(self, entry: Entry, *, progress: Callable[[int], None] | None = None) -> list[str]:
        """One line for each file whose content is not what was stored; ``progress`` gets bytes read."""
        problems: list[str] = []
        for name, digest in entry.digests.items():
            path = entry.files / name
            try:
                if sha256_of_file(path) != digest:
                    problems.append(f"{path}: content differs from what was stored")
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")
            if progress:
                progress(entry.sizes[name])
        return problems

    def _find_whole(self, kind: Kind, key: str) -> Entry | None:
        """As `find`, but a damaged entry counts as none: it is about to be made anew."""
        try:
            return self.find(kind, key)
        except BrokenModel:
            return None

    def _discard(self, kind: Kind, key: str) -> None:
        place = self.place(kind, key)
        if place.exists():
            trash = self._temporary(kind, key)
            trash.parent.mkdir(parents=True, exist_ok=True)
            place.rename(trash)  # gone at once, so that nobody opens half an entry
            shutil.rmtree(trash)

    def _temporary(self, kind: Kind, key: str) -> Path:
        return self.home / "building" / f"{_lock_name(kind, key)}-{uuid.uuid4().hex}"

    def place(self, kind: Kind, key: str) -> Path:
        """The folder of an entry, whether it is there or not."""
        return self.home / kind / _file_name(key)

    def _read(self, place: Path) -> Entry | None:
        manifest = place / _MANIFEST
        try:
            content = json.loads(manifest.read_text(encoding="utf-8"))
            if content["kind"] not in KINDS:
                raise ValueError(content["kind"])
            listed = {str(name): (int(f["size"]), str(f["sha256"])) for name, f in content["files"].items()}
            return Entry(
                kind=content["kind"],
                key=str(content["key"]),
                files=place / _FILES,
                sizes={name: size for name, (size, _) in listed.items()},
                digests={name: digest for name, (_, digest) in listed.items()},
                about=dict(content["about"]),
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"the model store cannot be read: {manifest}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BrokenModel(f"{manifest}: damaged; remove the folder {place} and pull again") from None

    def _lock(self, kind: Kind, key: str) -> FileLock:
        folder = self.home / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{_lock_name(kind, key)}.lock")

    def _sweep(self, kind: Kind, key: str) -> None:
        """Remove what killed processes left in ``building``: every folder whose lock is free, or is ours."""
        building = self.home / "building"
        if not building.is_dir():
            return
        ours = _lock_name(kind, key)
        for left in building.iterdir():
            name = left.name.rpartition("-")[0]
            if name == ours:
                shutil.rmtree(left, ignore_errors=True)
                continue
            with suppress(Timeout), FileLock(self.home / "locks" / f"{name}.lock", timeout=0):
                shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = error.filename or self.home
            raise StoreError(
                f"the model store cannot write {what}: {where}: {error.strerror or error}; free space or mend the "
                f"permissions under {self.home}, or set UMEKOMI_HOME to another folder"
            ) from error


def _file_name(key: str) -> str:
    """A name for ``key`` that every file system takes; two keys never share one. Raises `StoreError` for none."""
    if not key:
        raise StoreError("an entry of the model store needs a key; an empty one would name the whole store")
    name = quote(key, safe="@+=,")
    name = f"%2E{name[1:]}" if name.startswith(".") else name
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 33]}-{combine([key])[:32]}"


def _lock_name(kind: Kind, key: str) -> str:
    return f"{kind}-{_file_name(key)}"


def _check_sizes(entry: Entry) -> None:
    for name, size in entry.sizes.items():
        path = entry.files / name
        try:
            found = path.stat().st_size
        except OSError:
            raise BrokenModel(f"{path}: is missing; remove {entry.files.parent} and pull again") from None
        if found != size:
            raise BrokenModel(
                f"{path}: {found} bytes, stored as {size}; remove {entry.files.parent} and pull again"
            )


def _write_manifest(folder: Path, kind: Kind, key: str, about: Mapping[str, Any]) -> None:
    files = folder / _FILES
    listed = {
        path.relative_to(files).as_posix(): {"size": path.stat().st_size, "sha256": sha256_of_file(path)}
        for path in sorted(files.rglob("*"))
        if path.is_file()
    }
    content = {"kind": kind, "key": key, "about": dict(about), "files": listed}
    (folder / _MANIFEST).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
