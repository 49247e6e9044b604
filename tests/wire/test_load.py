"""The load test of ``benchmarks``, in small: many clients of a real server process, and nothing but answers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "load.py"


@pytest.mark.slow
def test_queries_and_bulk_work_get_answers_and_memory_stays() -> None:
    command = [sys.executable, str(SCRIPT), "--model", "hashing:64", "--clients", "16", "--seconds", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no error but 429, and memory stayed" in done.stdout
    for phase in ("queries alone", "with bulk behind them"):
        line = next(line for line in done.stdout.splitlines() if line.startswith(phase))
        queries, p50, p95, p99 = map(int, re.findall(r"\d+", line)[:4])
        assert queries >= 4  # of a quarter of the clients, one each
        assert p50 <= p95 <= p99
