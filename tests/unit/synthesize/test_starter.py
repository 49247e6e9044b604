"""Synthesis with the starter LLM in this process: weak queries, and every promise of the pipeline kept."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import pytest

from kit.office_files import write_docx, write_zip_bomb
from kit.pdf_files import write_pdf
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.tasks import LabelTask

pytestmark = [pytest.mark.starter, pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Japanese and English PDF and DOCX, text in CP932, and files that cannot be read."""
    folder = tmp_path_factory.mktemp("documents")
    task = open_task("sample-en")
    japanese = open_task("sample-ja")
    assert isinstance(task, LabelTask)
    assert isinstance(japanese, LabelTask)
    texts: dict[str, list[str]] = {}
    for source in (task, japanese):
        for text, label in zip(source.texts, source.labels, strict=True):
            texts.setdefault(f"{label}.{source.name[-2:]}", []).append(text)
    for number, (name, lines) in enumerate(list(texts.items())[:6]):
        if number % 2:
            write_docx(folder / f"{name}.docx", lines)
        else:
            write_pdf(folder / f"{name}.pdf", [_wrapped(lines, 80)], font="Helvetica")
    write_pdf(folder / "japanese.pdf", [_wrapped(texts["music.ja"], 40)])
    (folder / "cp932.txt").write_bytes("\n\n".join(texts["law.ja"]).encode("cp932"))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of a PDF follows")
    (folder / "empty.docx").write_bytes(b"")
    write_zip_bomb(folder / "bomb.docx", 300_000_000)
    return folder


def test_a_folder_becomes_splits_with_the_starter_and_survives_a_kill(documents: Path, tmp_path: Path) -> None:
    few = ("--per-document", "1", "--styles", "question", "--max-tokens", "60")
    options = (*few, "--slots", "1", "--threads", "1", "--no-judge")
    llm = ("--llm", "smollm2-135m-instruct", "--model", "multilingual-e5-small")
    command = [sys.executable, "-m", "umekomi", "synthesize", str(documents), "-o", str(tmp_path), *llm, *options]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    ledger = tmp_path / "calls.sqlite"
    while (kept := _kept(ledger)) < 2:
        assert first.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait(30)
    kept = _kept(ledger)
    assert not (tmp_path / "synthesis.json").exists()
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=1000, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert f"{kept} kept from before" in done.stderr
    files = json.loads((tmp_path / "documents.json").read_text(encoding="utf-8"))["files"]
    ended = {Path(entry["path"]).name: entry["status"] for entry in files}
    assert [name for name, status in ended.items() if status in ("quarantined", "failed")] == [
        "bomb.docx",
        "broken.pdf",
        "empty.docx",
    ]
    pairs = [
        json.loads(line)
        for split in ("train", "dev", "test")
        for line in (tmp_path / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    rejected = (tmp_path / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(pairs) + len(rejected) == 8
    assert all(pair["positive"] and pair["query"] for pair in pairs)


def _wrapped(texts: list[str], width: int) -> list[str]:
    return [line for text in texts for line in (*textwrap.wrap(text, width), "")]


def _kept(ledger: Path) -> int:
    if not ledger.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM replies").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
