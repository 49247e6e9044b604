"""The requests that hold one model, when it was last used, and for how long nothing on it has come to an end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count


class Uses:
    """What one model is used for. Times are on the clock that the caller passes.

    held       requests that use the model or wait for it to be loaded; while there are any, it is not unloaded
    last_used  when the last of them ended, or when the model was loaded
    """

    def __init__(self) -> None:
        self.held = 0
        self.last_used = 0.0
        self._last_finished = 0.0
        self._running: dict[int, float] = {}  # in order of their start
        self._numbers = count()

    @contextmanager
    def hold(self, clock: Callable[[], float]) -> Iterator[None]:
        """Keep the model from being unloaded for as long as the block runs."""
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1
            self.last_used = clock()

    @contextmanager
    def run(self, clock: Callable[[], float]) -> Iterator[None]:
        """A request's time on the open model. One that fails or is given up is no sign that the model gets on."""
        number = next(self._numbers)
        self._running[number] = clock()
        try:
            yield
            self._last_finished = clock()
        finally:
            del self._running[number]

    def busy_s(self, now: float) -> float:
        """Seconds for which requests have run without any of them finishing; 0 while none runs."""
        oldest = next(iter(self._running.values()), None)
        return 0.0 if oldest is None else now - max(oldest, self._last_finished)
