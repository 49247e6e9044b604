"""Reading processes: what a file does to its own costs that file alone."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from kit.server import wait_until
from umekomi.documents import Limits, ReadOptions, iter_documents, read_document
from umekomi.documents.isolation import pool, wire
from umekomi.documents.isolation.pool import Delivery, read_all
from umekomi.documents.isolation.wire import Job, decode_job, encode_job, shown_path
from umekomi.errors import InvalidInput

WORKERS = Path(__file__).parent
PRELUDE = """
import os, signal, sys, time
sys.argv = ["worker", "{memory}"]
from umekomi.documents.isolation import worker
from umekomi.documents.readers import text
plain = text.read
def hang(ticks):
    while True:
        ticks.open("a").write("."); time.sleep(0.2)
def read(reading):
    name = reading.path.name
    if name.startswith("crash"): os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("hang"): hang(reading.path.with_suffix(".hangs"))
    if name.startswith("print"): os.write(1, b"a library's noise\\n"); print("more of it")
    if name.startswith("eat"): hold = bytearray(1 << 30)
    yield from plain(reading)
text.read = read
worker.main()
"""


@pytest.fixture
def tampered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading processes in which the names of files say what befalls the reader."""
    started = pool.subprocess.Popen

    def start(command: list[str], **options: object) -> object:
        return started([*command[:2], "-c", PRELUDE.format(memory=command[-1])], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(pool.subprocess, "Popen", start)


def write(folder: Path, *names: str) -> list[Path]:
    paths = [folder / f"{name}.txt" for name in names]
    for path in paths:
        path.write_text(f"{path.stem}の本文です。")
    return paths


@pytest.mark.usefixtures("tampered")
def test_crashes_hangs_noise_and_greed_cost_one_file_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def clock() -> float:
        """Five minutes go by at each tick of the reader that hangs, and none while another one starts."""
        ticks = tmp_path / "hang.hangs"
        return time.monotonic() + 300 * (ticks.stat().st_size if ticks.exists() else 0)

    monkeypatch.setattr(pool, "time", SimpleNamespace(monotonic=clock))
    paths = write(tmp_path, "a", "crash", "b", "hang", "c", "print", "d", "eat", "e")
    options = ReadOptions(limits=Limits(silence_s=200, total_s=1000, memory_bytes=512 << 20))
    outcomes = {Path(read.outcome.path).stem: read.outcome for read in iter_documents(paths, options=options)}
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        **dict.fromkeys(("a", "b", "c", "d", "e", "print"), "ok"),
        **dict.fromkeys(("crash", "hang", "eat"), "failed"),
    }
    assert outcomes["crash"].reason == "its reader crashed (signal 11)"
    assert outcomes["hang"].reason.startswith("took too long: 200 s without progress")
    assert outcomes["eat"].reason == "needs more memory than a reading process may take"


def test_processes_end_when_the_reader_is_left(tmp_path: Path) -> None:
    reads = iter_documents(write(tmp_path, *map(str, range(20))), options=ReadOptions(processes=2))
    before = set(psutil.Process().children())  # of other tests in this process, such as joblib's tracker
    threads = set(threading.enumerate())
    next(reads)
    assert set(threading.enumerate()) - threads  # others of earlier tests may end meanwhile
    children = set(psutil.Process().children()) - before
    assert children
    reads.close()
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not set(threading.enumerate()) - threads


@pytest.mark.usefixtures("tampered")
def test_a_file_that_hangs_is_not_read_again_when_the_reader_is_left(tmp_path: Path) -> None:
    """Nobody would watch over the second reading: leaving would wait for it without end."""
    reads = iter_documents(write(tmp_path, "a", "hang"))
    next(reads)
    wait_until((tmp_path / "hang.hangs").exists, seconds=200, what="the hang")
    reads.close()


def test_what_a_handler_raises_ends_the_run(tmp_path: Path) -> None:
    def handle(_delivery: Delivery) -> None:
        raise InvalidInput("full")

    jobs = [Job(path, shown_path(path)) for path in write(tmp_path, "a", "b", "c")]
    with pytest.raises(InvalidInput, match="full"):
        list(read_all(jobs, handle, processes=2))


def test_a_process_killed_from_outside_is_replaced(tmp_path: Path) -> None:
    seen = []
    others = set(psutil.Process().children())  # of other tests in this process, such as a browser

    def handle(delivery: Delivery) -> None:
        text = "".join(block.text for block in delivery.blocks)
        seen.append(text)
        if len(seen) == 1:
            for child in set(psutil.Process().children()) - others:
                os.kill(child.pid, signal.SIGKILL)
                wait_until(lambda child=child: child.status() == psutil.STATUS_ZOMBIE, what="its end")  # type: ignore[misc]

    jobs = [Job(path, shown_path(path)) for path in write(tmp_path, "a", "b", "c")]
    outcomes = [handled.outcome.status for handled in read_all(jobs, handle)]
    assert outcomes.count("ok") >= 2
    assert len(outcomes) == 3


def test_a_modules_name_in_the_users_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orjson.py").write_text("raise SystemExit('a stranger ran')")
    monkeypatch.chdir(tmp_path)
    assert read_document(write(tmp_path, "a")[0]).text == "aの本文です。"


def test_names_that_are_no_utf8_travel_whole(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\x93\xfa\x96\x7b.txt"))
    job = Job(path, shown_path(path), encoding="cp932")
    line = wire.orjson.dumps(encode_job(job))
    assert decode_job(line) == job
    path.write_text("本文です。")
    assert read_document(path).path.endswith("\\x93\\xfa\\x96{.txt")


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 nothing")
    with pytest.raises(InvalidInput, match=r"a\.pdf: quarantined: damaged: "):
        read_document(tmp_path / "a.pdf")
    with pytest.raises(InvalidInput, match=r"none\.txt: failed: cannot be read: No such file"):
        read_document(tmp_path / "none.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(InvalidInput, match="no plain file"):
        read_document(tmp_path / "pipe.txt")


@pytest.mark.slow
def test_a_text_far_larger_than_the_memory_is_read_whole(tmp_path: Path) -> None:
    line = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n"
    path = tmp_path / "a.txt"
    with path.open("w", encoding="cp932", newline="") as file:
        for _ in range(1000):
            file.write(line * 500)
    counts = []

    def handle(delivery: Delivery) -> None:
        counts.append(sum(block.text.count("猫") for block in delivery.blocks))

    limits = Limits(memory_bytes=200 << 20)
    (handled,) = read_all([Job(path, str(path))], handle, limits=limits)
    assert (handled.outcome.status, handled.outcome.encoding) == ("ok", "cp932")
    assert counts == [500_000]
