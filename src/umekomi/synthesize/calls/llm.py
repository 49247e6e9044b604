"""The LLM that writes: behind an OpenAI-compatible address, or a GGUF file in this process."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakSet

import httpx

from umekomi import config
from umekomi.engines.base import Answer, Body
from umekomi.engines.registry import open_generator
from umekomi.errors import ConfigError, InputTooLong, Overloaded, UpstreamError
from umekomi.models.sources import open_model
from umekomi.models.starters import find_starter

MOST_SLOTS = 256
DEFAULT_SLOTS = 4
"""Requests at once to a server that does not say how many it can take."""

TIMEOUT_S = 300.0
"""Longest wait for an answer; a small machine may take minutes for one."""


CONNECT_TIMEOUT_S = 10.0

MAX_ANSWER_BYTES = 1 << 20
"""Longest body that is read; the longest answer that fits a schema takes some 10 kB."""

_REFUSED = (400, 413, 422)
"""Statuses that speak of one request: too long a passage, or one that a provider's filter does not let through."""


class Busy(Exception):
    """The call failed in a way that may pass: no connection, a timeout, 429, 5xx.

    ``again`` is False where asking the same once more is no use, while other calls may well succeed.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None, again: bool = True) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.again = again


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the LLM chooses its words. Part of every reply's key."""

    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 400
    seed: int = 0

    def body(self, *, attempt: int) -> dict[str, Any]:
        """For a request; each further attempt takes another seed, or it would fail the same way."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "seed": self.seed + attempt,
        }


class Llm(Protocol):
    """A chat model. ``name`` is part of every reply's key; ``slots`` is how many calls it works on at once."""

    name: str
    slots: int

    def chat(self, body: Body) -> Answer:
        """A ``chat.completion``. Raises `Busy` for what may pass, and an `UmekomiError` for what will not."""
        ...

    def close(self) -> None: ...


def open_llm(
    spec: str,
    *,
    slots: int | None,
    notify: Callable[[str], None],
    timeout_s: float = TIMEOUT_S,
    threads: int | None = None,
) -> Llm:
    """The LLM of ``http://host:8080/v1#name``, of a GGUF file, or of a starter's name. Close it.

    timeout_s  longest wait for an answer of a server
    threads    of a model in this process; all cores by default

    The key for an address is read from ``UMEKOMI_API_KEY``. Raises `ConfigError` for an address without a name.
    """
    if spec.startswith(("http://", "https://")):
        base_url, _, name = spec.partition("#")
        if "@" in base_url.split("/")[2]:
            raise ConfigError(
                "--llm: an address must hold no password, which messages would show; use UMEKOMI_API_KEY"
            )
        if not name:
            raise ConfigError(
                f"--llm {spec}: an address needs the model's name after '#', as in {base_url}#my-model"
            )
        address = base_url.rstrip("/")
        return EndpointLlm(
            address, name, slots=slots or stated_slots(address) or DEFAULT_SLOTS, timeout_s=timeout_s
        )
    options = {"parallel": slots} if slots else {}
    return LocalLlm(spec, options=options, threads=threads, notify=notify)


class LocalLlm:
    """A GGUF file in this process."""

    def __init__(
        self, name: str, *, options: Mapping[str, Any], threads: int | None, notify: Callable[[str], None]
    ) -> None:
        bundle = open_model(name, notify=notify)
        if find_starter(name) is not None:
            notify(f"{name} shows that the pipeline runs; it is far too small to write good queries")
        self._generator = open_generator(bundle, threads=threads, options=options or None)
        self.name = f"{bundle.card.name}@{bundle.card.weights_digest[:16]}"
        self.slots = self._generator.parallel

    def chat(self, body: Body) -> Answer:
        try:
            return self._generator.chat(body)
        except Overloaded as error:
            raise Busy(str(error)) from None
        except InputTooLong as error:
            raise Busy(str(error), again=False) from None

    def close(self) -> None:
        self._generator.close()


