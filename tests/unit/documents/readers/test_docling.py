"""Docling's documents as blocks. The stand-in has the shape of docling-core 2.104's, on which it was tried."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace as Item

import pytest

from umekomi.documents.cleaning.passages import Reading, iter_blocks
from umekomi.documents.readers.docling import iter_items
from umekomi.documents.readers.kinds import DOCLING, open_reader
from umekomi.errors import MissingExtra


def item(label: str, text: str, page: int, **more: object) -> Item:
    return Item(label=Item(value=label), text=text, prov=[Item(page_no=page)], **more)


def test_items_become_blocks_in_reading_order_without_furniture() -> None:
    def cell(text: str, header: bool) -> Item:
        return Item(text=text, column_header=header)

    grid = [[cell("品名", True), cell("価格", True)], [cell("りんご", False), cell("120", False)]]
    items = [
        item("page_header", "社内限り", 1),
        item("title", "題", 1),
        item("section_header", "節", 1, level=2),
        item("text", "本文です。", 1),
        Item(label=Item(value="table"), prov=[Item(page_no=2)], data=Item(grid=grid)),
        Item(label=Item(value="picture"), prov=[]),
    ]
    document = Item(pages={1: None, 2: None}, iterate_items=lambda with_groups: [(each, 1) for each in items])
    reading = Reading(Path("a.pdf"))
    blocks = list(iter_blocks(iter_items(document, reading)))
    assert [(block.kind, block.level, block.text, block.place_of(0).page) for block in blocks] == [
        ("heading", 1, "題", 1),
        ("heading", 2, "節", 1),
        ("text", 0, "本文です。", 1),
        ("table", 0, "品名 | 価格\nりんご | 120", 2),
    ]
    assert blocks[3].header == "品名 | 価格"
    assert (reading.pages, dict(reading.dropped)) == (2, {"running lines": 1})


def test_layout_takes_docling_for_what_has_a_layout() -> None:
    assert open_reader("pdf", layout=True).__module__ == DOCLING
    assert open_reader("text", layout=True).__module__ != DOCLING


def test_without_docling_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docling.document_converter", None)
    with pytest.raises(MissingExtra, match=r"umekomi\[layout\]"):
        list(open_reader("pdf", layout=True)(Reading(Path("a.pdf"))))
