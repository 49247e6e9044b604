"""DOCX, PPTX and XLSX: what stands where, and packages that want to do harm."""

from __future__ import annotations

import datetime
import re
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.office_files import (
    BILLION_LAUGHS,
    write_docx,
    write_package,
    write_pptx,
    write_raw_docx,
    write_xlsx,
    write_zip_bomb,
)
from kit.reading import read_here
from umekomi.documents.readers import packages


def test_docx_gives_headings_paragraphs_and_tables_in_order(tmp_path: Path) -> None:
    path = write_docx(
        tmp_path / "a.docx",
        ["# 第一章", "本文です。", [["品名", "価格"], ["りんご", "120"], ["みかん", ""]], "## 節", "終わり。"],
    )
    read = read_here(path)
    assert read.kinds == [
        ("heading", "第一章"),
        ("text", "本文です。"),
        ("table", "品名 | 価格\nりんご | 120\nみかん"),
        ("heading", "節"),
        ("text", "終わり。"),
    ]
    assert [block.level for block in read.blocks] == [1, 0, 0, 2, 0]
    assert read.blocks[2].header == "品名 | 価格"


def run(text: str) -> str:
    return f"<w:r><w:t>{text}</w:t></w:r>"


def test_docx_text_boxes_footnotes_insertions_and_readings(tmp_path: Path) -> None:
    box = f"<w:txbxContent><w:p>{run('箱の中')}</w:p></w:txbxContent>"
    body = (
        f"<w:p>{run('本文')}<w:r><w:footnoteReference w:id='2'/></w:r>"
        f"<w:r><mc:AlternateContent><mc:Choice><wps:txbx>{box}</wps:txbx></mc:Choice>"
        f"<mc:Fallback><v:textbox>{box}</v:textbox></mc:Fallback></mc:AlternateContent></w:r></w:p>"
        f"<w:sdt><w:sdtContent><w:p><w:ins>{run('挿入')}</w:ins><w:del><w:r><w:delText>削除</w:delText></w:r></w:del>"
        f"</w:p></w:sdtContent></w:sdt>"
        f"<w:p><w:r><w:ruby><w:rt>{run('かんじ')}</w:rt><w:rubyBase>{run('漢字')}</w:rubyBase></w:ruby></w:r></w:p>"
    )
    note = f"<w:footnote w:id='2'><w:p>{run('脚注です。')}</w:p></w:footnote>"
    separator = "<w:footnote w:id='0' w:type='separator'><w:p/></w:footnote>"
    read = read_here(write_raw_docx(tmp_path / "a.docx", body, footnotes=separator + note))
    assert read.texts == ["本文", "箱の中", "脚注です。", "挿入", "漢字"]


def test_docx_header_rows_merged_cells_and_tables_within_tables(tmp_path: Path) -> None:
    def cell(text: str, properties: str = "", inner: str = "") -> str:
        return f"<w:tc><w:tcPr>{properties}</w:tcPr><w:p>{run(text)}</w:p>{inner}</w:tc>"

    wide, begins, goes_on = "<w:gridSpan w:val='2'/>", "<w:vMerge w:val='restart'/>", "<w:vMerge/>"
    inner = f"<w:tbl><w:tr>{cell('内側')}</w:tr></w:tbl>"
    marked = "<w:trPr><w:tblHeader/></w:trPr>"
    rows = [
        f"{marked}{cell('表題', wide)}",
        f"{marked}{cell('地域')}{cell('人口')}",
        f"{cell('関東', begins)}{cell('1')}",
        f"{cell('', goes_on)}{cell('2', inner=inner)}",
    ]
    body = f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"
    (block,) = read_here(write_raw_docx(tmp_path / "a.docx", body)).blocks
    assert block.text == "表題\n地域 | 人口\n関東 | 1\n関東 | 2 内側"
    assert block.header == "表題\n地域 | 人口"


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip_bomb(tmp_path / "a.docx", 20 << 20)
    assert re.search("unpacks to .* times its size: a ZIP bomb", read_here(path).outcome.reason)
    monkeypatch.setattr(packages, "MAX_MEMBER_BYTES", 10 << 20)
    assert re.search("unpacks to .* bytes or more .* a ZIP bomb", read_here(path).outcome.reason)


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    path = write_raw_docx(tmp_path / "a.docx", f"<w:p>{run('&k;')}</w:p>", declaration=BILLION_LAUGHS)
    outcome = read_here(path).outcome
    assert outcome.reason == "'word/document.xml' declares a document type, as no office program does: not opened"


def test_deep_nesting_is_bounded(tmp_path: Path) -> None:
    deep = "<w:sdt><w:sdtContent>" * 2000 + f"<w:p>{run('底')}</w:p>" + "</w:sdtContent></w:sdt>" * 2000
    outcome = read_here(write_raw_docx(tmp_path / "a.docx", deep)).outcome
    assert outcome.status in ("ok", "quarantined")
    assert outcome.status == "ok" or "XML" in outcome.reason


@pytest.mark.parametrize("suffix", ["docx", "pptx", "xlsx"])
def test_a_cut_package_is_damaged(tmp_path: Path, suffix: str) -> None:
    whole = write_docx(tmp_path / "whole.docx", ["本文"]).read_bytes()
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    assert read_here(path).outcome.reason.startswith("damaged: ")


