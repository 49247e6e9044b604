"""`umekomi synthesize` from the outside: documents in, splits out, killed on the way, reviewed in a spreadsheet."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from kit.chat_server import ChatServer, Raw, chat_server, first_then
from kit.server import wait_until
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.tasks import LabelTask, RetrievalTask
from umekomi.search.lexical import terms

SAMPLE = open_task("sample-retrieval")
assert isinstance(SAMPLE, RetrievalTask)
RIGHT = {query: SAMPLE.corpus[min(rows)] for query, rows in zip(SAMPLE.queries, SAMPLE.relevant, strict=True)}
"""Questions on which a judge is tried, with the passage that answers them."""

WORD = re.compile(r"[ァ-ヴー]{3,}|[一-龠]{2,}|[a-z]{5,}")


def _umekomi(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "umekomi", "synthesize", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A document for each subject and language of the sample, Japanese ones in CP932, and one that is broken."""
    folder = tmp_path_factory.mktemp("documents")
    task = open_task("sample")
    assert isinstance(task, LabelTask)
    texts: dict[str, list[str]] = {}
    for text, label in zip(task.texts, task.labels, strict=True):
        language = "ja" if re.search("[ぁ-ん]", text) else "en"
        texts.setdefault(f"{label}.{language}.txt", []).append(text)
    for name, lines in texts.items():
        (folder / name).write_bytes("\n\n".join(lines).encode("cp932" if ".ja." in name else "utf-8"))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of a PDF follows")
    return folder


