"""What can go wrong between us and an upstream: the kinds, what each means for a retry, and who is told what."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeAlias

import orjson

from umekomi.errors import Overloaded, UmekomiError, UpstreamError, UpstreamRefusal, UpstreamTimeout

Outcome: TypeAlias = Literal["unreachable", "timeout", "busy", "failing", "denied", "missing", "cut", "wrong"]
"""Why an attempt gave no answer.

unreachable  no connection, or one that ended before an answer began
timeout      connected, and silent for too long
busy         status 429
failing      status 408 or 5xx
denied       status 401, 403 or 407: our key is wrong there
missing      any other status that is no answer, such as 404 or a redirect: wrong address, or no such route or model
cut          the answer ended before its end
wrong        an answer that is not valid
"""

_PASSING: frozenset[Outcome] = frozenset({"unreachable", "busy", "failing", "cut"})
_MAX_EXCERPT = 300

LONGEST_RETRY_S = 3600.0
"""A server that asks for a longer wait than an hour is taken to have asked for an hour."""


class WrongAnswer(Exception):
    """An upstream's answer that must not be passed on.

    ``what`` is in our own words, safe for strangers; ``excerpt`` in its words, for those who run it.
    """

    def __init__(self, what: str, excerpt: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.excerpt = excerpt


@dataclass(eq=False)
class Failure(Exception):
    """One attempt that gave no answer.

    what           in our own words; a client may read it after "The upstream of model `x`"
    excerpt        the upstream's words; for the log only
    retry_after_s  how long the upstream asked us to wait
    """

    outcome: Outcome
    what: str
    excerpt: str = ""
    status: int | None = None
    retry_after_s: float | None = None

    @property
    def passes(self) -> bool:
        """Whether the same server may well answer a moment later. Never a timeout: the work may still run there."""
        return self.outcome in _PASSING

    @property
    def tells_of_server(self) -> bool:
        """Whether the server itself is in a bad way, rather than without this one route or model."""
        return self.outcome != "missing"

    def as_error(self, model: str, address: str) -> UmekomiError:
        """What is raised once there is nothing left to try."""
        told = f"The upstream of model `{model}` {self.what}."
        if self.outcome == "busy":
            return Overloaded(told, retry_after_s=self.retry_after_s or 1.0)
        kind = {"timeout": UpstreamTimeout, "missing": UpstreamRefusal}.get(self.outcome, UpstreamError)
        return kind(f"model={model} {self.describe(address)}", public=told, may_pass=self._may_pass_later)

    def describe(self, address: str) -> str:
        """For the log, with the server's address and words."""
        said = f": {self.excerpt}" if self.excerpt else ""
        return f"{address} {self.what}{said}"

    @property
    def _may_pass_later(self) -> bool:
        return self.outcome not in ("denied", "missing")


def failure_of_status(status: int, headers: Mapping[str, str], excerpt: str) -> Failure:
    """The failure that a status means which is neither 200 nor tells of the client's own mistake."""
    outcome: Outcome = "missing"
    what = f"gave no answer but status {status}"
    if status == 429:
        outcome, what = "busy", "has reached a limit; try again later"
    elif status == 408 or status >= 500:
        outcome, what = "failing", f"failed with status {status}"
    elif status in (401, 403, 407):
        outcome, what = "denied", "does not let this server in"
    elif status == 404:
        what = "does not know the model or the route"
    elif 300 <= status < 400:
        what = "answered with a redirect, which is not followed"
    return Failure(outcome, what, excerpt, status, retry_after_s(headers))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The wait that ``retry-after-ms`` or ``retry-after`` (seconds or a date, RFC 9110 10.2.3) asks for."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        return min(seconds, LONGEST_RETRY_S) if math.isfinite(seconds) and seconds >= 0 else None
    try:
        wait_s = parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, wait_s), LONGEST_RETRY_S)


def words_of(content: bytes, *, secret: str | None = None) -> str:
    """The message in OpenAI's envelope, else the start of the body; as `plain` gives it."""
    try:
        error: Any = orjson.loads(content)["error"]
        text = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, TypeError, KeyError):
        text = content[: 2 * _MAX_EXCERPT].decode("utf-8", "replace")
    return plain(text, secret=secret)


def excerpt_of(content: bytes) -> str:
    """As `words_of` for what should have been an answer, but nothing of what may be half of one: logs hold no text
    that a model wrote, and no vectors."""
    broken = content.lstrip()[:1] in (b"{", b"[") and b'"error"' not in content[:_MAX_EXCERPT]
    return "" if broken else words_of(content)


def plain(text: str, *, secret: str | None = None) -> str:
    """On one line, cut, and without ``secret``; nothing in it steers a terminal."""
    if secret:
        text = text.replace(secret, "…")
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= _MAX_EXCERPT else text[: _MAX_EXCERPT - 1] + "…"
