"""Reading processes side by side, each watched: one that dies, hangs or talks nonsense costs one file."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from umekomi.documents.document import Block, FileOutcome
from umekomi.documents.isolation.wire import MAX_FRAME_BYTES, Job, decode_frame, encode_job, write_line

T = TypeVar("T")

_MODULE: Final = "umekomi.documents.isolation.worker"
_FILES_A_PROCESS: Final = 500
"""After so many a process makes room for a fresh one: the libraries do not give all memory back."""

_WATCH_S: Final = 0.1

_RESULTS_WAITING: Final = 4
"""Files that may be done before the caller takes them: a result can be a whole document."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one file may take.

    silence_s     seconds without a sign of life (a page read, a megabyte of text)
    total_s       seconds in all, and a further second for each megabyte
    memory_bytes  that a reading process may allocate; 0 for no bound
    """

    silence_s: float = 60.0
    total_s: float = 600.0
    memory_bytes: int = 2 * 1024 * 1024 * 1024


class Delivery:
    """A file on its way: its blocks as they come, its id with the first of them, its outcome after the last."""

    def __init__(self, job: Job, frames: Iterator[Block]) -> None:
        self.job = job
        self.blocks = frames
        self.document_id = ""
        self.outcome: FileOutcome | None = None


@dataclass(frozen=True, slots=True)
class Handled(Generic[T]):
    """A file that is done: how it ended, and what the handler made of it."""

    job: Job
    outcome: FileOutcome
    result: T


def read_all(
    jobs: Iterable[Job], handle: Callable[[Delivery], T], *, processes: int = 1, limits: Limits | None = None
) -> Iterator[Handled[T]]:
    """Read the files of ``jobs`` in ``processes`` at once; each as it is done, in any order.

    handle  called in a thread of the process that reads the file; takes all ``blocks``, or leaves the rest. What it
            raises ends the run and is raised here.

    Closing the iterator ends the processes.
    """
    run = _Run(iter(jobs), handle, limits or Limits())
    threads = [threading.Thread(target=run.work, daemon=True) for _ in range(max(1, processes))]
    watch = threading.Thread(target=run.watch, daemon=True)
    for thread in (*threads, watch):
        thread.start()
    try:
        working = len(threads)
        while working:
            done = run.results.get()
            if done is None:
                working -= 1
            elif isinstance(done, BaseException):
                raise done
            else:
                yield done
    finally:
        run.stop()
        for thread in (*threads, watch):
            thread.join()


class _Run(Generic[T]):
    """What the threads of one call of `read_all` share."""

    def __init__(self, jobs: Iterator[Job], handle: Callable[[Delivery], T], limits: Limits) -> None:
        self.results: queue.Queue[Handled[T] | BaseException | None] = queue.Queue(maxsize=_RESULTS_WAITING)
        self._jobs = jobs
        self._handle = handle
        self._limits = limits
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._readers: set[_Reader] = set()

    def work(self) -> None:
        reader = _Reader(self._limits)
        with self._lock:
            self._readers.add(reader)
        try:
            while (job := self._next_job()) is not None:
                self._put(self._read(reader, job))
        except BaseException as error:
            self._put(error)
        finally:
            reader.close()
            self._put(None)

    def _put(self, result: Handled[T] | BaseException | None) -> None:
        """Wait for the caller to take earlier results, unless it has gone."""
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self.results.put(result, timeout=_WATCH_S)
                return

    def _next_job(self) -> Job | None:
        with self._lock:
            return None if self._stopped.is_set() else next(self._jobs, None)

    def _read(self, reader: _Reader, job: Job) -> Handled[T]:
        delivery = Delivery(job, iter(()))
        delivery.blocks = reader.read(delivery)
        result = self._handle(delivery)
        for _ in delivery.blocks:
            pass  # whatever the handler left
        assert delivery.outcome is not None
        return Handled(job, delivery.outcome, result)

    def watch(self) -> None:
        while not self._stopped.wait(_WATCH_S):
            with self._lock:
                readers = list(self._readers)
            for reader in readers:
                reader.end_if_late()

    def stop(self) -> None:
        self._stopped.set()
        with self._lock:
            readers = list(self._readers)
        for reader in readers:
            reader.stop()


class _Reader:
    """One reading process at a time, replaced where it was lost or has read enough."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._starting = threading.Lock()
        self._stopped = False
        self._process: subprocess.Popen[bytes] | None = None
        self._files = 0
        self._deadline: float | None = None
        self._ended_because = ""

    def read(self, delivery: Delivery) -> Iterator[Block]:
        """The blocks of the file; sets the outcome at their end."""
        started = time.monotonic()
        was_used = self._files > 0
        try:
            yield from self._receive(delivery)
        except (OSError, ValueError, TypeError, KeyError, EOFError) as error:
            why = self._why(error)
            self.close()
            if was_used and not delivery.document_id and not self._ended_because:
                yield from self.read(delivery)  # lost between two files, for which this one need not be to blame
                return
            seconds = round(time.monotonic() - started, 3)
            delivery.outcome = FileOutcome(delivery.job.shown, "failed", why, seconds=seconds)

    def _receive(self, delivery: Delivery) -> Iterator[Block]:
        process = self._started()
        self._files += 1
        self._ended_because = ""
        budget_s = self._limits.total_s + _size_bytes(delivery.job) / 1e6
        assert process.stdin is not None
        write_line(process.stdin, encode_job(delivery.job))
        while delivery.outcome is None:
            line, waited_s = self._next_line(process, min(self._limits.silence_s, budget_s))
            budget_s -= waited_s
            frame = decode_frame(line)
            delivery.outcome = frame.outcome
            delivery.document_id = frame.document_id or delivery.document_id
            yield from frame.blocks

    def _next_line(self, process: subprocess.Popen[bytes], limit_s: float) -> tuple[bytes, float]:
        """The next line, and the seconds it took to come. Raises `EOFError` where the process ended instead."""
        assert process.stdout is not None
        started = time.monotonic()
        self._deadline = started + limit_s
        try:
            line = process.stdout.readline(MAX_FRAME_BYTES)
        finally:
            self._deadline = None
        if not line.endswith(b"\n"):
            raise EOFError
        return line, time.monotonic() - started

    def _why(self, error: Exception) -> str:
        if self._ended_because:
            return self._ended_because
        if isinstance(error, (EOFError, OSError)) and self._process:
            self._process.kill()  # for one that closed its pipe and lives on
            code = self._process.wait()
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            return f"its reader crashed ({how})"
        return "its reader answered nonsense"

    def end_if_late(self) -> None:
        """For the watching thread."""
        deadline = self._deadline
        if deadline is not None and time.monotonic() > deadline:
            limits = self._limits
            self._ended_because = (
                f"took too long: {limits.silence_s:g} s without progress, or over {limits.total_s:g} s "
                f"and a second for each megabyte"
            )
            self._kill()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process and (self._process.poll() is not None or self._files >= _FILES_A_PROCESS):
            self.close()
        with self._starting:
            if self._stopped:
                raise EOFError
            if self._process is None:
                # -P: the folder that the user stands in may hold strangers' files, and one be named json.py.
                command = [sys.executable, "-P", "-m", _MODULE, str(self._limits.memory_bytes)]
                self._process = subprocess.Popen(  # noqa: S603 (this very program)
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
            return self._process

    def stop(self) -> None:
        """End the process, and start no other."""
        with self._starting:
            self._stopped = True
        self._kill()

    def _kill(self) -> None:
        if process := self._process:  # which the thread that reads may put away meanwhile
            process.kill()

    def close(self) -> None:
        """End the process and give back its pipes."""
        process, self._process, self._files = self._process, None, 0
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()


def _size_bytes(job: Job) -> int:
    try:
        return job.path.stat().st_size
    except OSError:
        return 0