@pytest.mark.parametrize("main", ["word/document.xml", "ppt/presentation.xml", "xl/workbook.xml"])
def test_a_package_with_nothing_in_it_is_damaged(tmp_path: Path, main: str) -> None:
    path = write_package(tmp_path / "a.docx", {main: "<x/>"})
    outcome = read_here(path).outcome
    assert outcome.status == "quarantined", outcome
    assert "damaged" in outcome.reason


def test_pptx_gives_titles_texts_tables_and_notes_by_slide(tmp_path: Path) -> None:
    path = write_pptx(
        tmp_path / "a.pptx", [("計画", "一つ目の項目\n二つ目の項目", "話すこと"), ("結果", "よかった。", "")]
    )
    read = read_here(path)
    assert read.kinds == [
        ("heading", "計画"),
        ("text", "一つ目の項目"),
        ("text", "二つ目の項目"),
        ("table", "品名 | 価格\nりんご | 120"),
        ("text", "話すこと"),
        ("heading", "結果"),
        ("text", "よかった。"),
    ]
    assert [block.place_of(0).page for block in read.blocks] == [1, 1, 1, 1, 1, 2, 2]
    assert read.outcome.pages == 2


def test_xlsx_gives_values_as_a_sheet_shows_them(tmp_path: Path) -> None:
    rows = [
        ["日付", "数", "比", "文"],
        [datetime.datetime(2026, 11, 21), 3.0, 0.1, "一行目\n二行目"],
        [],
        [datetime.date(2026, 1, 2), True, 1e20, None],
    ]
    read = read_here(write_xlsx(tmp_path / "a.xlsx", {"売上": rows, "空": []}))
    assert read.kinds == [
        ("heading", "売上"),
        ("table", "日付 | 数 | 比 | 文\n2026-11-21 | 3 | 0.1 | 一行目 二行目\n2026-01-02 | TRUE | 1e+20"),
        ("heading", "空"),
    ]


def test_xlsx_formulas_without_a_result_are_said(tmp_path: Path) -> None:
    outcome = read_here(write_xlsx(tmp_path / "a.xlsx", {"x": [["和"], ["=1+2"], ["=2+3"]]})).outcome
    assert outcome.warnings == ("2 formulas have no stored result: open it in a spreadsheet program and save it",)


def test_a_long_sheet_repeats_its_header(tmp_path: Path) -> None:
    rows = [["番号", "値"], *([str(n), "あ"] for n in range(450))]
    blocks = [b for b in read_here(write_xlsx(tmp_path / "a.xlsx", {"x": rows})).blocks if b.kind == "table"]
    assert len(blocks) == 3
    assert {block.header for block in blocks} == {"番号 | 値"}
    assert sum(block.text.count("あ") for block in blocks) == 450


def test_pptx_charts_are_counted_and_groups_taken_apart(tmp_path: Path) -> None:
    import pptx
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    data = CategoryChartData()
    data.categories = ["春"]
    data.add_series("売上", (1,))
    slide.shapes.add_chart(XL_CHART_TYPE.PIE, Inches(1), Inches(4), Inches(2), Inches(2), data)
    group = slide.shapes.add_group_shape()
    for top, text in ((2, "下"), (1, "上")):
        group.shapes.add_textbox(Inches(1), Inches(top), Inches(2), Inches(1)).text_frame.text = text
    deck.save(str(tmp_path / "a.pptx"))
    read = read_here(tmp_path / "a.pptx")
    assert read.texts == ["上", "下"]
    assert read.outcome.warnings == ("1 charts or diagrams were not read",)


def test_xlsx_that_claims_the_whole_sheet_is_bounded(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active["A1"] = "最初"
    book.active["XFD1048576"] = "最後"
    book.save(tmp_path / "a.xlsx")
    read = read_here(tmp_path / "a.xlsx")
    assert read.cpu_s < 60
    assert "最初" in read.texts[1]
    assert "最後" in read.texts[1]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_damage_anywhere_ends_with_a_reason(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Bytes of parts are changed inside a package that is whole, so that the damage reaches the readers."""
    folder = tmp_path_factory.mktemp("damaged")
    suffix = data.draw(st.sampled_from(["docx", "pptx", "xlsx"]))
    path = folder / f"a.{suffix}"
    if suffix == "docx":
        write_docx(path, ["# 題", "本文です。", [["a", "b"], ["1", "2"]]])
    elif suffix == "pptx":
        write_pptx(path, [("題", "本文", "メモ")])
    else:
        write_xlsx(path, {"表": [["a", "b"], [1, 2]]})
    with zipfile.ZipFile(path) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    name = data.draw(st.sampled_from(sorted(parts)))
    start = data.draw(st.integers(0, len(parts[name])))
    stop = start + data.draw(st.integers(0, 20))
    parts[name] = parts[name][:start] + data.draw(st.binary(max_size=5)) + parts[name][stop:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl's, which reading processes ignore as well
        outcome = read_here(write_package(path, parts)).outcome
    assert outcome.status in ("ok", "warned", "quarantined"), outcome
    assert outcome.status != "quarantined" or outcome.reason
