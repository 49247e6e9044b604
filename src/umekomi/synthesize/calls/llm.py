"""The LLM that writes: behind an OpenAI-compatible address, or a GGUF file in this process."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from umekomi import config
from umekomi.engines.base import Answer, Body
from umekomi.engines.registry import open_generator
from umekomi.errors import ConfigError, UpstreamError
from umekomi.models.sources import open_model

MOST_SLOTS = 256
DEFAULT_SLOTS = 4
"""Requests at once to a server that does not say how many it can take."""

TIMEOUT_S = 300.0
"""Longest wait for an answer; a small machine may take minutes for one."""


class Busy(Exception):
    """The call failed in a way that may pass: no connection, a timeout, 429, 5xx."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


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


def open_llm(spec: str, *, slots: int | None, notify: Callable[[str], None], timeout_s: float = TIMEOUT_S) -> Llm:
    """The LLM of ``http://host:8080/v1#name``, of a GGUF file, or of a starter's name. Close it.

    timeout_s  longest wait for an answer of a server

    The key for an address is read from ``UMEKOMI_API_KEY``. Raises `ConfigError` for an address without a name.
    """
    if spec.startswith(("http://", "https://")):
        base_url, _, name = spec.partition("#")
        if not name:
            raise ConfigError(
                f"--llm {spec}: an address needs the model's name after '#', as in {base_url}#my-model"
            )
        address = base_url.rstrip("/")
        return EndpointLlm(
            address, name, slots=slots or stated_slots(address) or DEFAULT_SLOTS, timeout_s=timeout_s
        )
    options = {"parallel": slots} if slots else {}
    return LocalLlm(spec, options=options, notify=notify)


class LocalLlm:
    """A GGUF file in this process."""

    def __init__(self, name: str, *, options: Mapping[str, Any], notify: Callable[[str], None]) -> None:
        bundle = open_model(name, notify=notify)
        self._generator = open_generator(bundle, options=options or None)
        self.name = f"{bundle.card.name}@{bundle.card.weights_digest[:16]}"
        self.slots = self._generator.parallel

    def chat(self, body: Body) -> Answer:
        return self._generator.chat(body)

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

    def __post_init__(self) -> None:
        key = config.api_key()
        limits = httpx.Limits(max_connections=self.slots, max_keepalive_connections=self.slots)
        self._client = httpx.Client(
            headers={"authorization": f"Bearer {key}"} if key else {}, timeout=self.timeout_s, limits=limits
        )

    def chat(self, body: Body) -> Answer:
        try:
            response = self._client.post(f"{self.base_url}/chat/completions", json={**body, "model": self.name})
        except httpx.InvalidURL as error:
            raise ConfigError(f"--llm {self.base_url}: not a valid address: {error}") from None
        except httpx.HTTPError as error:
            raise Busy(f"{self.base_url}: no answer: {error or type(error).__name__}") from None
        if response.status_code in (408, 409, 425, 429) or response.status_code >= 500:
            raise Busy(
                f"{self.base_url} answered {response.status_code}: {_start_of(response)}",
                retry_after_s=_retry_after(response),
            )
        if response.status_code != httpx.codes.OK:
            raise UpstreamError(f"{self.base_url} answered {response.status_code}: {_start_of(response)}")
        try:
            answer: Any = response.json()
        except ValueError:
            raise Busy(f"{self.base_url} answered 200 with no JSON: {_start_of(response)}") from None
        return answer if isinstance(answer, dict) else {}

    def close(self) -> None:
        self._client.close()


def stated_slots(base_url: str) -> int | None:
    """Requests that the server works on at once, where it is llama-server, which tells; None for any other."""
    try:
        answer: Any = httpx.get(f"{base_url.removesuffix('/v1')}/props", timeout=5).json()
        slots = answer["total_slots"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return None
    return slots if isinstance(slots, int) and 1 <= slots <= MOST_SLOTS else None


def content_of(answer: Answer) -> tuple[str, str | None]:
    """The text of the first choice, and why it ended. Raises `Busy` for an answer of no known shape."""
    try:
        choice = answer["choices"][0]
        content = choice["message"]["content"]
        return content if isinstance(content, str) else "", choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Busy(f"an answer without choices: {str(answer)[:100]}") from None


def pause_s(attempt: int, retry_after_s: float | None) -> float:
    """Wait before the next attempt: what the server asked for, else 0.5 s doubling to 30 s, jittered."""
    if retry_after_s is not None:
        return min(retry_after_s, 60.0)
    return float(min(30.0, 0.5 * 2**attempt)) * random.uniform(0.5, 1)  # noqa: S311 - to spread load, not to keep a secret


def _retry_after(response: httpx.Response) -> float | None:
    for header, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(response.headers[header]) * unit)
        except (KeyError, ValueError):
            continue
    return None


def _start_of(response: httpx.Response) -> str:
    return " ".join(response.text[:200].split()) or "an empty body"