@dataclass
class EndpointLlm:
    """A server that speaks OpenAI's protocol."""

    base_url: str
    name: str
    slots: int
    timeout_s: float
    _client: httpx.Client = field(init=False)
    _sockets: WeakSet[socket.socket] = field(init=False, default_factory=WeakSet)

    def __post_init__(self) -> None:
        limits = httpx.Limits(max_connections=self.slots, max_keepalive_connections=self.slots)
        timeout = httpx.Timeout(self.timeout_s, connect=min(self.timeout_s, CONNECT_TIMEOUT_S))
        self._client = httpx.Client(
            headers=_headers(config.api_key()), timeout=timeout, limits=limits, follow_redirects=False
        )

    def chat(self, body: Body) -> Answer:
        response = self._post({**body, "model": self.name})
        said = f"{self.base_url} answered {response.status}"
        if response.status in (408, 409, 425, 429) or response.status >= 500:
            raise Busy(f"{said}: {response.start}", retry_after_s=_retry_after(response.headers))
        if response.status in _REFUSED:
            raise Busy(f"{said}: {response.start}", again=False)
        if response.status != httpx.codes.OK:
            moved = response.headers.get("location")
            raise UpstreamError(f"{said}: {f'it moved to {moved}; name that address' if moved else response.start}")
        try:
            answer: Any = json.loads(response.body)
        except (ValueError, RecursionError):
            raise Busy(f"{said} with no JSON: {response.start}") from None
        return answer if isinstance(answer, dict) else {}

    def _post(self, body: Mapping[str, Any]) -> _Response:
        try:
            with self._client.stream(
                "POST",
                f"{self.base_url}/chat/completions",
                json=body,
                extensions={"trace": self._note_socket},
            ) as response:
                return _read(response, timeout_s=self.timeout_s)
        except httpx.InvalidURL as error:
            raise ConfigError(f"--llm {self.base_url}: not a valid address: {error}") from None
        except httpx.HTTPError as error:
            raise Busy(f"{self.base_url}: no answer: {error or type(error).__name__}") from None

    def _note_socket(self, event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._sockets.add(info["return_value"].get_extra_info("socket"))

    def close(self) -> None:
        """Ends calls in flight too: a thread that waits for an answer would not notice a mere close."""
        for opened in list(self._sockets):
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        self._client.close()


@dataclass(frozen=True, slots=True)
class _Response:
    """An answer that was read whole, within bounds."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def start(self) -> str:
        """The first words, for a message."""
        return " ".join(self.body[:200].decode(errors="replace").split()) or "an empty body"


def _headers(key: str | None) -> dict[str, str]:
    # A small compressed body could become any amount of memory.
    headers = {"accept-encoding": "identity"}
    if key:
        if not key.isascii() or not key.isprintable():
            raise ConfigError("UMEKOMI_API_KEY holds characters that no header can carry, such as a line break")
        headers["authorization"] = f"Bearer {key}"
    return headers


def _read(response: httpx.Response, *, timeout_s: float) -> _Response:
    """The whole body, as it came. Raises `Busy` where it is too long, or drips in for longer than ``timeout_s``."""
    body = bytearray()
    deadline = time.monotonic() + timeout_s
    for part in response.iter_raw():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            raise Busy(f"{response.url} answered more than {MAX_ANSWER_BYTES >> 20} MB", again=False)
        if time.monotonic() > deadline:
            raise Busy(f"{response.url} did not end its answer within {timeout_s:g} s")
    return _Response(response.status_code, response.headers, bytes(body))


def stated_slots(base_url: str) -> int | None:
    """Requests that the server works on at once, where it is llama-server, which tells; None for any other."""
    address = f"{base_url.removesuffix('/v1')}/props"
    try:
        with httpx.stream("GET", address, timeout=5, headers=_headers(config.api_key())) as response:
            answer: Any = json.loads(_read(response, timeout_s=5).body)
        slots = answer["total_slots"]
    except (Busy, httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError, KeyError, TypeError):
        return None
    return slots if type(slots) is int and 1 <= slots <= MOST_SLOTS else None


def content_of(answer: Answer) -> tuple[str, str | None]:
    """The text of the first choice, and why it ended. Raises `Busy` for an answer of no known shape."""
    try:
        choice = answer["choices"][0]
        content = choice["message"]["content"]
        finish = choice.get("finish_reason")
        return content if isinstance(content, str) else "", finish if isinstance(finish, str) else None
    except (KeyError, IndexError, TypeError, AttributeError):
        keys = ", ".join(sorted(answer))[:100] or "nothing"
        raise Busy(f"an answer without choices; it holds {keys}") from None


def pause_s(attempt: int, retry_after_s: float | None) -> float:
    """Wait before the next attempt: what the server asked for, else 0.5 s doubling to 30 s, jittered."""
    if retry_after_s is not None:
        return min(retry_after_s, 60.0)
    return float(min(30.0, 0.5 * 2**attempt)) * random.uniform(0.5, 1)  # noqa: S311 - to spread load, not to keep a secret


def _retry_after(headers: httpx.Headers) -> float | None:
    for header, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait_s = float(headers[header]) * unit
        except (KeyError, ValueError):
            continue
        if wait_s >= 0:  # not so for NaN
            return wait_s
    return None
