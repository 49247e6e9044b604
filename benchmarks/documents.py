"""Reading documents: pages of text PDFs a second and core, and memory over a thousand files. Makes its own files.

Seconds are of processor time, which a busy machine disturbs less than the clock. Rounds alternate with bare calls
of PDFium on the same pages, which no reader built on it can beat.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from report import describe_machine
from umekomi.documents import Block, Document, ReadOptions, build_chunks, load_counter
from umekomi.documents.cleaning.normalise import normalise
from umekomi.documents.corpus.run import build_corpus
from umekomi.documents.isolation.reading import read_file
from umekomi.documents.isolation.wire import Job

JAPANESE = (
    "会議では来年度の予算について話し合い、出席者の多くが賛成した。",
    "新しい設備は三月に届き、四月から全ての工場で使われる予定である。",
    "担当者は月末までに報告書をまとめ、部長に提出しなければならない。",
    "品質を保つために、検査の手順は毎年見直すこととされている。",
    "この規程に定めのない事項については、委員会がその都度決める。",
)
ENGLISH = (
    "The committee discussed the budget for the coming year and most members agreed with it. ",
    "New equipment arrives in March and will be used in every plant from April onwards. ",
    "Whoever is in charge writes a report by the end of the month and hands it to the head. ",
    "To keep quality where it is, the steps of inspection are looked at again each year. ",
    "What these rules do not say is decided by the committee whenever the need for it arises. ",
)
PACKAGES = ("umekomi", "pypdfium2", "lxml", "python-docx", "sentencex", "tokenizers")


@dataclass(frozen=True, slots=True)
class Speed:
    """Pages a second of one core, the median of the rounds. ``chunked``: read, and cut to chunks as well."""

    name: str
    pages: int
    characters: int
    bare: float
    read: float
    chunked: float


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run: peak resident bytes of this process and of its largest reading process, early and at the end."""

    files: int
    seconds: float
    chunks: int
    peak_early: tuple[int, int]
    peak: tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="multilingual-e5-small", help="whose tokens are counted; hashing:DIM")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pages", type=int, default=300, help="of each PDF")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="2 rounds, 60 pages, 200 files")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.pages, options.files = 2, 60, 200
    console = Console()
    counter = load_counter(options.model, notify=console.print)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        speeds = [
            _measure(name, _write_pdf(folder / f"{name}.pdf", sentences, options.pages), counter, options.rounds)
            for name, sentences in (("Japanese", JAPANESE), ("English", ENGLISH))
        ]
        _write_files(folder / "files", options.files)
        run = _run(folder, counter, options)
    _print(console, speeds, run)
    if options.json:
        content = {"speeds": [asdict(speed) for speed in speeds], "run": asdict(run), "machine": describe_machine()}
        options.json.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_pdf(path: Path, sentences: Sequence[str], pages: int) -> Path:
    """A PDF of full pages: a header, 36 lines of running text, a page number."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    wide = not sentences[0].isascii()
    font, columns = ("HeiseiMin-W3", 40) if wide else ("Helvetica", 88)
    pdfmetrics.registerFont(UnicodeCIDFont("HeiseiMin-W3"))
    canvas = Canvas(str(path))
    for page in range(1, pages + 1):
        canvas.setFont(font, 10)
        canvas.drawString(60, 810, "社内規程集" if wide else "Annual report")
        text = f"{page}." + "".join(sentences[(page * 7 + n * n) % len(sentences)] for n in range(120))
        for number in range(36):
            canvas.drawString(60, 780 - 18 * number, text[number * columns : (number + 1) * columns])
        canvas.drawString(290, 40, str(page))
        canvas.showPage()
    canvas.save()
    return path


def _write_files(folder: Path, count: int) -> None:
    """A mixture, each file of another content: PDF, DOCX, CP932 text, HTML, CSV, and some that are broken."""
    import docx

    folder.mkdir()
    for number in range(count):
        text = f"{number}番の文書。" + "".join(JAPANESE[(number + n) % 5] for n in range(40))
        path = folder / f"{number:05}"
        match number % 6:
            case 0:
                _write_pdf(path.with_suffix(".pdf"), JAPANESE if number % 12 else ENGLISH, 2 + number % 5)
            case 1:
                document = docx.Document()
                document.add_heading(f"第{number}章", 1)
                document.add_paragraph(text)
                document.save(str(path.with_suffix(".docx")))
            case 2:
                path.with_suffix(".txt").write_bytes(text.encode("cp932"))
            case 3:
                path.with_suffix(".html").write_text(f"<html><h1>{number}</h1><p>{text}</p></html>")
            case 4:
                rows = "".join(f"{n},{JAPANESE[n % 5]}\n" for n in range(50))
                path.with_suffix(".csv").write_text(f"番号,文{number}\n{rows}")
            case _:
                path.with_suffix(".pdf").write_bytes(b"%PDF-1.7\n" + text.encode())


def _measure(name: str, path: Path, counter: Any, rounds: int) -> Speed:
    pages, characters = 0, 0
    times: dict[str, list[float]] = {"bare": [], "read": [], "chunked": []}
    for number in range(rounds + 1):  # the first warms up
        seconds, _ = _timed(lambda: _bare(path))
        blocks: list[Block] = []
        job = Job(path, str(path))
        read_s, outcome = _timed(
            lambda job=job, blocks=blocks: read_file(job, send=lambda some, _id: blocks.extend(some), beat=_nothing)
        )
        document = Document(outcome.document_id or "", str(path), "pdf", "", tuple(blocks))
        chunk_s, _ = _timed(lambda document=document: list(build_chunks(document, counter)))
        pages, characters = outcome.pages or 0, outcome.characters
        if number:
            for key, value in (("bare", seconds), ("read", read_s), ("chunked", read_s + chunk_s)):
                times[key].append(value)
    speeds = {key: pages / statistics.median(values) for key, values in times.items()}
    return Speed(name, pages, characters, **speeds)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def _nothing() -> None:
    pass


def _bare(path: Path) -> None:
    """What PDFium itself takes: each page's text, and its compatibility characters normalised."""
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        for page in document:
            text_page = page.get_textpage()
            normalise(text_page.get_text_range())
            text_page.close()
            page.close()


