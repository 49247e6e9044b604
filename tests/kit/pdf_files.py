"""PDF files made in code: real ones by reportlab, broken ones written object by object."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FONT_JA = "HeiseiMin-W3"


def write_pdf(
    path: Path, pages: Sequence[Sequence[str]], *, font: str = FONT_JA, password: str | None = None
) -> Path:
    """A PDF with lines of text on each page, 14 points apart; an empty line leaves a gap."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    if font == FONT_JA:
        pdfmetrics.registerFont(UnicodeCIDFont(FONT_JA))
    canvas = Canvas(str(path), encrypt=StandardEncryption(password, "owner") if password else None, invariant=True)
    for lines in pages:
        canvas.setFont(font, 10)
        for number, line in enumerate(lines):
            canvas.drawString(60, 800 - 14 * number, line)
        canvas.showPage()
    canvas.save()
    return path


def write_scan(path: Path, pages: int = 1) -> Path:
    """A PDF whose pages hold a picture and no text, as a scanner makes it."""
    from io import BytesIO

    from PIL import Image
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    picture = BytesIO()
    Image.new("L", (60, 80), 200).save(picture, "PNG")
    canvas = Canvas(str(path), invariant=True)
    for _ in range(pages):
        picture.seek(0)
        canvas.drawImage(ImageReader(picture), 0, 0, 595, 842)
        canvas.showPage()
    canvas.save()
    return path


def pdf_of(objects: Sequence[bytes]) -> bytes:
    """A PDF file of these objects, the first of which is the catalog."""
    body = b"%PDF-1.7\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (count, table, count, len(body))
    )


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (entries, len(content), content)


def pdf_with_broken_map(glyphs: int = 400, *, to_unicode: bytes | None = None) -> bytes:
    """A page in a font whose glyphs are numbered, with no map to characters or with the one given."""
    codes = b"".join(b"%04X" % (3 + i % 90) for i in range(glyphs))
    lines = b" T* ".join(b"<%s> Tj" % codes[i : i + 160] for i in range(0, len(codes), 160))
    font = b"<< /Type /Font /Subtype /Type0 /BaseFont /Lost /Encoding /Identity-H /DescendantFonts [6 0 R] %s >>"
    fonts = b"<< /Font << /F1 5 0 R >> >>"
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources %s >>" % fonts
    glyphs_font = (
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Lost /FontDescriptor 7 0 R /DW 1000"
        b" /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>"
    )
    descriptor = (
        b"<< /Type /FontDescriptor /FontName /Lost /Flags 4 /FontBBox [0 -200 1000 900] /ItalicAngle 0"
        b" /Ascent 900 /Descent -200 /CapHeight 700 /StemV 80 >>"
    )
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        page,
        stream(b"BT /F1 10 Tf 12 TL 50 800 Td %s ET" % lines),
        font % (b"/ToUnicode 8 0 R" if to_unicode else b""),
        glyphs_font,
        descriptor,
    ]
    return pdf_of([*objects, stream(to_unicode)] if to_unicode else objects)


PRIVATE_MAP = (
    b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Lost def /CMapType 2 def\n"
    b"1 begincodespacerange <0000> <FFFF> endcodespacerange\n"
    b"1 beginbfrange <0003> <0080> <E003> endbfrange\n"
    b"endcmap CMapName currentdict /CMap defineresource pop end end"
)
"""A map that gives characters of the private use area, as some exporters write."""
