"""Plain text and CSV in every encoding, of every size, and files that are not what their names say."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.office_files import write_docx
from kit.pdf_files import write_pdf
from kit.reading import read_here

WRAPPED = """　吾輩は猫である。名前はまだ無い。どこで生れたかとん
と見当がつかぬ。何でも薄暗いじめじめした所でニャーニ
ャー泣いていた事だけは記憶している。

　吾輩はここで始めて人間というものを見た。
・箇条書きの一つ目
・箇条書きの二つ目
The committee reviewed the annual report and foun-
d it good.
"""


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp932", "euc_jp", "iso2022_jp"])
def test_text_is_read_in_its_encoding_and_its_lines_joined(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(WRAPPED.encode(codec))
    read = read_here(path)
    assert read.texts == [
        "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。",
        "吾輩はここで始めて人間というものを見た。",
        "・箇条書きの一つ目",
        "・箇条書きの二つ目",
        "The committee reviewed the annual report and found it good.",
    ]
    for block in read.blocks:
        place, stop = block.place_of(0), block.place_after(len(block.text))
        assert WRAPPED[place.offset] == block.text[0]
        assert WRAPPED[stop.offset - 1] == block.text[-1]


def test_lists_and_long_paragraphs_are_not_joined(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    lines = ["りんご", "みかん", "ばなな"]
    path.write_text("\n".join(lines))
    assert read_here(path).texts == lines
    paragraphs = ["これは一つの段落で、" * 20 + "終わる。", "次の段落は" + "長く続いて、" * 30 + "終わる。"]
    path.write_text("\n".join(paragraphs))
    assert read_here(path).texts == paragraphs


def test_a_text_without_line_ends_is_cut_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    content = "あいうえお。" * 500_000
    path.write_text(content)
    read = read_here(path)
    assert read.outcome.status == "ok"
    assert "".join(read.texts) == content
    assert max(map(len, read.texts)) <= 50_000


def test_an_unknown_encoding_is_quarantined_and_read_when_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Привет, мир".encode("cp1251"))
    outcome = read_here(path).outcome
    assert outcome.status == "quarantined"
    assert outcome.reason.startswith("encoding: its text: not UTF-8 at byte 0")
    assert read_here(path, encoding="cp1251").texts == ["Привет, мир"]
    assert read_here(path, encoding="ascii").outcome.reason.startswith("encoding: not ascii")


def test_csv_becomes_a_table_with_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('品名;説明\r\nりんご;"赤い\r\n果物"\r\n;\r\n'.encode("cp932"))
    read = read_here(path)
    assert read.kinds == [("table", "品名 | 説明\nりんご | 赤い 果物")]
    assert (read.blocks[0].header, read.outcome.encoding) == ("品名 | 説明", "cp932")
    path.write_text('a,b\n"open')
    assert read_here(path).outcome.reason.startswith("not valid CSV: ")


@pytest.mark.parametrize("content", ["", " \n\u3000\n", "\ufeff", "\n\n"])
def test_a_file_without_text_is_empty(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(content)
    assert read_here(path).outcome.reason.startswith("empty: ")


def test_a_text_of_replacement_characters_is_garbled(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("文字\ufffd\ufffd化け" * 20)
    assert read_here(path).outcome.reason == "garbled: 33% of its characters are no text"
    path.write_text("文字化けは少しだけある文書です。" * 5 + "\ufffd")
    assert read_here(path).outcome.status == "warned"


def test_a_wrong_extension_is_said_or_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(write_docx(tmp_path / "x.docx", ["本文です。"]).read_bytes())
    (tmp_path / "b.txt").write_bytes(write_pdf(tmp_path / "x.pdf", [["本文です。"]]).read_bytes())
    (tmp_path / "c.docx").write_text("ただの文")
    (tmp_path / "d.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    (tmp_path / "e.doc").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512))
    (tmp_path / "f.docx").write_bytes(
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512) + "EncryptedPackage".encode("utf-16-le")
    )
    outcomes = {path.name: read_here(path).outcome for path in sorted(tmp_path.glob("?.*")) if path.stem != "x"}
    assert outcomes["a.pdf"].warnings == ("wrong extension: holds DOCX",)
    assert outcomes["b.txt"].warnings == ("wrong extension: holds PDF",)
    assert outcomes["c.docx"].reason == "wrong extension: no DOCX inside"
    assert outcomes["d.txt"].reason == "wrong extension: a PNG picture"
    assert outcomes["e.doc"].reason.startswith("an Office format from before 2007")
    assert outcomes["f.docx"].reason == "encrypted: needs a password"


@pytest.mark.parametrize("suffix", ["txt", "md", "csv", "html"])
@pytest.mark.parametrize("unit", [" ", "-", "a-\n", "| ", "# ", "あ", "`", "<", '"', "> ", "\t", "0.", "(", "&"])
def test_nothing_takes_time_by_the_square_of_a_lines_length(tmp_path: Path, suffix: str, unit: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text("x " + unit * (100_000 // len(unit)) + " x")
    read = read_here(path)
    assert read.outcome.status != "failed", read.outcome
    assert read.cpu_s < 10
