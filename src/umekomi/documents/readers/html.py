"""HTML, parsed by lxml: blocks of text, headings, tables; scripts, menus and readings of kanji left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from umekomi.documents.cleaning.passages import Passage, RawText, Reading
from umekomi.documents.document import Quarantined
from umekomi.documents.encodings import Decoded, decode_text
from umekomi.documents.extras import load
from umekomi.errors import InvalidInput

MAX_BYTES: Final = 64 * 1024 * 1024

_DROPPED: Final = {
    **dict.fromkeys(("script", "style", "noscript", "template", "svg", "math", "iframe", "object", "head"), ""),
    **dict.fromkeys(("select", "button", "textarea", "rt", "rp", "audio", "video", "canvas"), ""),
    "nav": "menus",
}
"""Elements without text of their own, by what their loss is counted as; empty: not counted."""

_INLINE: Final = frozenset(
    [
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font"),
        *("i", "img", "input", "ins", "kbd", "label", "mark", "q", "ruby", "rb", "s", "samp", "small", "span"),
        *("strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
    ]
)
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_CHARSET: Final = re.compile(
    rb"""<(?:meta[^>]{0,200}?charset|\?xml[^>]{0,200}?encoding)\s*=\s*["']?([\w.:-]{2,40})""", re.I
)
_BLANK: Final = re.compile(r"[ \t\r\n\f]+")
_STATED: Final = {
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
}


def read(reading: Reading) -> Iterator[Passage]:
    """The blocks of an HTML page. Raises `Quarantined` where its encoding cannot be told or it is too large."""
    if (size := reading.path.stat().st_size) > MAX_BYTES:
        raise Quarantined(f"{size} bytes; the limit for HTML is {MAX_BYTES}")
    decoded = decode_markup(reading.path.read_bytes(), encoding=reading.encoding)
    reading.found_encoding = decoded.encoding.name
    yield from iter_markup(decoded.text, RawText(), reading)


def decode_markup(data: bytes, *, encoding: str | None = None) -> Decoded:
    """Markup as text: in the encoding given, else the one it states where the bytes fit it, else by the ladder.

    Raises `Quarantined`.
    """
    stated = _CHARSET.search(data[:4096])
    if encoding is None and stated:
        name = stated[1].decode("ascii").casefold()
        try:
            return decode_text(data, encoding=_STATED.get(name, name))
        except InvalidInput:
            pass  # it states what it is not
    try:
        return decode_text(data, encoding=encoding, name="its text")
    except InvalidInput as error:
        raise Quarantined(f"encoding: {error}") from None


def iter_markup(text: str, raw: RawText, reading: Reading) -> Iterator[Passage]:
    """The blocks of markup, in order."""
    etree = load("lxml.etree")
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, huge_tree=False, remove_comments=True)
    try:
        root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError:
        root = None  # nothing but blanks or comments
    if any(
        entry.type_name in ("ERR_NAME_TOO_LONG", "ERR_RESOURCE_LIMIT") or "depth" in entry.message.lower()
        for entry in parser.error_log
    ):
        reading.warn("nested too deep or too long for the parser: a part of it may be missing")
    if root is not None:
        yield from _Walk(etree, raw, reading).blocks(root)


class _Walk:
    """Goes through a tree once, without recursion: its depth is up to who wrote it."""

    def __init__(self, etree: Any, raw: RawText, reading: Reading) -> None:
        self._etree = etree
        self._raw = raw
        self._reading = reading
        self._text: list[str] = []
        self._level = 0
        self._preformatted = 0

    def blocks(self, root: Any) -> Iterator[Passage]:
        skipped: Any = None
        for number, (event, element) in enumerate(self._etree.iterwalk(root, events=("start", "end"))):
            if number % 5000 == 0:
                self._reading.beat()
            tag = element.tag if isinstance(element.tag, str) else ""
            if skipped is not None:
                if event == "end" and element is skipped:
                    skipped = None
                    self._add(element.tail)
                continue
            if event == "start":
                yield from self._start(element, tag)
                if tag in _DROPPED or tag == "table":
                    skipped = element
            else:
                yield from self._end(element, tag)
        yield from self._flush()

    def _start(self, element: Any, tag: str) -> Iterator[Passage]:
        if tag in _DROPPED:
            if _DROPPED[tag]:
                self._reading.dropped[_DROPPED[tag]] += 1
            return
        if tag == "br":
            self._text.append("\n")
        elif tag not in _INLINE:
            yield from self._flush()
            self._level = _HEADINGS.get(tag, 0)
            self._preformatted += tag == "pre"
        if tag == "table":
            yield from self._table(element)
        else:
            self._add(element.text)

    def _end(self, element: Any, tag: str) -> Iterator[Passage]:
        if tag not in _INLINE and tag != "br":
            yield from self._flush()
            self._level = 0
            self._preformatted -= tag == "pre"
        self._add(element.tail)

    def _add(self, text: str | None) -> None:
        if text:
            self._text.append(text if self._preformatted else _BLANK.sub(" ", text))

    def _flush(self) -> Iterator[Passage]:
        text = "".join(self._text).strip()
        self._text.clear()
        if text and self._level:
            yield self._raw.heading(text, self._level)
        elif text:
            yield self._raw.text(text)

    def _table(self, table: Any) -> Iterator[Passage]:
        """A table of data as rows; one that lays out a page, with tables or paragraphs in its cells, as text."""
        if next(table.iterdescendants("table"), None) is not None:
            for cell in table.iter("td", "th"):
                if next(cell.iterdescendants("table"), None) is None and (text := _text_of(cell).strip()):
                    yield self._raw.text(text)
            return
        if (caption := table.find("caption")) is not None:
            yield self._raw.text(_text_of(caption))
        rows = [(row, [_text_of(cell) for cell in row.iterchildren("td", "th")]) for row in table.iter("tr")]
        headers = 0
        for row, _ in rows:
            if row.getparent().tag != "thead" and next(row.iterchildren("td"), None) is not None:
                break
            headers += 1
        yield self._raw.rows([cells for _, cells in rows], header_rows=headers if headers < len(rows) else 0)


def _text_of(element: Any) -> str:
    """The text of a cell, in one line."""
    texts = []
    for each in element.iter():
        if not isinstance(each.tag, str):
            continue
        gone = each.tag in _DROPPED
        if each.text and not gone:
            texts.append(each.text)
        if each is not element and each.tail:
            texts.append(("" if each.tag in _INLINE or gone else " ") + each.tail)
        elif each is not element and each.tag not in _INLINE and not gone:
            texts.append(" ")
    return _BLANK.sub(" ", "".join(texts)).strip()
