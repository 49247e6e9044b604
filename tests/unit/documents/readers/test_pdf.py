"""PDF: lines to paragraphs, furniture left out, and every way in which a PDF cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.pdf_files import PRIVATE_MAP, pdf_of, pdf_with_broken_map, write_pdf, write_scan
from kit.reading import read_here

JAPANESE = [
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当が",
    "つかぬ。何でも薄暗いじめじめした所でニャーニャー泣いていた",
    "事だけは記憶している。",
]
ENGLISH = [
    "The committee reviewed the annual report and found that the transfor-",
    "mation of its well-known state-of-the-art programme had been a suc-",
    "cess. In particular, the members praised how the long-awaited state-",
    "of-the-art laboratory was opened by a Franco-",
    "Prussian delegation.",
]


def test_wrapped_japanese_lines_become_one_paragraph_whose_origin_is_known(tmp_path: Path) -> None:
    read = read_here(write_pdf(tmp_path / "a.pdf", [JAPANESE]))
    assert read.texts == ["".join(JAPANESE)]
    block = read.blocks[0]
    place = block.place_of(block.text.index("つかぬ"))
    assert (place.page, place.offset) == (1, len(JAPANESE[0]) + 2)  # PDFium ends a line by two characters
    assert block.place_after(len(block.text)).offset == sum(map(len, JAPANESE)) + 4
    assert (read.outcome.status, read.outcome.language) == ("ok", "ja")


def test_broken_hyphens_are_mended_and_real_ones_kept(tmp_path: Path) -> None:
    (text,) = read_here(write_pdf(tmp_path / "a.pdf", [ENGLISH], font="Helvetica")).texts
    assert "the transformation of its well-known state-of-the-art programme had been a success." in text
    assert "the long-awaited state-of-the-art laboratory" in text
    assert "Franco-Prussian" in text


def test_running_lines_and_page_numbers_go_and_are_counted(tmp_path: Path) -> None:
    bodies = [f"本文の{kanji}ページ目はここにあります。" for kanji in "一二三四"]
    pages = [["社内規程集　第一版", "", body, "", f"- {number} -"] for number, body in enumerate(bodies, 1)]
    read = read_here(write_pdf(tmp_path / "a.pdf", pages))
    assert read.texts == bodies
    assert read.outcome.dropped == {"running lines": 4, "page numbers": 4}


def test_numbers_that_are_no_page_numbers_stay(tmp_path: Path) -> None:
    pages = [["最初のページの本文です。", "", "120"], ["次のページの本文です。", "", "7"]]
    read = read_here(write_pdf(tmp_path / "a.pdf", pages))
    assert [text for text in read.texts if text.isdigit()] == ["120", "7"]
    assert read.outcome.dropped == {}


def test_two_pages_show_a_header_where_it_stands_apart(tmp_path: Path) -> None:
    header = [["社内規程集", "", "", *(f"{page}の{line}行目です。" for line in "甲乙丙")] for page in "前後"]
    assert read_here(write_pdf(tmp_path / "a.pdf", header)).outcome.dropped == {"running lines": 2}
    same = [["りんご", *(f"{page}の{line}行目です。" for line in "甲乙丙")] for page in "前後"]
    assert read_here(write_pdf(tmp_path / "b.pdf", same)).outcome.dropped == {}


def test_lines_that_recur_far_apart_are_no_furniture(tmp_path: Path) -> None:
    pages = [[f"章の題{number % 4}", "", "本文です。"] for number in range(12)]
    read = read_here(write_pdf(tmp_path / "a.pdf", pages))
    assert sum("章の題" in text for text in read.texts) == 12


def test_a_sentence_that_counts_on_every_page_is_no_furniture(tmp_path: Path) -> None:
    pages = [[f"This is page {number} of the report and its own text."] for number in range(1, 6)]
    read = read_here(write_pdf(tmp_path / "a.pdf", pages, font="Helvetica"))
    assert " ".join(read.texts).count("its own text") == 5


def test_a_paragraph_goes_on_over_the_page(tmp_path: Path) -> None:
    pages = [JAPANESE[:2], JAPANESE[2:]]
    (block,) = read_here(write_pdf(tmp_path / "a.pdf", pages)).blocks
    assert block.text == "".join(JAPANESE)
    assert block.place_of(0).page == 1
    assert block.place_after(len(block.text)).page == 2


def test_larger_lines_are_headings_and_compatibility_characters_are_normalised(tmp_path: Path) -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(UnicodeCIDFont("HeiseiMin-W3"))
    canvas = Canvas(str(tmp_path / "a.pdf"))
    canvas.setFont("HeiseiMin-W3", 18)
    canvas.drawString(60, 800, "第１章　総則")
    canvas.setFont("HeiseiMin-W3", 10)
    canvas.drawString(60, 770, "㈱ＡＢＣはｶﾞｿﾘﾝを扱う。温度は10²度。")
    canvas.save()
    read = read_here(tmp_path / "a.pdf")
    assert read.kinds == [("heading", "第1章 総則"), ("text", "(株)ABCはガソリンを扱う。温度は10²度。")]
    body = read.blocks[1]
    assert body.place_of(body.text.index("を扱う")).offset - body.place_of(0).offset == len("㈱ＡＢＣはｶﾞｿﾘﾝ")


def test_equal_rows_in_a_font_that_is_not_embedded_all_stay(tmp_path: Path) -> None:
    rows = [
        "品名　　価格　　備考",
        *["りんご　百二十円　なし"] * 12,
        "みかん　八十円　なし",
        *["りんご　百二十円　なし"] * 3,
        "以上",
    ]
    read = read_here(write_pdf(tmp_path / "a.pdf", [rows]))
    text = "".join(read.texts)
    assert text.count("りんご") == 15
    assert text.index("みかん") > text.index("りんご")
    assert text.rindex("りんご") > text.index("みかん")
    assert text.endswith("以上")


def test_text_drawn_twice_to_look_bold_is_read_once(tmp_path: Path) -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(UnicodeCIDFont("HeiseiMin-W3"))
    canvas = Canvas(str(tmp_path / "a.pdf"))
    canvas.setFont("HeiseiMin-W3", 10)
    for shift in (0, 0.3, 0.6):
        canvas.drawString(60 + shift, 800, "太く見える見出し")
    canvas.save()
    assert read_here(tmp_path / "a.pdf").texts == ["太く見える見出し"]


@pytest.mark.parametrize("to_unicode", [None, PRIVATE_MAP])
def test_a_broken_map_to_characters_is_garbled(tmp_path: Path, to_unicode: bytes | None) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf_with_broken_map(to_unicode=to_unicode))
    outcome = read_here(tmp_path / "a.pdf").outcome
    assert outcome.status == "quarantined"
    assert outcome.reason.startswith("garbled: ")


def test_pictures_need_ocr(tmp_path: Path) -> None:
    assert read_here(write_scan(tmp_path / "a.pdf")).outcome.reason == "no text layer: needs OCR"


def test_a_few_pages_without_text_are_a_warning(tmp_path: Path) -> None:
    import pypdfium2

    with pypdfium2.PdfDocument(write_pdf(tmp_path / "text.pdf", [JAPANESE])) as whole:
        with pypdfium2.PdfDocument(write_scan(tmp_path / "scan.pdf", 2)) as scan:
            whole.import_pages(scan)
        whole.save(tmp_path / "a.pdf")
    outcome = read_here(tmp_path / "a.pdf").outcome
    assert (outcome.status, outcome.pages) == ("warned", 3)
    assert outcome.warnings == ("2 of 3 pages have no text layer: they need OCR",)


def test_encrypted_truncated_and_empty_files_say_so(tmp_path: Path) -> None:
    whole = write_pdf(tmp_path / "whole.pdf", [JAPANESE] * 3).read_bytes()
    write_pdf(tmp_path / "locked.pdf", [JAPANESE], password="secret")
    (tmp_path / "cut.pdf").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "zero.pdf").write_bytes(b"")
    write_pdf(tmp_path / "blank.pdf", [[]])
    loop = b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2000000000 >>"
    (tmp_path / "loop.pdf").write_bytes(pdf_of([b"<< /Type /Catalog /Pages 2 0 R >>", loop]))
    reasons = {path.stem: read_here(path).outcome.reason for path in tmp_path.glob("*.pdf")}
    assert reasons == {
        "whole": "",
        "locked": "encrypted: needs a password",
        "cut": "damaged: data format error",
        "zero": "empty: 0 bytes",
        "blank": "empty: its pages hold nothing",
        "loop": "damaged: its pages cannot be found",
    }
