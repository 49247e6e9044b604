"""HTML, EPUB and Markdown."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.office_files import write_epub, write_package
from kit.reading import read_here

PAGE = """<!DOCTYPE html><html><head><title>題</title><meta charset="{charset}"><script>x()</script></head><body>
<nav><a href="/">ホーム</a></nav>
<h1>見出し <small>小</small></h1>
<p>一つ目の<b>段落</b>と<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>です。<br>改行の後。</p>
<div>包まれていない文。<ul><li>項目一</li><li>項目二<p>その中</p></li></ul>後ろの文。</div>
<table><caption>価格表</caption><thead><tr><th>品名</th><th>価格</th></tr></thead>
<tr><td>りんご</td><td><p>120</p><p>円</p></td></tr></table>
<pre>def f():
    return 1</pre>
<!-- 注釈 --><style>p {{}}</style></body></html>"""


@pytest.mark.parametrize("charset", ["utf-8", "shift_jis", "euc-jp", "iso-2022-jp"])
def test_html_gives_its_text_without_scripts_menus_and_readings(tmp_path: Path, charset: str) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(PAGE.format(charset=charset).encode(charset))
    read = read_here(path)
    assert read.kinds == [
        ("heading", "見出し 小"),
        ("text", "一つ目の段落と漢字です。 改行の後。"),
        ("text", "包まれていない文。"),
        ("text", "項目一"),
        ("text", "項目二"),
        ("text", "その中"),
        ("text", "後ろの文。"),
        ("text", "価格表"),
        ("table", "品名 | 価格\nりんご | 120 円"),
        ("text", "def f(): return 1"),
    ]
    assert read.blocks[8].header == "品名 | 価格"
    assert read.outcome.dropped == {"menus": 1}


def test_html_that_states_what_it_is_not_is_read_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_bytes("<html><meta charset=utf-8><p>これは日本語の文章です。</p>".encode("cp932"))
    read = read_here(path)
    assert (read.texts, read.outcome.encoding) == (["これは日本語の文章です。"], "cp932")


def test_tables_that_lay_out_a_page_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<html><table><tr><td>左の欄</td><td><table><tr><td>内</td></tr></table></td></tr></table>")
    assert read_here(path).kinds == [("text", "左の欄"), ("text", "内")]


@pytest.mark.parametrize(
    "markup",
    [
        "<html>" + "<div>" * 100_000 + "底",
        "<html>" + "<table><tr><td>" * 5_000 + "底",
        "<html><p>" + "&lt;" * 100_000,
        '<!DOCTYPE html [<!ENTITY a "' + "x" * 1000 + '"><!ENTITY b "&a;&a;&a;">]><html><p>&b;&b;',
        "<html>",
    ],
    ids=["divs", "tables", "references", "entities", "nothing"],
)
def test_hostile_markup_ends(tmp_path: Path, markup: str) -> None:
    path = tmp_path / "a.html"
    path.write_text(markup)
    read = read_here(path)
    outcome = read.outcome
    assert read.cpu_s < 10
    assert outcome.status != "failed", outcome
    assert outcome.characters < 2 * len(markup)


def test_epub_gives_chapters_in_the_order_of_the_spine(tmp_path: Path) -> None:
    page = '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><body>{}</body></html>'
    chapters = {"z.xhtml": page.format("<h1>序</h1><p>はじめに。</p>"), "a.xhtml": page.format("<p>本編。</p>")}
    read = read_here(write_epub(tmp_path / "a.epub", chapters))
    assert [(block.text, block.place_of(0).page) for block in read.blocks] == [
        ("序", 1),
        ("はじめに。", 1),
        ("本編。", 2),
    ]


def test_epub_without_its_book_and_with_protection(tmp_path: Path) -> None:
    hollow = write_package(tmp_path / "a.epub", {"mimetype": "application/epub+zip"})
    assert read_here(hollow).outcome.reason == "damaged: the package names no book"
    locked = {"mimetype": "application/epub+zip", "META-INF/encryption.xml": "<x/>", "META-INF/rights.xml": "<x/>"}
    assert read_here(write_package(tmp_path / "b.epub", locked)).outcome.reason.startswith("encrypted: ")


MARKDOWN = """---
title: 前書き
---
# 題

一行目の
二行目。

- 項目一
- 項目二

| 品名 | 価格 |
|---|---:|
| りんご | 120 \\| 円 |

```python
# 見出しではない
```

節
---
終わり。
"""


def test_markdown_gives_headings_lists_code_and_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(MARKDOWN)
    read = read_here(path)
    assert read.kinds == [
        ("heading", "題"),
        ("text", "一行目の二行目。"),
        ("text", "- 項目一"),
        ("text", "- 項目二"),
        ("table", "品名 | 価格\nりんご | 120 | 円"),
        ("text", "# 見出しではない"),
        ("heading", "節"),
        ("text", "終わり。"),
    ]
    assert [block.level for block in read.blocks if block.kind == "heading"] == [1, 2]
    for block in read.blocks:
        if block.kind != "table":
            offset = block.place_of(0).offset
            assert MARKDOWN.startswith(block.text[:2].strip(), offset)
