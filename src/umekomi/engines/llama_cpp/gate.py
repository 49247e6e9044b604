"""Turns in the order of arrival, so that no request waits inside the engine, where it could not be called off."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

from umekomi.engines.base import Cancellation


class Gate:
    """Lets ``places`` threads through at once."""

    def __init__(self, places: int) -> None:
        self._lock = threading.Lock()
        self._free = places
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self, cancel: Cancellation) -> Iterator[None]:
        """Hold a place. Raises `CancelledError` where ``cancel`` came before one was free."""
        self._enter(cancel)
        try:
            yield
        finally:
            with self._lock:
                self._leave()

    def _enter(self, cancel: Cancellation) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            called = threading.Event()
            self._waiting.append(called)
        cancel.on_cancel(called.set)
        called.wait()
        with self._lock:
            if called in self._waiting:
                self._waiting.remove(called)
                raise CancelledError
            if cancel.cancelled:
                self._leave()
                raise CancelledError

    def _leave(self) -> None:
        """Hand the place to the one who waits longest. The lock is held."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._free += 1
