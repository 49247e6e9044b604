"""The reading process: takes a job a line, answers with frames, and keeps to its limits. Started by `pool`.

Run as a module. Its standard output belongs to frames alone, so whatever a C library prints goes nowhere.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import warnings
from typing import IO

from umekomi.documents.isolation.reading import read_file
from umekomi.documents.isolation.wire import decode_job, encode_blocks, encode_outcome, write_line


def main() -> None:
    """Read jobs until standard input ends; ``argv[1]``: bytes of memory that this process may take, 0 for any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pool ends this process, in order
    limit_memory(int(sys.argv[1]))
    warnings.simplefilter("ignore")
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(jobs,), daemon=True).start()
    while True:
        _answer(jobs.get(), out)


def limit_memory(limit_bytes: int) -> None:
    """Bound what this process may allocate, where the system can; its crashes leave no core files."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limit_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))


def _receive(jobs: queue.SimpleQueue[bytes]) -> None:
    """Take jobs in. When the pool is gone, this ends the process even in the middle of a file that hangs."""
    for line in sys.stdin.buffer:
        jobs.put(line)
    os._exit(0)


def _answer(line: bytes, out: IO[bytes]) -> None:
    job = decode_job(line)
    outcome = read_file(
        job,
        send=lambda blocks, document_id: write_line(out, encode_blocks(blocks, document_id)),
        beat=lambda: write_line(out, {}),
    )
    write_line(out, encode_outcome(outcome))


if __name__ == "__main__":
    main()
