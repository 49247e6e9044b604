"""Office files and books made in code: real ones by the libraries that write them, hostile ones part by part."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"

CONTENT_TYPES = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/word/document.xml"
 ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>
<Override PartName="/word/footnotes.xml"
 ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"/>
</Types>"""
RELATIONS = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
 Target="word/document.xml"/></Relationships>"""
DOCUMENT_RELATIONS = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId9"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
 Target="footnotes.xml"/></Relationships>"""


def write_docx(path: Path, content: Sequence[str | Sequence[Sequence[str]]]) -> Path:
    """A DOCX of paragraphs (``# `` before a heading) and tables, by python-docx."""
    import docx

    document = docx.Document()
    for each in content:
        if not isinstance(each, str):
            table = document.add_table(rows=len(each), cols=len(each[0]))
            for row, cells in zip(table.rows, each, strict=True):
                for cell, text in zip(row.cells, cells, strict=True):
                    cell.text = text
        elif each.startswith("#"):
            marks, _, text = each.partition(" ")
            document.add_heading(text, len(marks))
        else:
            document.add_paragraph(each)
    document.save(str(path))
    return path


def write_raw_docx(path: Path, body: str, *, footnotes: str = "", declaration: str = "") -> Path:
    """A DOCX whose body and footnotes are the XML given."""
    document = (
        f'<?xml version="1.0" encoding="UTF-8"?>{declaration}<w:document xmlns:w="{W}" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
        'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
        f'xmlns:v="urn:schemas-microsoft-com:vml"><w:body>{body}</w:body></w:document>'
    )
    notes = f'<?xml version="1.0" encoding="UTF-8"?><w:footnotes xmlns:w="{W}">{footnotes}</w:footnotes>'
    return write_package(
        path,
        {
            "[Content_Types].xml": CONTENT_TYPES,
            "_rels/.rels": RELATIONS,
            "word/document.xml": document,
            "word/_rels/document.xml.rels": DOCUMENT_RELATIONS,
            "word/footnotes.xml": notes,
        },
    )


def write_package(path: Path, parts: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return path


def write_zip_bomb(path: Path, size_bytes: int) -> Path:
    """A DOCX whose text unpacks to ``size_bytes`` of one letter."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("[Content_Types].xml", CONTENT_TYPES)
        package.writestr("_rels/.rels", RELATIONS)
        with package.open("word/document.xml", "w", force_zip64=True) as part:
            part.write(f'<w:document xmlns:w="{W}"><w:body><w:p><w:r><w:t>'.encode())
            for _ in range(size_bytes >> 20):
                part.write(b"a" * (1 << 20))
            part.write(b"</w:t></w:r></w:p></w:body></w:document>")
    return path


BILLION_LAUGHS = (
    '<!DOCTYPE w:document [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(10))
    + "]>"
)


def write_pptx(path: Path, slides: Sequence[tuple[str, str, str]]) -> Path:
    """A PPTX of slides with title, body and notes; the first has a table and a slide number as well."""
    import pptx
    from pptx.util import Inches

    deck = pptx.Presentation()
    for number, (title, body, notes) in enumerate(slides):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = body
        if notes:
            slide.notes_slide.notes_text_frame.text = notes
        if number == 0:
            table = slide.shapes.add_table(2, 2, Inches(1), Inches(5), Inches(4), Inches(1)).table
            for row, cells in enumerate((("品名", "価格"), ("りんご", "120"))):
                for column, text in enumerate(cells):
                    table.cell(row, column).text = text
    deck.save(str(path))
    return path


def write_xlsx(path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]]) -> Path:
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def write_epub(path: Path, chapters: Mapping[str, str]) -> Path:
    """An EPUB whose spine lists ``chapters`` (file name to markup) in their order."""
    items = "".join(
        f'<item id="c{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    book = f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{spine}</spine></package>'
    parts = {f"OEBPS/{name}": markup for name, markup in chapters.items()}
    return write_package(
        path,
        {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "OEBPS/book.opf": book, **parts},
    )
