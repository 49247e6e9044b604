"""Requests and tokens a minute for each key: a sliding window in memory, and the figures for OpenAI's headers.

A window holds one count for each second, so it takes the same memory at any rate. A count is kept until all of its
second is more than a minute old: no span of 60 seconds ever holds more than the limit.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from umekomi.errors import InvalidInput, RateLimited
from umekomi.serve.access.keys import Key

WINDOW_S = 60
_KEPT_S = WINDOW_S + 1


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of one limit, and in how many seconds all of it is back."""

    limit: int
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class Headroom:
    """What is left for a key; None where it has no such limit."""

    requests: Allowance | None
    tokens: Allowance | None

    def headers(self) -> dict[str, str]:
        """OpenAI's ``x-ratelimit-*`` headers."""
        headers = {}
        for what, allowance in (("requests", self.requests), ("tokens", self.tokens)):
            if allowance is not None:
                headers[f"x-ratelimit-limit-{what}"] = str(allowance.limit)
                headers[f"x-ratelimit-remaining-{what}"] = str(allowance.remaining)
                headers[f"x-ratelimit-reset-{what}"] = _duration(allowance.reset_s)
        return headers


@dataclass(slots=True)
class _Window:
    """Counts of the last minute, as ``[second, count]`` in order."""

    counts: deque[list[int]] = field(default_factory=deque)
    used: int = 0

    def forget(self, now: float) -> None:
        while self.counts and self.counts[0][0] + _KEPT_S <= now:
            self.used -= self.counts.popleft()[1]

    def add(self, now: float, count: int) -> None:
        second = int(now)
        self.used += count
        if self.counts and self.counts[-1][0] >= second:
            self.counts[-1][1] += count
        else:
            self.counts.append([second, count])

    def wait_s(self, now: float, count: int, limit: int) -> float:
        """Seconds until ``count`` more fit under ``limit``, where ``count`` alone does."""
        over, free_at = self.used + count - limit, now
        for second, counted in self.counts:
            if over <= 0:
                break
            over -= counted
            free_at = second + _KEPT_S
        return free_at - now

    def allowance(self, now: float, limit: int) -> Allowance:
        reset_s = self.counts[-1][0] + _KEPT_S - now if self.used else 0.0
        return Allowance(limit, max(limit - self.used, 0), max(reset_s, 0.0))


@dataclass(slots=True)
class _Windows:
    requests: _Window = field(default_factory=_Window)
    tokens: _Window = field(default_factory=_Window)


class RateLimits:
    """The windows of every key, in this process. Any thread may call. What is refused is not counted.

    ``clock`` is monotonic, in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, _Windows] = {}

    def take_request(self, key: Key) -> None:
        """Count a request. Raises `RateLimited` with the time to wait where the key's limit is reached."""
        if key.requests_per_minute is not None:
            self._take(key, "requests", 1, key.requests_per_minute)

    def take_tokens(self, key: Key, tokens: int) -> None:
        """Count a request's tokens before they run. Raises `RateLimited` where they do not fit any more.

        Raises `InvalidInput` where they never can, because they are more than a whole minute's.
        """
        limit = key.tokens_per_minute
        if limit is None:
            return
        if tokens > limit:
            raise InvalidInput(
                f"This request has {tokens} tokens, and the key '{key.name}' may use {limit} a minute; "
                "send less text at once."
            )
        self._take(key, "tokens", tokens, limit)

    def charge_tokens(self, key: Key, tokens: int) -> None:
        """Count tokens that are known only now, such as those of an answer, even over the limit.

        What is over is paid back by waiting: nothing more is let in until the window has room again.
        """
        if key.tokens_per_minute is not None and tokens > 0:
            with self._lock:
                now = self._clock()
                window = self._of(key).tokens
                window.forget(now)
                window.add(now, tokens)

    def headroom(self, key: Key) -> Headroom:
        with self._lock:
            now = self._clock()
            windows = self._of(key)
            windows.requests.forget(now)
            windows.tokens.forget(now)
            requests, tokens = key.requests_per_minute, key.tokens_per_minute
            return Headroom(
                None if requests is None else windows.requests.allowance(now, requests),
                None if tokens is None else windows.tokens.allowance(now, tokens),
            )

    def _take(self, key: Key, what: str, count: int, limit: int) -> None:
        with self._lock:
            now = self._clock()
            windows = self._of(key)
            window = windows.requests if what == "requests" else windows.tokens
            window.forget(now)
            wait_s = window.wait_s(now, count, limit)
            if window.used + count <= limit:
                window.add(now, count)
                return
        raise RateLimited(
            f"Rate limit reached for the key '{key.name}': {limit} {what} a minute; "
            f"try again in {_duration(wait_s)}.",
            retry_after_s=wait_s,
        )

    def _of(self, key: Key) -> _Windows:
        return self._windows.setdefault(key.id, _Windows())


def _duration(seconds: float) -> str:
    """As OpenAI writes durations: ``1m1s``, ``2.5s``, ``0s``."""
    minutes, rest = divmod(math.ceil(seconds * 10) / 10, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
