"""The request log: whole lines, no text unless asked for, bounded files, and never a wait."""

from __future__ import annotations

import contextlib
import json
import os
import select
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kit.server import PATIENCE_S
from umekomi.errors import StoreError
from umekomi.serve.request_log import MAX_CAPTURED_CHARS, Line, RequestLog

TEXT = "社外秘の本文"


def a_line(number: int = 0, **facts: Any) -> Line:
    return Line(request_id=f"req_{number}", route="/v1/embeddings", status=200, duration_ms=1.5, **facts)


def read(*paths: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def files_of(path: Path) -> list[Path]:
    """The oldest first."""
    return sorted(
        path.parent.glob(f"{path.name}*"), key=lambda each: -int(each.suffix[1:] or 0) if each != path else 1
    )


def test_a_line_says_who_asked_what_and_how_it_went(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "requests.jsonl"
    with RequestLog(path) as log:
        log.write(
            a_line(
                key="sk-umekomi-0a1b2c3d",
                key_name="検索",
                model="e5",
                input_tokens=12,
                truncated=1,
                durations={"tokenise": 0.4, "run": 0.9},
                client="127.0.0.1",
            ),
            captured={"request": TEXT},
        )
    (line,) = read(path)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "request_id": "req_0",
        "route": "/v1/embeddings",
        "status": 200,
        "duration_ms": 1.5,
        "key": "sk-umekomi-0a1b2c3d",
        "key_name": "検索",
        "model": "e5",
        "input_tokens": 12,
        "output_tokens": 0,
        "truncated": 1,
        "durations": {"tokenise": 0.4, "run": 0.9},
        "client": "127.0.0.1",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_capture_is_marked_and_ends_by_itself(tmp_path: Path) -> None:
    path, now = tmp_path / "requests.jsonl", [0.0]
    with RequestLog(path, capture_s=60, clock=lambda: now[0]) as log:
        assert log.capturing
        log.write(a_line(1), captured={"request": TEXT, "answer": "y" * (MAX_CAPTURED_CHARS + 5)})
        now[0] = 60.0
        assert not log.capturing
        log.write(a_line(2), captured={"request": TEXT})
        log.write(a_line(3), captured={"request": TEXT})
    lines = read(path)
    assert [line.get("event") or line["request_id"] for line in lines] == [
        "capture on",
        "req_1",
        "capture off",
        "req_2",
        "req_3",
    ]
    assert next(iter(lines[1])) == "captured"
    assert lines[1]["captured"]["request"] == TEXT
    assert lines[1]["captured"]["answer"].endswith("y… (5 more characters)")
    assert path.read_text(encoding="utf-8").count(TEXT) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("max_files", [1, 3])
def test_files_stay_under_their_size_and_the_newest_lines_are_kept(tmp_path: Path, max_files: int) -> None:
    path = tmp_path / "requests.jsonl"
    with RequestLog(path, max_file_bytes=4096, max_files=max_files) as log:
        for number in range(200):
            log.write(a_line(number))
    files = files_of(path)
    assert len(files) == max_files
    assert all(file.stat().st_size <= 4096 for file in files)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    numbers = [int(line["request_id"].removeprefix("req_")) for line in read(*files)]
    assert numbers == list(range(200 - len(numbers), 200))


def test_threads_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    with RequestLog(path, max_file_bytes=20_000, max_files=100) as log:
        threads = [threading.Thread(target=lambda: [log.write(a_line(n)) for n in range(500)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert log.dropped == 0
    assert len(read(*files_of(path))) == 2000


def test_a_disk_that_does_not_keep_up_costs_lines_and_no_time(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"\n" * 4096)  # until it takes no more
    log = RequestLog(path, max_queued_lines=10)
    waiting = threading.Event()
    write = log._files.write
    log._files.write = lambda lines: (waiting.set(), write(lines))[1]  # type: ignore[method-assign]
    log.write(a_line())
    assert waiting.wait(PATIENCE_S)
    for number in range(1, 1000):
        log.write(a_line(number))  # where a line had to wait, it would be for ever
    dropped = log.dropped
    assert dropped == 989  # all but the one that the disk does not take, and the ten that wait behind it
    closing = threading.Thread(target=log.close)
    closing.start()
    received = bytearray()
    while closing.is_alive() or select.select([pipe], [], [], 0)[0]:
        with contextlib.suppress(BlockingIOError):
            received += os.read(pipe, 65_536)
    os.close(pipe)
    lines = [json.loads(line) for line in received.split()]
    assert sum(line["lines"] for line in lines if line.get("event") == "dropped") == dropped
    assert sum("request_id" in line for line in lines) == 1000 - dropped


FULL_DISK = """
import logging, resource, sys, time
from pathlib import Path
from umekomi.serve.request_log import Line, RequestLog

logging.basicConfig(level=logging.ERROR, stream=sys.stdout, format="%(message)s")
def line(number):
    return Line(request_id=f"req_{number}", route="/", status=200, duration_ms=1.0)
log = RequestLog(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))  # a write is cut short, the next one fails
for number in (1, 2):
    log.write(line(number))
    while log.dropped < number:
        time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.write(line(3))
log.close()
"""


def test_a_full_disk_is_said_once_and_survived(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert done.stdout.count("lines of the request log are lost") == 1
    cut, *whole = path.read_bytes().splitlines()
    assert cut == cut.removesuffix(b"}")  # what the first write left of its line
    assert [line.get("request_id") or line["lines"] for line in map(json.loads, whole)] == ["req_3", 2]


def test_a_line_that_a_crash_cut_short_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(b'{"request_id": "whole"}\n{"request_i')
    with RequestLog(path) as log:
        log.write(a_line(1, model="\ud800broken\nline"), captured=None)
    whole, cut, new = path.read_bytes().splitlines()
    assert json.loads(whole) == {"request_id": "whole"}
    assert cut == b'{"request_i'
    assert json.loads(new)["model"] == "?broken\nline"


def test_a_place_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the request log cannot be written: Is a directory"):
        RequestLog(tmp_path)
