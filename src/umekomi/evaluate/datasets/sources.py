"""The files of a data set: one, or those of a folder or archive. Unpacking is bounded and never onto the disk."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from umekomi.errors import InvalidInput

MAX_BYTES = 2 << 30
"""Largest file, unpacked."""

MAX_RATIO = 200
"""How many times its packed size a file may unpack to, beyond `SMALL_BYTES`; text packs 3 to 20 times."""

SMALL_BYTES = 64 << 20
"""What any archive may unpack to, however well it packs."""

_MAX_DEPTH = 3
"""How deep files of a folder lie: ``scifact/qrels/test.tsv``."""

_BLOCK_BYTES = 1 << 20


class Files(Protocol):
    """Named files of a folder or archive. ``name`` is the whole as the user wrote it."""

    @property
    def name(self) -> str: ...

    def names(self) -> Sequence[str]:
        """Relative paths with ``/``, sorted; hidden ones and what systems leave behind are left out."""

    def where(self, name: str) -> str:
        """A file as messages call it, and as the user could write it."""

    def read(self, name: str) -> bytes:
        """Content of one file, a gzip one unpacked. Raises `InvalidInput`."""


def split_source(source: str) -> tuple[Path, str | None]:
    """A path, and the part of it that ``#`` names (``set.zip#test.csv``); a path that exists is never split."""
    path = Path(source).expanduser()
    stem, mark, part = source.rpartition("#")
    if mark and stem and not _exists(path):
        return Path(stem).expanduser(), part
    return path, None


def open_files(path: Path, name: str) -> Files:
    """The files at ``path``: of a folder, of a ZIP archive, or the one file. Raises `InvalidInput`."""
    if not _exists(path):
        raise InvalidInput(f"{name}: does not exist; give a file, a folder, or sample", param="source")
    if path.is_dir():
        return FolderFiles(path, name)
    if not path.is_file():
        raise InvalidInput(f"{name}: is no plain file; give a file, a folder, or sample", param="source")
    return ZipFiles(path, name) if path.suffix.lower() == ".zip" else SingleFile(path, name)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # a name too long, a folder that may not be entered
        raise InvalidInput(f"{path}: cannot be read: {error.strerror or error}", param="source") from None


@dataclass(frozen=True, slots=True)
class SingleFile:
    """A file on its own."""

    path: Path
    name: str

    def names(self) -> Sequence[str]:
        return (self.path.name,)

    def where(self, name: str) -> str:
        return self.name

    def read(self, name: str) -> bytes:
        return _read(self.path, self.name)


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files below a folder of the user's own; links are followed."""

    path: Path
    name: str

    def names(self) -> Sequence[str]:
        levels = (self.path.glob("/".join(["*"] * depth)) for depth in range(1, _MAX_DEPTH + 1))
        found = (file.relative_to(self.path) for level in levels for file in level if file.is_file())
        return sorted(file.as_posix() for file in found if _is_content(file.parts))

    def where(self, name: str) -> str:
        return f"{self.name}/{name}"

    def read(self, name: str) -> bytes:
        return _read(self.path / name, self.where(name))


@dataclass(frozen=True, slots=True)
class ZipFiles:
    """The members of a ZIP archive, read in memory: a member's name never becomes a path on this machine."""

    path: Path
    name: str

    def names(self) -> Sequence[str]:
        with self._open() as archive:
            return sorted(
                member.filename
                for member in archive.infolist()
                if not member.is_dir() and _is_content(self._checked(member.filename).parts)
            )

    def where(self, name: str) -> str:
        return f"{self.name}#{name}"

    def read(self, name: str) -> bytes:
        where = self.where(name)
        with self._open() as archive:
            member = archive.getinfo(name)
            if member.flag_bits & 0x1:
                raise InvalidInput(f"{where}: encrypted; unpack it with its password first")
            try:
                with archive.open(member) as stream:
                    data = _read_bounded(stream, where, packed_bytes=member.compress_size)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
                raise InvalidInput(f"{where}: cannot be unpacked: {error}; pack it again") from None
        return _gunzip(data, where) if name.lower().endswith(".gz") else data

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InvalidInput(f"{self.name}: cannot be read as a ZIP archive: {error}") from None

    def _checked(self, member: str) -> PurePosixPath:
        path = PurePosixPath(member.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in member:
            raise InvalidInput(
                f"{self.name}: the member {member!r} leads out of the archive; do not trust this file"
            )
        return path


def check_unpacked(data: bytes, where: str) -> None:
    """Unpack a ZIP archive to nowhere. Raises `InvalidInput` where it is over the bound or broken."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                with archive.open(member) as stream:
                    _read_bounded(stream, where, packed_bytes=member.compress_size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InvalidInput(f"{where}: cannot be unpacked: {error}; save it again") from None


def _is_content(parts: Sequence[str]) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _read(path: Path, where: str) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InvalidInput(f"{where}: {size} bytes; the limit is {MAX_BYTES}; evaluate a sample of it")
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{where}: cannot be read: {error.strerror or error}") from None
    return _gunzip(data, where) if path.suffix.lower() == ".gz" else data


def _gunzip(data: bytes, where: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            return _read_bounded(stream, where, packed_bytes=len(data))
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{where}: cannot be unpacked: {error}; pack it again") from None


def _read_bounded(stream: IO[bytes] | gzip.GzipFile, where: str, *, packed_bytes: int) -> bytes:
    """All of ``stream``, up to the bound; what an archive's header claims about sizes is not believed."""
    limit = min(MAX_BYTES, max(SMALL_BYTES, MAX_RATIO * packed_bytes))
    content = bytearray()
    while block := stream.read(_BLOCK_BYTES):
        content += block
        if len(content) > limit:
            raise InvalidInput(
                f"{where}: {packed_bytes} bytes unpack to more than {limit}, the limit for them; unpack it "
                f"yourself if you trust it"
            )
    return bytes(content)
