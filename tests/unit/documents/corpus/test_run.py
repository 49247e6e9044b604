"""A run over many files: what it writes, what it does again, and what it survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kit.office_files import write_docx, write_zip_bomb
from kit.pdf_files import write_pdf, write_scan
from umekomi.documents import ChunkSize, ReadOptions, read_document
from umekomi.documents.chunking.counting import CodePoints
from umekomi.documents.corpus.run import CorpusReport, build_corpus
from umekomi.errors import ConfigError, InvalidInput, StoreError

COUNTER = CodePoints(room=2000)
TEXT = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 30


def run(folder: Path, output: Path, **settings: Any) -> CorpusReport:
    return build_corpus([folder], output, COUNTER, options=ReadOptions(processes=2), **settings)


def lines(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_bytes().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_bytes(TEXT.encode("cp932"))
    write_pdf(folder / "b.pdf", [["本文です。", "次の行です。"]])
    write_docx(folder / "c.docx", ["# 題", "本文です。", [["品名", "価格"], ["りんご", "120"]]])
    write_scan(folder / "d.pdf")
    (folder / "e.pdf").write_bytes(b"%PDF-1.7")
    write_zip_bomb(folder / "f.docx", 17 << 20)
    (folder / "g.txt").write_bytes(TEXT.encode("cp932"))
    (folder / ".hidden.txt").write_text("x")
    return folder


def test_every_file_ends_somewhere_and_every_chunk_leads_back(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "corpus.jsonl"
    report = run(folder, output)
    statuses = {Path(each.outcome.path).name: each.outcome.status for each in report.files}
    assert statuses == {
        "a.txt": "ok",
        "b.pdf": "ok",
        "c.docx": "ok",
        "d.pdf": "quarantined",
        "e.pdf": "quarantined",
        "f.docx": "quarantined",
        "g.txt": "warned",
    }
    chunks = lines(output)
    assert [Path(chunk["source"]).name for chunk in chunks] == [*["a.txt"] * 3, "b.pdf", "c.docx"]
    assert len({chunk["id"] for chunk in chunks}) == len(chunks)
    texts = {path: read_document(path).text for path in {chunk["source"] for chunk in chunks}}
    for chunk in chunks:
        assert chunk["text"] == texts[chunk["source"]][chunk["start"] : chunk["end"]]
        assert chunk["tokens"] == len(chunk["text"]) <= 384
    assert TEXT[chunks[1]["raw_start"] : chunks[1]["raw_end"]] == chunks[1]["text"]
    assert (chunks[3]["page"], chunks[3]["language"], chunks[4]["kind"]) == (1, "ja", "mixed")


def test_documents_json_says_what_became_of_each_file(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "corpus.jsonl")
    stated = json.loads((tmp_path / "documents.json").read_text())
    by_name = {Path(entry["path"]).name: entry for entry in stated["files"]}
    assert by_name["a.txt"]["encoding"] == "cp932"
    assert by_name["d.pdf"]["reason"] == "no text layer: needs OCR"
    assert by_name["g.txt"]["warnings"] == [f"the same content as {folder / 'a.txt'}: its chunks stand for both"]
    assert stated["totals"] | {"tokens": 0} == {
        **{"ok": 3, "warned": 1, "quarantined": 3, "failed": 0, "skipped": 1, "chunks": 5},
        "tokens": 0,
    }
    assert stated["skipped"] == [{"path": str(folder / ".hidden.txt"), "why": "hidden"}]
    corpus = (tmp_path / "corpus.jsonl").read_bytes()
    part = corpus[by_name["b.pdf"]["first_byte"] : by_name["b.pdf"]["last_byte"]]
    assert json.loads(part)["source"].endswith("b.pdf")
    assert not list(tmp_path.glob(".*.parts"))


def test_a_second_run_reads_only_what_changed(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "corpus.jsonl"
    first = run(folder, output)
    before = output.read_bytes()
    assert (first.read, run(folder, output).read) == (7, 0)
    assert output.read_bytes() == before
    (folder / "h.md").write_text("# 新しい")
    (folder / "a.txt").unlink()  # the original of g.txt, which must take its place
    os.utime(folder / "b.pdf", ns=(1, 1))
    assert run(folder, output).read == 3
    assert [Path(each["source"]).name for each in lines(output)] == ["b.pdf", "c.docx", *["g.txt"] * 3, "h.md"]
    assert run(folder, output, size=ChunkSize(50, 60)).read == 7


def test_ids_survive_a_rename_and_a_move(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "corpus.jsonl")
    before = {chunk["id"] for chunk in lines(tmp_path / "corpus.jsonl")}
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    (moved / "a.txt").rename(moved / "z.txt")
    run(moved, tmp_path / "corpus.jsonl")
    assert {chunk["id"] for chunk in lines(tmp_path / "corpus.jsonl")} == before


def test_a_damaged_output_is_made_anew(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "corpus.jsonl"
    run(folder, output)
    whole = output.read_bytes()
    output.write_bytes(whole[:-10])
    assert run(folder, output).read == 7
    assert output.read_bytes() == whole


KILLED = """
import itertools, sys, time
from pathlib import Path
from umekomi.documents import ReadOptions
from umekomi.documents.corpus.run import build_corpus
from umekomi.documents.chunking.counting import CodePoints
calls = itertools.count()  # the first tells of no file
def stop(_files):
    if next(calls) == int(sys.argv[3]):
        print("stopped", flush=True)
        time.sleep(600)