def say(body: dict[str, Any]) -> str:
    """An LLM that writes good queries: words of the passage, told apart by a judge that looks for them."""
    task = body.get("response_format", {}).get("json_schema", {}).get("name")
    asked = body["messages"][-1]["content"]
    if task == "probe":
        return '{"umekomi_probe": "enforced"}'
    passage, _, query = asked.partition('\n"""\n\n')
    words = list(dict.fromkeys(WORD.findall(passage.lower())))
    if task == "judge":
        query = query.split(": ", 1)[-1].split("：", 1)[-1]
        shared = set(terms(query)) & set(terms(passage))
        right = RIGHT[query] in passage if query in RIGHT else bool(shared)
        return json.dumps({"answers": right, "natural": True, "reason": f"{len(shared)} terms"})
    if task == "answer":
        return json.dumps({"answer": "＝" + words[0]}, ensure_ascii=False)
    few = words[len(words) // 2 :][:3] or words[:3]
    form = {"question": "{} について教えてください", "keyword": "{}", "claim": "{} は重要である"}[task]
    if not re.search("[ぁ-ん]", passage):
        form = {"question": "What is known of {}?", "keyword": "{}", "claim": "It is true that {} matter"}[task]
    return json.dumps({"query": form.format(" ".join(few))}, ensure_ascii=False)


def _run(documents: Path, output: Path, server: ChatServer, *more: str) -> subprocess.CompletedProcess[str]:
    llm = ("--llm", f"{server.url}#m", "--slots", "3", "--model", "hashing:64", "--per-document", "3")
    return _umekomi(str(documents), "-o", str(output), *llm, *more)


def _pairs(output: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        split: [json.loads(line) for line in (output / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
        for split in ("train", "dev", "test")
    }


@pytest.fixture(scope="module")
def finished(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int]:
    """A finished synthesis, what it said, and how many calls it took."""
    output = tmp_path_factory.mktemp("synthesis")
    with chat_server(say) as server:
        done = _run(documents, output, server, "--answers", "--explain")
    assert done.returncode == 0, done.stderr
    return output, done.stderr + done.stdout, len(server.asked)


def test_documents_become_splits_that_share_nothing(finished: tuple[Path, str, int]) -> None:
    output, said, _ = finished
    splits = _pairs(output)
    assert all(len(pairs) >= 3 for pairs in splits.values())
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        for field in ("source", "chunk_id", "query", "positive"):
            assert not {p[field] for p in splits[one]} & {p[field] for p in splits[other]}
    everything = [pair for pairs in splits.values() for pair in pairs]
    assert {pair["style"] for pair in everything} == {"question", "keyword", "claim"}
    assert {pair["language"] for pair in everything} == {"ja", "en"}
    assert "18 ok" in said
    assert "1 quarantined" in said or "1 failed" in said
    assert "the test split could show a difference" in said


def test_tables_and_folders_fit_together(finished: tuple[Path, str, int]) -> None:
    output, _, _ = finished
    everything = [pair for pairs in _pairs(output).values() for pair in pairs]
    table = json.loads((output / "pairs.json").read_text(encoding="utf-8"))
    assert [set(row) for row in table] == [{"id", "doc", "question", "answer"}] * len(everything)
    sheet = openpyxl.load_workbook(output / "pairs.xlsx").worksheets[0]
    assert sheet.max_row == len(everything) + 1
    task = open_task(f"{output / 'retrieval'}#test")
    assert task.kind == "retrieval"
    assert len(task) == len(_pairs(output)["test"])
    rejected = [json.loads(line) for line in (output / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]
    summary = json.loads((output / "synthesis.json").read_text(encoding="utf-8"))
    assert len(everything) + len(rejected) == summary["queries_asked"]
    assert sum(summary["rejected"].values()) == len(rejected)
    assert summary["judge"]["right"] >= 16
    report = (output / "report.html").read_text(encoding="utf-8")
    assert "<script" not in report
    assert all(split in report for split in ("train", "dev", "test"))


def test_a_second_run_asks_nothing_and_a_changed_document_only_for_itself(
    documents: Path, finished: tuple[Path, str, int], tmp_path: Path
) -> None:
    output = tmp_path / "output"
    calls = finished[2]
    shutil.copytree(finished[0], output)
    before = (output / "train.jsonl").read_bytes()
    with chat_server(say) as server:
        assert _run(documents, output, server, "--answers").returncode == 0
        assert len(server.asked) == 1  # the probe
        assert (output / "train.jsonl").read_bytes() == before
        copy = tmp_path / "documents"
        copy.mkdir()
        for path in documents.iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        changed = copy / "music.en.txt"
        changed.write_text(changed.read_text() + "\n\nA harpsichord plucks its strings.", encoding="utf-8")
        server.asked.clear()
        assert _run(copy, output, server, "--answers").returncode == 0
        assert 1 < len(server.asked) <= 1 + 3 * 3  # a query, a judgement and an answer for three queries
    assert calls > 100


def test_a_text_that_is_gone_takes_only_its_own_pairs_along(
    documents: Path, finished: tuple[Path, str, int], tmp_path: Path
) -> None:
    output, copy = tmp_path / "output", tmp_path / "documents"
    shutil.copytree(finished[0], output)
    shutil.copytree(documents, copy)
    gone = _pairs(output)["train"][0]
    book = openpyxl.load_workbook(output / "pairs.xlsx")
    book.worksheets[0].append([None, None, "an added question", None, None, None, gone["chunk_id"]])
    book.save(tmp_path / "sheet.xlsx")
    assert _umekomi("review", "import", str(output), str(tmp_path / "sheet.xlsx")).returncode == 0
    (copy / Path(gone["source"]).name).unlink()
    with chat_server(say) as server:
        done = _run(copy, output, server, "--answers")
    assert done.returncode == 0, done.stderr
    assert "left out by review: 1" in done.stderr
    assert gone["source"] not in (output / "train.jsonl").read_text(encoding="utf-8")
    assert "its chunk is no longer there" in (output / "rejected.jsonl").read_text(encoding="utf-8")
    inside = _umekomi(str(copy), "-o", str(copy / "pairs"), "--llm", "http://127.0.0.1:9/v1#m")
    assert "a later run would read its own files" in inside.stderr


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(
    documents: Path, finished: tuple[Path, str, int], tmp_path: Path, how: signal.Signals
) -> None:
    answered: list[str] = []
    at_work, ended = threading.Event(), threading.Event()

    def answer(body: dict[str, Any]) -> str:
        said = say(body)
        answered.append(json.dumps(body["messages"], ensure_ascii=False))
        return said

    def answer_later(body: dict[str, Any]) -> str:
        at_work.set()
        assert ended.wait(60)
        return answer(body)

    with chat_server(first_then(25, answer, answer_later)) as server:
        llm = ("--llm", f"{server.url}#m", "--slots", "3", "--model", "hashing:64", "--per-document", "3")
        command = [sys.executable, "-m", "umekomi", "synthesize", str(documents), "-o", str(tmp_path), *llm]
        process = subprocess.Popen([*command, "--answers"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        assert at_work.wait(200)
        process.send_signal(how)
        ended.set()
        assert process.wait(60) != 0
        assert not (tmp_path / "synthesis.json").exists()
        assert _run(documents, tmp_path, server, "--answers").returncode == 0
    repeated = len(answered) - len(set(answered))
    # What was answered and not kept: one more than slots, since a call waits so that no slot does. And the probe.
    assert repeated <= (3 + 1 + 1 if how == signal.SIGKILL else 1)
    for name in ("train.jsonl", "dev.jsonl", "test.jsonl", "pairs.json"):
        assert (tmp_path / name).read_bytes() == (finished[0] / name).read_bytes()


@pytest.mark.timeout(900)  # eight commands, one after another
def test_people_edit_delete_and_add_in_a_spreadsheet(documents: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with chat_server(say) as server:
        assert _run(documents, output, server, "--answers").returncode == 0
        everything = [pair for pairs in _pairs(output).values() for pair in pairs]
        sheet = tmp_path / "review.xlsx"
        assert _umekomi("review", "export", str(output), "-o", str(sheet)).returncode == 0
        book = openpyxl.load_workbook(sheet)
        rows = book.worksheets[0]
        edited, deleted = rows["A2"].value, rows["A3"].value
        rows["C2"].value = "=人が書き直した質問"
        rows["C2"].data_type = "s"
        rows["B4"].value = "人が直した文"
        rows.delete_rows(3)
        rows.append([None, None, "人が加えた質問", "答え", None, None, everything[5]["chunk_id"]])
        book.save(sheet)
        done = _umekomi("review", "import", str(output), str(sheet))
        assert done.returncode == 0, done.stderr
        assert "1 edited, 1 deleted, 1 added" in done.stderr
        assert "1 rows have another doc than was exported" in done.stderr
        assert deleted in (output / "rejected.jsonl").read_text(encoding="utf-8")
        assert "written by: human" in (output / "report.html").read_text(encoding="utf-8")
        once = (output / "train.jsonl").read_bytes()
        output = output.rename(tmp_path / "moved")
        assert _umekomi("review", "import", str(output), str(sheet)).returncode == 0
        assert (output / "train.jsonl").read_bytes() == once
        for _ in range(2):  # at once, and again after a later run
            pairs = {pair["id"]: pair for split in _pairs(output).values() for pair in split}
            assert deleted not in pairs
            assert (pairs[edited]["query"], pairs[edited]["origin"]) == ("=人が書き直した質問", "human")
            assert [p["origin"] for p in pairs.values() if p["query"] == "人が加えた質問"] == ["human"]
            assert len(pairs) == len(everything)
            assert _run(documents, output, server, "--answers").returncode == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows, _: rows.delete_cols(3), r"row 1: the column 'question' is lost"),
        (lambda rows, _: setattr(rows["A4"], "value", "zzz"), r"row 4: the id 'zzz' is not one"),
        (lambda rows, _: setattr(rows["A4"], "value", rows["A3"].value), r"row 4: the id .* stands in row 3"),
        (lambda rows, _: setattr(rows["C4"], "value", None), r"row 4: the question is empty"),
        (lambda rows, _: setattr(rows["G4"], "value", "zzz"), r"row 4: the chunk_id was changed"),
        (
            lambda rows, splits: rows.append(
                [None, None, splits["test"][0]["query"], None, None, None, splits["train"][0]["chunk_id"]]
            ),
            r"the question .* stands in t\w+ and in t\w+; change or delete one",
        ),
        (
            lambda rows, _: rows.append([None, None, "q", None, None, None, "no chunk"]),
            r"a new row needs the chunk_id",
        ),
    ],
)
def test_a_sheet_that_does_not_fit_changes_nothing(
    finished: tuple[Path, str, int], tmp_path: Path, change: Any, message: str
) -> None:
    output, _, _ = finished
    before = (output / "train.jsonl").read_bytes()
    splits = _pairs(output)
    book = openpyxl.load_workbook(output / "pairs.xlsx")
    change(book.worksheets[0], splits)
    book.save(tmp_path / "sheet.xlsx")
    done = _umekomi("review", "import", str(output), str(tmp_path / "sheet.xlsx"))
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert (output / "train.jsonl").read_bytes() == before
    assert not (output / "review.json").exists()


def test_a_table_of_another_format_is_not_promised(finished: tuple[Path, str, int], tmp_path: Path) -> None:
    done = _umekomi("review", "export", str(finished[0]), "-o", str(tmp_path / "review.csv"))
    assert done.returncode == 2
    assert "name it review.xlsx" in done.stderr
    assert not list(tmp_path.iterdir())


def test_cells_that_a_spreadsheet_would_run_are_written_as_text(finished: tuple[Path, str, int]) -> None:
    sheet = openpyxl.load_workbook(finished[0] / "pairs.xlsx").worksheets[0]
    for row in sheet.iter_rows(min_row=2, values_only=True):
        assert not [cell for cell in row if isinstance(cell, str) and cell[0] in "=+-@"]


def test_real_queries_are_matched_mixed_in_and_compared(documents: Path, tmp_path: Path) -> None:
    corpus_texts = [
        path.read_bytes().decode("cp932").split("\n\n")[0] for path in sorted(documents.glob("*.ja.txt"))
    ]
    asked = [*(" ".join(WORD.findall(text)) for text in corpus_texts), "無関係"]
    logs = tmp_path / "queries.csv"
    logs.write_text("count,query\n" + "".join(f"{n},{query}\n" for n, query in enumerate(asked)), encoding="utf-8")
    with chat_server(say) as server:
        done = _run(documents, tmp_path / "out", server, "--no-judge", "--queries", str(logs))
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "synthesis.json").read_text(encoding="utf-8"))
    there = summary["logs"]
    assert there["matched"] + there["unmatched"] + there["matched_in_test"] == len(corpus_texts) + 1
    assert not [pair for pair in _pairs(tmp_path / "out")["test"] if pair["origin"] == "log"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--styles", "riddle"], 2, "'riddle' is no style"),
        (["--languages", "fr"], 2, "no prompts for 'fr'"),
        (["--min-chars", "10", "--max-chars", "5"], 2, "no chunk could be both"),
        (["--min-chars", "100000"], 2, "no chunk is left to ask about"),
        (["--llm", "http://127.0.0.1:9/v1"], 2, "after '#'"),
        (["--model", "no-such-model"], 2, "no-such-model"),
        (["--prompts", "no-such-folder"], 2, "holds no prompt"),
        (["--queries", "no-such-file"], 2, "no-such-file"),
        ([], 3, "see that its server runs at this address"),
    ],
)
def test_wrong_options_are_one_line(
    documents: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    plain = ["--llm", "http://127.0.0.1:9/v1#m", "--model", "hashing:64"]
    done = _umekomi(str(documents), "-o", str(tmp_path / "out"), *plain, *arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_llm_that_only_chatters_leaves_empty_splits_and_says_so(documents: Path, tmp_path: Path) -> None:
    with chat_server(lambda body: "Sure! Here are two questions for you:") as server:
        done = _run(documents, tmp_path / "out", server)
    assert done.returncode == 0, done.stderr
    assert "does not keep to JSON schemas" in done.stderr
    assert "train 0, dev 0, test 0" in done.stderr
    assert _pairs(tmp_path / "out") == {"train": [], "dev": [], "test": []}


def test_an_llm_that_hangs_ends_the_run_within_bounds(documents: Path, tmp_path: Path) -> None:
    with chat_server(first_then(6, say, lambda body: Raw(hang=True))) as server:
        done = _run(documents, tmp_path / "out", server, "--timeout", "2", "--slots", "16")
        assert done.returncode == 3, done.stderr
        assert "calls in a row failed" in done.stderr
        assert "what was answered is kept" in done.stderr
        kept = len(server.asked)
    with chat_server(say) as server:
        assert _run(documents, tmp_path / "out", server).returncode == 0
    assert kept > 6


def test_sigterm_drains_and_a_second_one_cuts_off(documents: Path, tmp_path: Path) -> None:
    with chat_server(first_then(4, say, lambda body: Raw(hang=True))) as server:
        llm = ("--llm", f"{server.url}#m", "--slots", "2", "--model", "hashing:64")
        command = [sys.executable, "-m", "umekomi", "synthesize", str(documents), "-o", str(tmp_path), *llm]
        with subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8") as process:
            assert process.stderr is not None
            wait_until(lambda: len(server.asked) == 6, seconds=200, what="two calls that hang")
            process.send_signal(signal.SIGTERM)
            assert any("finishing the calls in flight" in line for line in process.stderr)
            second = _umekomi(str(documents), "-o", str(tmp_path), *llm)  # beside a run that is at work
            process.send_signal(signal.SIGTERM)
            assert process.wait(100) == 130  # the wait for an answer would take 300 s
    assert second.returncode == 2
    assert "another run is writing there" in second.stderr


def test_a_full_disk_is_said_and_loses_nothing(documents: Path, tmp_path: Path) -> None:
    limited = (  # no file may grow over 90 kB, as if the disk were full there
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, 90_000)); "
        "from umekomi.cli.main import main; main()"
    )
    with chat_server(say) as server:
        llm = ("--llm", f"{server.url}#m", "--model", "hashing:64", "--per-document", "3")
        arguments = ["synthesize", str(documents), "-o", str(tmp_path), *llm]
        done = subprocess.run([sys.executable, "-c", limited, *arguments], capture_output=True, encoding="utf-8")
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "synthesis.json").exists()
        assert len(server.asked) > 10
        assert _run(documents, tmp_path, server).returncode == 0
    asked = [json.dumps(body["messages"]) for body in server.asked]
    assert len(asked) - len(set(asked)) <= 1 + 4 + 1  # the probe, and calls in flight when the disk was full
    assert (tmp_path / "synthesis.json").exists()


def test_a_dry_run_asks_nothing(documents: Path, tmp_path: Path) -> None:
    with chat_server(lambda body: Raw(status=500)) as server:
        done = _run(documents, tmp_path / "out", server, "--dry-run", "--prompt-price", "1000")
    assert done.returncode == 0, done.stderr
    assert server.asked == []
    assert re.search(r"54 queries wanted .* calls of .* tokens, cost \d", done.stderr)
    assert re.search(r"expected time \d+ \w+ for all calls, with 3 at once and assuming", done.stderr)
