"""ZIP packages (DOCX, PPTX, XLSX, EPUB): opened only where unpacking is bounded and the XML declares nothing."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from umekomi.documents.document import Quarantined
from umekomi.documents.extras import load

MAX_MEMBERS: Final = 20_000
MAX_MEMBER_BYTES: Final = 512 * 1024 * 1024
MAX_UNPACKED_BYTES: Final = 2 * 1024 * 1024 * 1024
MAX_XML_BYTES: Final = 256 * 1024 * 1024
"""A part of XML that is held as a tree takes some ten times its size."""

MAX_RATIO: Final = 200
"""Unpacked to packed size over which a large part is a bomb; XML of real documents stays under 100."""

_RATIO_MATTERS_BYTES: Final = 16 * 1024 * 1024


@contextmanager
def open_package(path: Path) -> Iterator[zipfile.ZipFile]:
    """The package at ``path``. Raises `Quarantined` where it is damaged or would unpack without bound."""
    try:
        with zipfile.ZipFile(path) as package:
            _check_sizes(package)
            yield package
    except zipfile.BadZipFile as error:
        raise Quarantined(f"damaged: {str(error).lower()}") from None
    except (zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise Quarantined(f"damaged: {error}") from None


def _check_sizes(package: zipfile.ZipFile) -> None:
    members = package.infolist()
    if len(members) > MAX_MEMBERS:
        raise Quarantined(f"{len(members)} parts in its package; the limit is {MAX_MEMBERS}")
    total = 0
    for member in members:
        total += member.file_size
        if member.file_size > MAX_MEMBER_BYTES or total > MAX_UNPACKED_BYTES:
            raise Quarantined(f"unpacks to {total} bytes or more ({member.filename!r}): a ZIP bomb")
        ratio = member.file_size / max(1, member.compress_size)
        if member.file_size > _RATIO_MATTERS_BYTES and ratio > MAX_RATIO:
            raise Quarantined(f"{member.filename!r} unpacks to {ratio:.0f} times its size: a ZIP bomb")
        if member.flag_bits & 1:
            raise Quarantined("encrypted: its package needs a password")


def read_part(package: zipfile.ZipFile, name: str, *, limit: int = MAX_XML_BYTES) -> bytes:
    """The content of a part, bounded whatever its header says. Raises `Quarantined`, `KeyError` for none."""
    with package.open(name) as part:
        content = part.read(limit + 1)
    if len(content) > limit:
        raise Quarantined(f"{name!r} is over {limit} bytes")
    return content


def check_declarations(package: zipfile.ZipFile) -> None:
    """Raises `Quarantined` for a part that declares entities, which no office program writes: a bomb or a spy."""
    for name in package.namelist():
        if name.endswith((".xml", ".rels")):
            with package.open(name) as part:
                head = part.read(4096)
            plain = head.replace(b"\0", b"").upper()  # in UTF-16 as well
            if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
                raise Quarantined(f"{name!r} declares a document type, as no office program does: not opened")


def parse_xml(content: bytes, name: str) -> Any:
    """The root element of a part's XML, entities unresolved. Raises `Quarantined` where it is no XML."""
    etree = load("lxml.etree")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise Quarantined(f"damaged: {name!r} is no XML ({error.msg})") from None