build_corpus([Path(sys.argv[1])], Path(sys.argv[2]), CodePoints(room=2000), options=ReadOptions(), progress=stop)
"""
"""A run that stops of itself once so many files are done, so that the kill comes before it is over."""


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number:02}.txt").write_text(f"{number}番の文書です。" * 100)
    output = tmp_path / "corpus.jsonl"
    child = subprocess.Popen([sys.executable, "-c", KILLED, folder, output, "10"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"stopped\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not output.exists()
    assert run(folder, output).read == 20
    other = tmp_path / "other"
    other.mkdir()
    run(folder, other / "corpus.jsonl")
    assert output.read_bytes() == (other / "corpus.jsonl").read_bytes()


def test_reading_processes_end_with_the_run_that_was_killed(tmp_path: Path) -> None:
    import psutil

    (tmp_path / "docs").mkdir()
    for number in range(50):
        (tmp_path / "docs" / f"{number}.txt").write_text("本文。")
    command = [sys.executable, "-c", KILLED, tmp_path / "docs", tmp_path / "corpus.jsonl", "3"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"stopped\n"
    readers = psutil.Process(child.pid).children()
    child.kill()
    child.wait()
    child.stdout.close()
    assert readers
    _, left = psutil.wait_procs(readers, timeout=120)
    assert not [reader for reader in left if reader.status() != psutil.STATUS_ZOMBIE]  # which nobody fetches here


def test_a_torn_journal_costs_what_was_torn(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "corpus.jsonl"
    journal = tmp_path / ".corpus.jsonl.parts" / "files.jsonl"

    def stop(_count: int) -> None:
        if journal.exists() and len(journal.read_bytes().splitlines()) > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, output, progress=stop)
    lines_before = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines_before[:3]) + lines_before[3][:30])
    with pytest.raises(KeyboardInterrupt):
        run(folder, output, progress=stop)
    assert 7 - len(journal.read_bytes().splitlines()) < 4
    assert run(folder, output).read < 5
    other = tmp_path / "other"
    other.mkdir()
    run(folder, other / "corpus.jsonl")
    assert output.read_bytes() == (other / "corpus.jsonl").read_bytes()


def test_a_full_disk_is_one_error_and_nothing_is_lost(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "corpus.jsonl"
    run(folder, output)
    whole = output.read_bytes()
    (folder / "h.txt").write_text("増えた。")

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("umekomi.writing.os.fsync", full)
        with pytest.raises(StoreError, match="No space left on device"):
            run(folder, output)
    assert output.read_bytes() == whole
    assert run(folder, output).read == 1


def test_two_runs_do_not_write_one_output(folder: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    with FileLock(tmp_path / ".corpus.jsonl.parts.lock"), pytest.raises(StoreError, match="another run"):
        run(folder, tmp_path / "corpus.jsonl")


def test_what_cannot_be_written_or_found_is_said_before_any_work(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        run(folder, tmp_path / "none" / "corpus.jsonl")
    with pytest.raises(ConfigError, match="is a folder"):
        run(folder, folder)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".x.txt").write_text("x")
    with pytest.raises(InvalidInput, match="no file to read; skipped were 1, such as"):
        run(tmp_path / "empty", tmp_path / "corpus.jsonl")
    run(folder, tmp_path / "corpus.jsonl")
    with pytest.raises(ConfigError, match=r"belongs to corpus\.jsonl"):
        run(folder, tmp_path / "other.jsonl")
