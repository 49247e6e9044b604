"""EPUB: the chapters of a book in the order of its spine, each an HTML page within the package."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote
from zipfile import ZipFile

from umekomi.documents.cleaning.passages import Passage, RawText, Reading
from umekomi.documents.document import Quarantined
from umekomi.documents.readers.html import MAX_BYTES, decode_markup, iter_markup
from umekomi.documents.readers.packages import open_package, parse_xml, read_part

_CONTAINER: Final = "META-INF/container.xml"
_PAGES: Final = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def read(reading: Reading) -> Iterator[Passage]:
    """The blocks of a book; a page is a chapter's file. Raises `Quarantined` where it is damaged or protected."""
    with open_package(reading.path) as package:
        if "META-INF/encryption.xml" in package.namelist() and "META-INF/rights.xml" in package.namelist():
            raise Quarantined("encrypted: its publisher's copy protection")
        chapters = _chapters(package)
        reading.pages = len(chapters)
        missing = 0
        for number, name in enumerate(chapters, start=1):
            reading.beat()
            try:
                markup = read_part(package, name, limit=MAX_BYTES)
            except KeyError:
                missing += 1
                continue
            yield from iter_markup(decode_markup(markup).text, RawText(number), reading)
        if missing:
            reading.warn(f"{missing} of {len(chapters)} chapters are missing in the package")


def _chapters(package: ZipFile) -> list[str]:
    """The parts that the spine lists, in its order."""
    try:
        container = parse_xml(read_part(package, _CONTAINER), _CONTAINER)
        rootfile = next(container.iter("{*}rootfile")).get("full-path", "")
        book = parse_xml(read_part(package, rootfile), rootfile)
    except (KeyError, StopIteration):
        raise Quarantined("damaged: the package names no book") from None
    items = {item.get("id"): item for item in book.iter("{*}item")}
    listed = (items.get(reference.get("idref")) for reference in book.iter("{*}itemref"))
    folder = posixpath.dirname(rootfile)
    return [
        posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
        for item in listed
        if item is not None and item.get("media-type") in _PAGES and item.get("properties") != "nav"
    ]