def _run(folder: Path, counter: Any, options: argparse.Namespace) -> Run:
    peak = [0, 0]
    early: list[tuple[int, int]] = []
    ended = threading.Event()

    def watch() -> None:
        own = psutil.Process()
        while not ended.wait(0.05):
            peak[0] = max(peak[0], own.memory_info().rss)
            for child in own.children():
                try:
                    peak[1] = max(peak[1], child.memory_info().rss)
                except psutil.Error:
                    continue

    done = 0

    def progress(files: int) -> None:
        nonlocal done
        done += files
        if not early and done >= options.files // 10:
            early.append((peak[0], peak[1]))

    thread = threading.Thread(target=watch)
    thread.start()
    started = time.perf_counter()
    try:
        reading = ReadOptions(processes=options.processes)
        report = build_corpus(
            [folder / "files"], folder / "corpus.jsonl", counter, options=reading, progress=progress
        )
    finally:
        ended.set()
        thread.join()
    seconds = time.perf_counter() - started
    return Run(len(report.files), seconds, report.totals["chunks"], early[0], (peak[0], peak[1]))


def _print(console: Console, speeds: Sequence[Speed], run: Run) -> None:
    table = Table(title="text PDFs: pages a second of one core")
    for heading in ("pages", "characters a page", "PDFium alone", "read", "of PDFium", "read and chunked"):
        table.add_column(heading, justify="right")
    for speed in speeds:
        cells = (
            f"{speed.name}, {speed.pages}",
            f"{speed.characters / speed.pages:,.0f}",
            f"{speed.bare:,.0f}",
            f"{speed.read:,.0f}",
            f"{speed.read / speed.bare:.0%}",
            f"{speed.chunked:,.0f}",
        )
        table.add_row(*cells)
    console.print(table)
    own, reader = run.peak
    early_own, early_reader = run.peak_early
    console.print(
        f"{run.files} files, {run.chunks} chunks: {run.files / run.seconds:,.0f} files a second; peak memory "
        f"{own / 1e6:,.0f} MB here ({early_own / 1e6:,.0f} after a tenth), {reader / 1e6:,.0f} MB in the largest "
        f"reading process ({early_reader / 1e6:,.0f})"
    )
    machine = describe_machine()
    console.print(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}")
    console.print(", ".join(f"{name} {version(name)}" for name in PACKAGES))


if __name__ == "__main__":
    main()
