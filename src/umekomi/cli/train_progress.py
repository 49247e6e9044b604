"""How a training shows its progress: bars on a terminal, lines where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from umekomi.cli import options
from umekomi.cli.synthesize_progress import duration

LINE_EVERY_S = 30.0
"""Between two lines about one stage, where no bar can be drawn."""


class TrainingWatch:
    """A bar for each stage on a terminal; elsewhere a line now and then. Notices on standard error."""

    def stage(self, title: str, *, total: int) -> AbstractContextManager[Callable[[int], None]]:
        return options.progress(title, total=total) if sys.stderr.isatty() else _lines(title, total)

    def notify(self, message: str) -> None:
        options.notify(message)


@contextmanager
def _lines(title: str, total: int) -> Iterator[Callable[[int], None]]:
    done, started = 0, time.monotonic()
    last = started

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= LINE_EVERY_S and 0 < done < total:
            last = now
            left = (now - started) / done * (total - done)
            options.notify(f"{title}: {done} of {total}, about {duration(left)} left")

    yield advance
