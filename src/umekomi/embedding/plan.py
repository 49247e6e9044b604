"""Which waiting texts run together and when: a token budget, equal lengths first, nobody left behind.

Padding is wasted work and a mask costs time, so a batch is built of texts of one length; only where too few of that
length wait are near lengths let in. Bulk work waits behind interactive work, but is never starved by it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeAlias, TypeVar

T = TypeVar("T")

Priority: TypeAlias = Literal["interactive", "bulk"]
"""Whether somebody waits for the vectors, or a machine indexes at leisure."""

BULK_TOKENS = 4096
"""Work of more tokens than this is bulk unless the caller says otherwise: half a second on two cores."""

BULK_SHARE = 4
"""While both kinds wait, every fourth batch is bulk's."""

NEAR_LENGTHS = 8
"""Lengths within 1/8 of the oldest text's may share its batch: at most 12.5 % padding up or down."""


@dataclass(slots=True)
class _Entry(Generic[T]):
    item: T
    length: int
    taken: bool = False


@dataclass(slots=True)
class WaitingTexts(Generic[T]):
    """Texts waiting to run, grouped by length, in order of arrival. Not thread-safe: its owner holds a lock."""

    _by_length: dict[int, deque[_Entry[T]]] = field(default_factory=dict)
    _arrivals: deque[_Entry[T]] = field(default_factory=deque)
    tokens: int = 0

    def add(self, item: T, length: int) -> None:
        entry = _Entry(item, length)
        self._by_length.setdefault(length, deque()).append(entry)
        self._arrivals.append(entry)
        self.tokens += length

    def take(self, budget: int) -> list[T]:
        """The oldest text and as many of like length as fit ``budget`` padded tokens; empty when none waits.

        A text longer than the budget comes alone.
        """
        oldest = self._oldest()
        if oldest is None:
            return []
        batch: list[_Entry[T]] = []
        longest = 0
        for length in self._lengths_near(oldest.length):
            group = self._by_length[length]
            while group and max(longest, length) * (len(batch) + 1) <= max(budget, oldest.length):
                longest = max(longest, length)
                batch.append(group.popleft())
            if not group:
                del self._by_length[length]
        for entry in batch:
            entry.taken = True
            self.tokens -= entry.length
        return [entry.item for entry in batch]

    def _oldest(self) -> _Entry[T] | None:
        while self._arrivals and self._arrivals[0].taken:
            self._arrivals.popleft()
        return self._arrivals[0] if self._arrivals else None

    def _lengths_near(self, length: int) -> Iterator[int]:
        """Lengths with waiting texts, from ``length`` outwards. The oldest text heads its own length's group."""
        yield length
        for distance in range(1, length // NEAR_LENGTHS + 1):
            for near in (length - distance, length + distance):
                if near in self._by_length:
                    yield near


class Queue(Generic[T]):
    """Waiting texts of both priorities. Not thread-safe: its owner holds a lock.

    Interactive batches go first, but of every `BULK_SHARE` batches taken while bulk work waits, one is bulk's:
    under steady queries bulk work keeps a known share, and a query waits for one bulk batch more at most.
    """

    def __init__(self) -> None:
        self._waiting: dict[Priority, WaitingTexts[T]] = {"interactive": WaitingTexts(), "bulk": WaitingTexts()}
        self._passed_over = 0

    @property
    def tokens(self) -> int:
        return sum(waiting.tokens for waiting in self._waiting.values())

    def add(self, item: T, length: int, priority: Priority) -> None:
        self._waiting[priority].add(item, length)

    def take(self, budget: int) -> list[T]:
        """The texts of the next batch, as `WaitingTexts.take`; empty when none waits."""
        bulk, interactive = self._waiting["bulk"], self._waiting["interactive"]
        if bulk.tokens and (not interactive.tokens or self._passed_over >= BULK_SHARE - 1):
            self._passed_over = 0
            return bulk.take(budget)
        self._passed_over += bool(bulk.tokens)
        return interactive.take(budget)


def priority_of(tokens: int) -> Priority:
    """The priority of work whose caller named none, by its size in tokens."""
    return "bulk" if tokens > BULK_TOKENS else "interactive"
