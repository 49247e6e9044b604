"""Bulk embedding goes on where it stopped: after ``kill -9`` nothing finished is computed again."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import umekomi
from umekomi.embedding import bulk
from umekomi.errors import InvalidInput, StoreError

TEXTS = [f"text {i}" for i in range(25)]


def _run(texts: list[str], folder: Path, role: umekomi.Role = "document") -> tuple[np.ndarray, list[str]]:
    """Vectors, and the texts that were computed to get them."""
    computed: list[str] = []
    with umekomi.open_embedder("hashing:16") as model:
        prepare = model.prepare

        def spy(window: list[str], **options: object) -> object:
            computed.extend(window)
            return prepare(window, **options)  # type: ignore[arg-type]

        model.prepare = spy  # type: ignore[method-assign,assignment]
        parts = list(bulk.embed_resumably(model, texts, folder=folder, role=role, window_texts=10))
    return np.concatenate([part.vectors for part in parts]), computed


def test_finished_windows_are_not_computed_again(tmp_path: Path) -> None:
    first, computed = _run(TEXTS, tmp_path)
    assert computed == TEXTS
    (sorted(tmp_path.glob("*.npz"))[1]).unlink()
    second, computed = _run(TEXTS, tmp_path)
    assert np.array_equal(first, second)
    assert len(computed) in (5, 10)
    grown, computed = _run([*TEXTS, "one more"], tmp_path)
    assert computed == [*TEXTS[20:], "one more"]
    assert np.array_equal(grown[:25], first)


@pytest.mark.parametrize("left", [0, 40, 200])
def test_a_damaged_window_is_named(tmp_path: Path, left: int) -> None:
    _run(TEXTS, tmp_path)
    damaged = min(tmp_path.glob("*.npz"))
    damaged.write_bytes(damaged.read_bytes()[:left])
    with pytest.raises(StoreError, match=f"{damaged.name}: damaged"):
        _run(TEXTS, tmp_path)
    damaged.unlink()
    assert len(_run(TEXTS, tmp_path)[1]) in (5, 10)


def test_another_role_shares_nothing(tmp_path: Path) -> None:
    documents, _ = _run(TEXTS, tmp_path)
    queries, computed = _run(TEXTS, tmp_path, role="query")
    assert computed == TEXTS
    assert not np.array_equal(documents, queries)


def test_repeated_windows_are_computed_once(tmp_path: Path) -> None:
    vectors, computed = _run(TEXTS[:10] * 3, tmp_path)
    assert computed == TEXTS[:10]
    assert np.array_equal(vectors[:10], vectors[20:])


def test_a_bad_text_at_the_end_stops_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="text 25"):
        _run([*TEXTS, "\0"], tmp_path)
    assert not list(tmp_path.glob("*.npz"))


STOPPED = """
import itertools, time
import numpy as np
from umekomi.cli.main import main
savez, calls = np.savez, itertools.count()
def stop(file, **arrays):
    if next(calls) == 3:
        file.write(b"half a window")
        file.flush()
        print("stopped", flush=True)
        time.sleep(600)
    savez(file, **arrays)
np.savez = stop
main()
"""
"""The command, which stops of itself in the middle of the fourth window, so that the kill comes before its end."""


def test_the_command_survives_kill_9_and_ends_with_the_same_file(tmp_path: Path) -> None:
    source = tmp_path / "texts.txt"
    source.write_text("\n".join(f"line {i} {'y' * (i % 60)}" for i in range(60_000)), encoding="utf-8")
    arguments = ["embed", "-m", "hashing:256", "-f", str(source), "-o"]
    command = [sys.executable, "-m", "umekomi", *arguments]
    whole, broken = tmp_path / "whole.npy", tmp_path / "broken.npy"
    subprocess.run([*command, str(whole)], check=True, capture_output=True)
    stopped = [sys.executable, "-c", STOPPED, *arguments, str(broken)]
    with subprocess.Popen(stopped, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stopped\n"
        process.send_signal(signal.SIGKILL)
    parts = tmp_path / ".broken.npy.parts"
    assert (len(list(parts.glob("*.npz"))), len(list(parts.glob("*.partial")))) == (3, 1)
    assert not broken.exists()
    done = subprocess.run([*command, str(broken)], check=True, capture_output=True, text=True)
    assert "60000 texts" in done.stderr
    assert broken.read_bytes() == whole.read_bytes()
    assert np.load(broken, mmap_mode="r").shape == (60_000, 256)
    assert not parts.exists()
