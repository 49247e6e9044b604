"""Chat with a running server that speaks OpenAI's protocol, umekomi's own or another's."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import httpx

from umekomi.engines.base import Answer, Body
from umekomi.errors import UpstreamError

_EVENT = "data:"
_DONE = "[DONE]"


class ChatEndpoint:
    """A chat model behind ``base_url`` (which ends in ``/v1``). Close it, or use it in ``with``."""

    def __init__(self, base_url: str, model: str, *, api_key: str | None = None, timeout_s: float = 120) -> None:
        self.model = model
        self.base_url = base_url.rstrip("/")
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(headers=headers, timeout=timeout_s)

    def stream_chat(self, body: Body) -> Generator[Answer]:
        """The chunks of an answer, as they come. Raises `UpstreamError`, with the server's own message."""
        request = {**body, "model": self.model, "stream": True}
        with (
            self._naming_failures(),
            self._client.stream("POST", f"{self.base_url}/chat/completions", json=request) as response,
        ):
            if response.status_code != httpx.codes.OK:
                response.read()
                raise UpstreamError(f"{self.base_url} answered {response.status_code}: {_message(response)}")
            yield from self._chunks(response)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _chunks(self, response: httpx.Response) -> Generator[Answer]:
        for line in response.iter_lines():
            if not line.startswith(_EVENT):
                continue
            content = line.removeprefix(_EVENT).strip()
            if content == _DONE:
                return
            yield self._chunk(content)
        raise UpstreamError(f"{self.base_url} ended its answer too early: no {_DONE} came")

    def _chunk(self, content: str) -> Answer:
        try:
            chunk: Any = json.loads(content)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            raise UpstreamError(f"{self.base_url} sent an event that is no JSON object: {content[:100]!r}")
        if error := chunk.get("error"):
            message = error.get("message") if isinstance(error, dict) else error
            raise UpstreamError(f"{self.base_url} failed in mid-answer: {message}")
        if not isinstance(chunk.get("choices"), list):
            raise UpstreamError(f"{self.base_url} sent an event without choices: {content[:100]!r}")
        return chunk

    @contextmanager
    def _naming_failures(self) -> Generator[None]:
        try:
            yield
        except httpx.InvalidURL as error:
            raise UpstreamError(f"{self.base_url}: not a valid address: {error}") from None
        except httpx.HTTPError as error:
            raise UpstreamError(f"{self.base_url}: no answer: {error or type(error).__name__}") from None


def _message(response: httpx.Response) -> str:
    """The server's own words where it sent OpenAI's error envelope, else the start of its body."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, TypeError, KeyError):
        return " ".join(response.text[:200].split()) or "an empty body"
