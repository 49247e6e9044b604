"""Usage: nothing lost on a normal stop, nothing broken by a killed process or a disk that fails for a while."""

from __future__ import annotations

import logging
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from kit.server import wait_until
from umekomi.errors import StoreError
from umekomi.serve.access import database
from umekomi.serve.access.keys import KeyStore
from umekomi.serve.access.usage import UsageRecorder, read_usage


def totals(path: Path) -> tuple[int, int]:
    rows = read_usage(path)
    return sum(row.requests for row in rows), sum(row.input_tokens for row in rows)


def test_usage_adds_up_by_key_model_and_day(tmp_path: Path) -> None:
    path = tmp_path / "server.sqlite"
    now = [datetime(2026, 11, 20, 23, 59, tzinfo=UTC).timestamp()]
    with KeyStore(path) as store:
        key_id = store.create("検索").key.id
    with UsageRecorder(path, clock=lambda: now[0]) as usage:
        usage.count(key_id=key_id, model="e5", input_tokens=10)
        usage.count(key_id=key_id, model="chat", input_tokens=5, output_tokens=20)
        now[0] += 120
        usage.count(key_id=key_id, model="e5", input_tokens=1)
        usage.count(key_id=None, model="e5", failed=True)
    rows = [
        (r.day, r.key, r.model, r.requests, r.input_tokens, r.output_tokens, r.errors) for r in read_usage(path)
    ]
    assert rows == [
        ("2026-11-20", "検索", "chat", 1, 5, 20, 0),
        ("2026-11-20", "検索", "e5", 1, 10, 0, 0),
        ("2026-11-21", "", "e5", 1, 0, 0, 1),
        ("2026-11-21", "検索", "e5", 1, 1, 0, 0),
    ]
    assert [(r.key, r.requests) for r in read_usage(path, by="key")] == [("検索", 3), ("", 1)]
    assert [(r.model, r.input_tokens) for r in read_usage(path, by="model")] == [("chat", 5), ("e5", 11)]
    assert [(r.day, r.key, r.errors) for r in read_usage(path, by="day")] == [
        ("2026-11-20", None, 0),
        ("2026-11-21", None, 1),
    ]
    assert [r.day for r in read_usage(path, since=date(2026, 11, 21), by="day")] == ["2026-11-21"]


def test_two_keys_of_one_name_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "server.sqlite"
    with KeyStore(path) as store, UsageRecorder(path) as usage:
        for _ in range(2):
            usage.count(key_id=store.create("team").key.id, model="e5")
            store.revoke("team")
    assert [(row.key, row.requests) for row in read_usage(path, by="key")] == [("team", 1), ("team", 1)]


def test_threads_lose_nothing_and_usage_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "server.sqlite"

    def work(usage: UsageRecorder) -> None:
        for turn in range(2000):
            usage.count(key_id="k", model=f"m{turn % 3}", input_tokens=2)

    for _ in range(2):
        with UsageRecorder(path, write_every_s=0.001) as usage:
            threads = [threading.Thread(target=work, args=(usage,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert totals(path) == (16_000, 32_000)


def test_counting_never_waits_for_a_locked_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 10_000)  # who waits for the file here waits for ever
    path = tmp_path / "server.sqlite"
    usage = UsageRecorder(path, write_every_s=0.01)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    usage.count(key_id=None, model="e5")
    wait_until(lambda: not usage._pending, what="the thread that writes, at the locked file")
    for _ in range(999):
        usage.count(key_id=None, model="e5")
    blocker.execute("ROLLBACK")
    blocker.close()
    usage.close()
    assert totals(path) == (1000, 0)


def test_a_file_that_stays_locked_is_said_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "server.sqlite"
    with monkeypatch.context() as patch:
        patch.setattr(database, "BUSY_TIMEOUT_S", 0.1)
        usage = UsageRecorder(path, write_every_s=0.01)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with caplog.at_level(logging.ERROR, "umekomi.serve"):
        usage.count(key_id=None, model="e5")
        wait_until(lambda: "kept in memory" in caplog.text, what="the error")
    usage.count(key_id=None, model="e5")
    blocker.execute("ROLLBACK")
    blocker.close()
    usage.close()
    assert totals(path) == (2, 0)


def test_a_last_write_that_fails_is_said(tmp_path: Path) -> None:
    path = tmp_path / "server.sqlite"
    usage = UsageRecorder(path, write_every_s=60)
    usage.count(key_id=None, model="e5")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DROP TABLE usage")
    connection.close()
    with pytest.raises(StoreError, match="no such table"):
        usage.close()


WRITER = """
import sys
from pathlib import Path
from umekomi.serve.access.usage import UsageRecorder
usage = UsageRecorder(Path(sys.argv[1]), write_every_s=0.001)
print("ready", flush=True)
while True:
    for key in range(200):
        usage.count(key_id=str(key), model="e5", input_tokens=3)
"""


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.4])
def test_a_killed_writer_leaves_a_whole_database(tmp_path: Path, after_s: float) -> None:
    path = tmp_path / "server.sqlite"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        while not read_usage(path):
            time.sleep(0.01)
        time.sleep(after_s)
        writer.send_signal(signal.SIGKILL)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    requests, tokens = totals(path)
    assert requests > 0
    assert tokens == 3 * requests, "a batch is written whole or not at all"
    with UsageRecorder(path) as usage:
        usage.count(key_id="0", model="e5", input_tokens=3)
    assert totals(path) == (requests + 1, tokens + 3)


def test_a_server_that_never_ran_has_no_usage(tmp_path: Path) -> None:
    assert read_usage(tmp_path / "none.sqlite") == []
    assert not (tmp_path / "none.sqlite").exists()
