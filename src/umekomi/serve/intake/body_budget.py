"""How many bytes of request bodies the server holds at a time, over all connections."""

from __future__ import annotations

from umekomi.errors import Overloaded

FREE_BYTES = 65_536
"""Of each body, not counted: a connection buffers as much before anyone asks for it, and queries, which are smaller
than this, are still taken while large uploads fill the budget."""


class BodyBudget:
    """What all bodies together take. One for a server; belongs to its event loop."""

    def __init__(self) -> None:
        self.held_bytes = 0

    def share(self, limit_bytes: int) -> BodyShare:
        """A request's part, with the limit that holds for all parts together."""
        return BodyShare(self, limit_bytes)


class BodyShare:
    """What one request's body takes, until `release`."""

    def __init__(self, budget: BodyBudget, limit_bytes: int) -> None:
        self._budget = budget
        self._limit_bytes = limit_bytes
        self._size = 0

    @property
    def _held(self) -> int:
        return max(0, self._size - FREE_BYTES)

    def grow(self, size_bytes: int) -> None:
        """Count bytes that have arrived. Raises `Overloaded` where they are too much beside the others."""
        before = self._held
        self._size += size_bytes
        self._budget.held_bytes += self._held - before
        if self._budget.held_bytes > self._limit_bytes:
            self.release()
            raise Overloaded(
                f"The request bodies being worked on would take more than {self._limit_bytes} bytes together; "
                "try again in a moment."
            )

    def release(self) -> None:
        """Give it back; twice is harmless."""
        self._budget.held_bytes -= self._held
        self._size = 0
