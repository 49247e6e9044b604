"""Reading a file in this process, for tests of what a reader makes of it rather than of how it is kept apart."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from umekomi.documents import Block, FileOutcome
from umekomi.documents.isolation.reading import read_file
from umekomi.documents.isolation.wire import Job, shown_path


@dataclass(frozen=True)
class Read:
    """``cpu_s``: what it took of a processor, however busy the machine was."""

    outcome: FileOutcome
    blocks: list[Block]
    cpu_s: float

    @property
    def texts(self) -> list[str]:
        return [block.text for block in self.blocks]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(block.kind, block.text) for block in self.blocks]


def read_here(path: Path, *, encoding: str | None = None) -> Read:
    blocks: list[Block] = []
    job = Job(path, shown_path(path), encoding=encoding)
    started = time.thread_time()
    outcome = read_file(job, send=lambda some, _id: blocks.extend(some), beat=lambda: None)
    return Read(outcome, blocks, time.thread_time() - started)
