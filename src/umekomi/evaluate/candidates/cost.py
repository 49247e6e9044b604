"""What a model costs, measured in a process of its own, so that no other model's memory or threads are in it."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from umekomi.embedding.embedder import open_embedder
from umekomi.embedding.endpoint import Endpoint
from umekomi.errors import UmekomiError
from umekomi.evaluate.candidates.opening import CandidateName
from umekomi.evaluate.results import CostRecord
from umekomi.types import Role

SAMPLE_TEXTS = 256
"""Texts of the task that are timed: its first ones, as they lie."""

MEASURED_S = 4.0
"""The sample is run again until this much time has passed, and at least twice."""

WARM_UP_TEXTS = 16
LATENCY_RUNS = 15
LATENCY_TEXT = "How many planets does our sun have? 太陽系の惑星はいくつありますか。"

CHILD_TIMEOUT_S = 900


def measure_cost(
    name: CandidateName, texts: Sequence[str], *, role: Role, threads: int | None, key: Callable[[], str | None]
) -> CostRecord:
    """Speed and memory of ``name`` on the first texts of a task; where one is None, ``note`` says why.

    ``key`` gives the key of an endpoint. Nothing is raised: a score without its cost is still a score.
    """
    sample = list(texts[:SAMPLE_TEXTS])
    if name.base_url is not None:
        return _measure_endpoint(name, sample, role=role, key=key())
    job = json.dumps({"name": asdict(name), "texts": sample, "role": role, "threads": threads})
    # -P: a numpy.py in the user's folder is not ours to import.
    command = [sys.executable, "-P", "-m", "umekomi.evaluate.candidates.cost"]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter; the user's words travel on standard input
            command, input=job.encode(), capture_output=True, timeout=CHILD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return CostRecord(note=f"not measured: it took longer than {CHILD_TIMEOUT_S} s")
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        return CostRecord(note=f"not measured: {reason[-1] if reason else f'exit code {done.returncode}'}")
    return CostRecord.model_validate_json(done.stdout)


def _measure_here(name: CandidateName, texts: list[str], *, role: Role, threads: int | None) -> CostRecord:
    """Run in the process that ``python -m umekomi.evaluate.candidates.cost`` starts."""
    idle = peak_memory_bytes()
    started = time.perf_counter()
    with open_embedder(
        name.model, precision=name.precision, threads=threads, notify=lambda message: None
    ) as embedder:
        embedder.embed(texts[:WARM_UP_TEXTS], role=role)
        warm_up_s = time.perf_counter() - started
        latency_ms = _median_ms(lambda: embedder.embed([LATENCY_TEXT], role="query"))
        tokens, seconds, runs = 0, 0.0, 0
        while seconds < MEASURED_S or runs < 2:
            started = time.perf_counter()
            tokens += int(embedder.embed(texts, role=role).tokens.sum())
            seconds += time.perf_counter() - started
            runs += 1
        gpu = gpu_memory_bytes()
        return CostRecord(
            tokens_per_s=tokens / seconds,
            texts_per_s=runs * len(texts) / seconds,
            batch=f"{len(texts)} texts at once, grouped by length by the engine; {runs} runs",
            warm_up_s=warm_up_s,
            latency_ms=latency_ms,
            peak_memory_bytes=None if idle is None else max(0, (peak_memory_bytes() or 0) - idle),
            gpu_memory_bytes=gpu,
            bytes_per_vector=4 * embedder.card.dim,
            device="gpu" if gpu else "cpu",
            note=f"{threads or 'all'} threads, {name.precision}, in a process of its own",
        )


def _measure_endpoint(name: CandidateName, texts: list[str], *, role: Role, key: str | None) -> CostRecord:
    assert name.base_url is not None
    try:
        endpoint = Endpoint(name.base_url, name.model, api_key=key)
        try:
            started = time.perf_counter()
            dim = endpoint.embed(texts[:WARM_UP_TEXTS], role=role).shape[1]
            warm_up_s = time.perf_counter() - started
            latency_ms = _median_ms(lambda: endpoint.embed([LATENCY_TEXT], role="query"))
            started = time.perf_counter()
            endpoint.embed(texts, role=role)
            seconds = time.perf_counter() - started
        finally:
            endpoint.close()
    except UmekomiError as error:
        return CostRecord(note=f"not measured: {error}")
    return CostRecord(
        texts_per_s=len(texts) / seconds,
        batch=f"{len(texts)} texts, one request after another",
        warm_up_s=warm_up_s,
        latency_ms=latency_ms,
        bytes_per_vector=4 * dim,
        device="endpoint",
        note="over HTTP, one client; memory is the server's",
    )


def _median_ms(call: Callable[[], Any]) -> float:
    call()
    times = []
    for _ in range(LATENCY_RUNS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def peak_memory_bytes() -> int | None:
    """Most memory that this process ever held; None on systems that do not tell."""
    status = Path("/proc/self/status")  # Linux: getrusage would count the parent's peak, which a fork takes along
    if status.exists():
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), flags=re.MULTILINE)
        return int(found[1]) * 1024 if found else None
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def gpu_memory_bytes() -> int | None:
    """GPU memory that this process holds, by the driver; None without a driver or its Python package.

    Not ``nvidia-smi``'s memory.used, which counts every process on the card.
    """
    try:
        import pynvml
    except ImportError:
        return None
    import os

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        cards = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        running = [process for card in cards for process in pynvml.nvmlDeviceGetComputeRunningProcesses(card)]
        mine = [process.usedGpuMemory or 0 for process in running if process.pid == os.getpid()]
        return sum(mine) or None
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def main() -> None:
    """Read a job from standard input, and write its `CostRecord` to standard output."""
    job = json.load(sys.stdin)
    try:
        record = _measure_here(CandidateName(**job["name"]), job["texts"], role=job["role"], threads=job["threads"])
    except UmekomiError as error:
        sys.exit(str(error))
    sys.stdout.write(record.model_dump_json())


if __name__ == "__main__":
    main()
