"""How long a model whose loading failed is left alone: 10 s at first, doubled each time, up to 5 min."""

from __future__ import annotations

from dataclasses import dataclass

from umekomi.errors import UmekomiError

FIRST_S = 10.0
LONGEST_S = 300.0


@dataclass(slots=True)
class Cooldown:
    """The failures in a row of one model. Times are on the clock of whoever calls."""

    failure: UmekomiError | None = None
    failures: int = 0
    until: float = 0.0

    def fail(self, failure: UmekomiError, *, now: float) -> float:
        """Take note of a failed load. Returns the seconds for which no other is to be tried."""
        seconds = LONGEST_S
        if self.failures < 16:  # beyond, doubling adds nothing
            seconds = min(LONGEST_S, FIRST_S * 2**self.failures)
        self.failure, self.failures, self.until = failure, self.failures + 1, now + seconds
        return seconds

    def left_s(self, now: float) -> float:
        """Seconds until loading may be tried again; 0 where it may be now."""
        return max(0.0, self.until - now) if self.failure is not None else 0.0

    def clear(self) -> None:
        """Forget all failures: a load has worked, or somebody has mended something."""
        self.failure, self.failures, self.until = None, 0, 0.0
