"""Which format a file is in, by what it holds rather than by its name, and the reader for it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from umekomi.documents.cleaning.passages import Passage, Reading
from umekomi.documents.document import Quarantined

SUFFIXES: Final = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".docm": "docx",
    ".pptx": "pptx",
    ".pptm": "pptx",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".epub": "epub",
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".csv": "csv",
    ".tsv": "csv",
}
"""Formats by suffix. A file of another suffix is not read in a folder, and by its content where it is named."""

_READERS: Final = {
    "pdf": "umekomi.documents.readers.pdf",
    "docx": "umekomi.documents.readers.office.docx",
    "pptx": "umekomi.documents.readers.office.pptx",
    "xlsx": "umekomi.documents.readers.office.xlsx",
    "html": "umekomi.documents.readers.html",
    "epub": "umekomi.documents.readers.epub",
    "markdown": "umekomi.documents.readers.markdown",
    "text": "umekomi.documents.readers.text",
    "csv": "umekomi.documents.readers.delimited",
}
DOCLING: Final = "umekomi.documents.readers.docling"

_PLAIN: Final = frozenset({"html", "markdown", "text", "csv"})
"""Formats of plain text, between which the suffix decides."""

_MAIN_PARTS: Final = {"word/document.xml": "docx", "ppt/presentation.xml": "pptx", "xl/workbook.xml": "xlsx"}
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SIGNATURES: Final = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
    b"{\\rtf": "rich text (RTF)",
    b"\x1f\x8b": "gzip data",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"SQLite format 3": "a database",
}
_HEAD_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Kind:
    """``format``, and what to say where the file's name claims another."""

    format: str
    warning: str = ""


def find_kind(path: Path) -> Kind:
    """What the file at ``path`` is. Raises `Quarantined` where nothing here reads it."""
    claimed = SUFFIXES.get(path.suffix.lower())
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise Quarantined("empty: 0 bytes")
    found = _format_of(path, head)
    if found is None:
        if claimed in _PLAIN:
            return Kind(claimed)
        if claimed:
            raise Quarantined(f"wrong extension: no {claimed.upper()} inside")
        return Kind("text")
    if claimed == found or (found == "html" and claimed in _PLAIN):
        return Kind(claimed or found)
    return Kind(found, f"wrong extension: holds {found.upper()}" if claimed else "")


def open_reader(format_: str, *, layout: bool = False) -> Callable[[Reading], Iterator[Passage]]:
    """The function that reads files of a format; with ``layout``, docling's for what it reads better."""
    module = DOCLING if layout and format_ in ("pdf", "docx", "pptx") else _READERS[format_]
    read: Callable[[Reading], Iterator[Passage]] = import_module(module).read
    return read


def _format_of(path: Path, head: bytes) -> str | None:
    """The format that the content shows; None for plain text. Raises `Quarantined` for one that is not read."""
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK"):
        return _package_format(path)
    if head.startswith(_OLE):
        if _names_stream(path, "EncryptedPackage"):
            raise Quarantined("encrypted: needs a password")
        raise Quarantined("an Office format from before 2007 (DOC, XLS, PPT): save it as DOCX, XLSX or PPTX")
    for signature, name in _SIGNATURES.items():
        if head.startswith(signature):
            raise Quarantined(
                f"wrong extension: {name}" if path.suffix.lower() in SUFFIXES else f"no reader for {name}"
            )
    start = head.replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return "html" if start.startswith((b"<!doctype html", b"<html")) else None


def _package_format(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as package:
            names = set(package.namelist())
            mimetype = package.open("mimetype").read(64) if "mimetype" in names else b""
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise Quarantined(f"damaged: {str(error).lower()}") from None
    if mimetype.strip() == b"application/epub+zip":
        return "epub"
    for part, found in _MAIN_PARTS.items():
        if part in names:
            return found
    if mimetype.startswith(b"application/vnd.oasis.opendocument"):
        raise Quarantined("OpenDocument: save it as DOCX, XLSX or PPTX")
    raise Quarantined("a ZIP archive of other files: unpack it")


def _names_stream(path: Path, name: str) -> bool:
    """Whether an OLE file has a stream of that name; its directory may stand anywhere in it."""
    wanted = name.encode("utf-16-le")
    tail = b""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            if wanted in tail + block:
                return True
            tail = block[-len(wanted) :]
    return False
