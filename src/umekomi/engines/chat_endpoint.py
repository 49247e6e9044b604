"""Chat with a running server that speaks OpenAI's protocol, umekomi's own or another's."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Self

from umekomi.engines.base import Answer, Body
from umekomi.engines.remote.blocking import BlockingClient
from umekomi.engines.remote.events import DONE, EventReader, parse_chunk
from umekomi.engines.remote.failures import WrongAnswer


class ChatEndpoint:
    """A chat model behind ``base_url`` (which ends in ``/v1``). Close it, or use it in ``with``."""

    def __init__(self, base_url: str, model: str, *, api_key: str | None = None, timeout_s: float = 120) -> None:
        self.model = model
        self._client = BlockingClient(base_url, api_key=api_key, timeout_s=timeout_s)

    @property
    def base_url(self) -> str:
        return self._client.base_url

    def stream_chat(self, body: Body) -> Generator[Answer]:
        """The chunks of an answer, as they come. Raises `UpstreamError`, with the server's own message."""
        reader = EventReader()
        asked = {**body, "model": self.model, "stream": True}
        with self._client.naming_failures(), closing(self._client.stream("chat/completions", asked)) as pieces:
            for piece in pieces:
                events, _ = reader.feed(piece)
                for event in events:
                    if event.strip() == DONE:
                        return
                    yield parse_chunk(event)
            raise WrongAnswer(f"ended its answer too early: no {DONE.decode()} came")

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
