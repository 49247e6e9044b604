"""When a failing server is left alone: after three failures in a row for 5 s, doubled each time up to a minute."""

from __future__ import annotations

from dataclasses import dataclass

FAILURES = 3
FIRST_S = 5.0
LONGEST_S = 60.0


@dataclass(slots=True)
class Circuit:
    """The failures in a row of one server. Times are on the clock of whoever calls.

    After a rest, one request tries the server while the others still go elsewhere; its outcome decides.
    """

    failures: int = 0
    until: float = 0.0
    _trying: bool = False

    def left_s(self, now: float) -> float:
        """Seconds of rest left; 0 where the server may be asked."""
        return max(0.0, self.until - now)

    def allows(self, now: float) -> bool:
        return now >= self.until and not self._trying

    def begin(self) -> None:
        """A request goes to the server; after a rest, it is the one that tries."""
        self._trying = self.failures >= FAILURES

    def end(self) -> None:
        """It was given up, and tells nothing."""
        self._trying = False

    def succeed(self) -> None:
        self.failures, self.until, self._trying = 0, 0.0, False

    def fail(self, now: float, *, rest_s: float | None = None) -> None:
        """``rest_s`` is how long the server itself asked to be left alone."""
        self._trying = False
        self.failures += 1
        doublings = min(self.failures - FAILURES, 16)
        if doublings >= 0:
            self.until = now + min(LONGEST_S, FIRST_S * 2**doublings)
        if rest_s is not None:
            self.until = max(self.until, now + min(rest_s, LONGEST_S))
