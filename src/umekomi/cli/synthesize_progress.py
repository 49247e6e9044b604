"""How a synthesis shows its progress: calls with tokens, cost and the time that is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from umekomi.cli import options

if TYPE_CHECKING:
    from umekomi.synthesize.calls.driving import Progress


class TerminalWatch:
    """Progress bars and notices on standard error; calls show tokens, cost and the time left."""

    def __init__(self, *, prompt_price: float, completion_price: float) -> None:
        self._prices = (prompt_price, completion_price)

    def stage(self, title: str, *, total: int) -> AbstractContextManager[Callable[[int], None]]:
        return options.progress(title, total=total)

    @contextmanager
    def calls(self, title: str) -> Iterator[Callable[[Progress], None]]:
        from rich.console import Console

        console = Console(stderr=True)
        last: list[Progress] = []
        with _draining_signals(), console.status(title, spinner="line") as status:

            def advance(progress: Progress) -> None:
                last[:] = [progress]
                status.update(f"{title}: {self._line(progress)}")

            yield advance
        if last and last[0].total:
            options.notify(f"{title}: {self._line(last[0])}")

    def notify(self, message: str) -> None:
        options.notify(message)

    def _line(self, progress: Progress) -> str:
        parts = [f"{progress.done} of {progress.total}"]
        if progress.kept_before:
            parts.append(f"{progress.kept_before} kept from before")
        parts.append(f"{progress.prompt_tokens + progress.completion_tokens:,} tokens")
        cost = cost_of(progress.prompt_tokens, progress.completion_tokens, *self._prices)
        if cost:
            parts.append(f"cost {cost:.2f}")
        if progress.seconds_left:
            parts.append(f"about {duration(progress.seconds_left)} left")
        if progress.given_up:
            parts.append(f"{progress.given_up} failed")
        return ", ".join(parts)


def cost_of(prompt_tokens: int, completion_tokens: int, prompt_price: float, completion_price: float) -> float:
    """In the currency of the prices, which are for a million tokens."""
    return (prompt_tokens * prompt_price + completion_tokens * completion_price) / 1e6


def duration(seconds: float) -> str:
    """As `in_words` says it, which is loaded only when there is something to say."""
    from umekomi.synthesize.planning import in_words

    return in_words(seconds)


@contextmanager
def _draining_signals() -> Iterator[None]:
    """SIGTERM ends the calls as Ctrl-C does, and both say what they wait for."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        # Not through sys.stderr, which the interrupted code may be writing to.
        os.write(2, b"\numekomi: finishing the calls in flight; once more cuts them off\n")
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
