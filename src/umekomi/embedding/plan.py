"""Which waiting texts run together and when: a token budget, equal lengths first, nobody left behind.

Attention works on a grid as wide as a batch's longest text, and empty places in it are wasted work; but every
batch has a price of its own. So texts of other lengths are let in, the nearest first, while they waste less than a
batch of their own would cost. Bulk work waits behind interactive work, but is never starved by it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeAlias, TypeVar

T = TypeVar("T")

Priority: TypeAlias = Literal["interactive", "bulk"]
"""Whether somebody waits for the vectors, or a machine indexes at leisure."""

BULK_TOKENS = 4096
"""Work of more tokens than this is bulk unless the caller says otherwise: half a second on two cores."""

BULK_SHARE = 4
"""While both kinds wait, every fourth batch is bulk's."""

WASTED_PLACES = 64**2
"""Empty places that a batch's attention may have. A place takes 0.36 µs and a batch 1.9 ms, about as much as
5,000 of them (multilingual-e5-small on one core, 2026-11-21). Any two texts of up to 64 tokens go together; of long
ones, only those of nearly one length."""

WASTED_PLACES_A_TOKEN = 16
"""The same for engines whose best batch is larger, such as on a GPU: by tokens of the budget. A batch of texts that
have 128 tokens on average then has an eighth of empty places at most."""


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
        """The oldest text and as many others as fit ``budget`` tokens without wasting work; empty when none waits.

        A text longer than the budget comes alone.
        """
        oldest = self._oldest()
        if oldest is None:
            return []
        grid = _Grid(budget=max(budget, oldest.length))
        batch: list[_Entry[T]] = []
        for length in sorted(self._by_length, key=lambda length: abs(length - oldest.length)):
            group = self._by_length[length]
            while group and grid.admit(length):
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


@dataclass(slots=True)
class _Grid:
    """The batch that is being put together, as attention will see it."""

    budget: int
    texts: int = 0
    longest: int = 0
    tokens: int = 0
    squares: int = 0

    def admit(self, length: int) -> bool:
        """Whether a text of ``length`` joins; if so, it has."""
        longest = max(self.longest, length)
        wasted = longest**2 * (self.texts + 1) - (self.squares + length**2)
        if self.tokens + length > self.budget or wasted > wasted_places(self.budget):
            return False
        self.texts, self.longest = self.texts + 1, longest
        self.tokens, self.squares = self.tokens + length, self.squares + length**2
        return True


def wasted_places(budget: int) -> int:
    """Empty places that a batch of ``budget`` tokens may have."""
    return max(WASTED_PLACES, WASTED_PLACES_A_TOKEN * budget)


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

    def tokens_of(self, priority: Priority) -> int:
        return self._waiting[priority].tokens

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
