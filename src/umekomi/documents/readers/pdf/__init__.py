"""PDF: text by pypdfium2, lines into paragraphs by where they stand on the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from umekomi.documents.cleaning.lines import Words
from umekomi.documents.cleaning.passages import Passage, Reading
from umekomi.documents.document import Quarantined
from umekomi.documents.extras import load
from umekomi.documents.readers.pdf.furniture import drop_furniture
from umekomi.documents.readers.pdf.pages import Page, read_page
from umekomi.documents.readers.pdf.paragraphs import iter_paragraphs

MAX_PAGES: Final = 20_000
"""All lines of a document are looked at together, to find what stands on every page."""


def read(reading: Reading) -> Iterator[Passage]:
    """The paragraphs of a PDF. Raises `Quarantined` where it is encrypted, damaged or has no text layer."""
    pages = list(_iter_pages(reading))
    reading.pages = len(pages)
    without_text = sum(1 for page in pages if not page.lines and page.has_content)
    if not any(page.lines for page in pages):
        raise Quarantined("no text layer: needs OCR" if without_text else "empty: its pages hold nothing")
    if without_text:
        reading.warn(f"{without_text} of {len(pages)} pages have no text layer: they need OCR")
    lines = drop_furniture(pages, reading.dropped)
    words = Words.of(line.text for page in lines for line in page)
    yield from iter_paragraphs(lines, words)


def _iter_pages(reading: Reading) -> Iterator[Page]:
    pdfium = load("pypdfium2")
    raw = load("pypdfium2.raw")
    try:
        document = pdfium.PdfDocument(reading.path)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == raw.FPDF_ERR_PASSWORD:
            raise Quarantined("encrypted: needs a password") from None
        raise Quarantined(f"damaged: {_reason(error)}") from None
    try:
        if len(document) > MAX_PAGES:
            raise Quarantined(f"{len(document)} pages; the limit is {MAX_PAGES}: split it")
        if not raw.FPDF_DocumentHasValidCrossReferenceTable(document):
            reading.warn("its table of objects is damaged: pages may be missing")
        broken = 0
        for number in range(1, len(document) + 1):
            reading.beat()
            try:
                yield read_page(document, number, reading)
            except pdfium.PdfiumError:
                broken += 1
                yield Page(number, (), has_content=False)
        if broken:
            reading.warn(f"{broken} of {len(document)} pages are damaged and were left out")
    finally:
        document.close()


def _reason(error: Exception) -> str:
    """What PDFium says, without the words around it."""
    text = str(error)
    said = text.partition("PDFium: ")[2].rstrip(").").lower() or text
    return "its pages cannot be found" if said == "success" else said
