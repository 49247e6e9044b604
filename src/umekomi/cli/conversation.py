"""`Conversation`: what has been said, and the next answer in pieces. Knows nothing of terminals."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeAlias

from umekomi.engines.base import Body, Chunks
from umekomi.errors import InputTooLong

Ask: TypeAlias = Callable[[Body], Chunks]
Message: TypeAlias = dict[str, str]


class Conversation:
    """Turns of a person and a model. ``ask`` streams an answer to the messages so far."""

    def __init__(self, ask: Ask, *, system: str | None = None, max_tokens: int | None = None) -> None:
        self._ask = ask
        self._limits = {"max_tokens": max_tokens} if max_tokens is not None else {}
        self._opening: list[Message] = [{"role": "system", "content": system}] if system else []
        self.turns: list[Message] = []

    def answer(self, text: str) -> Generator[str]:
        """The answer to ``text``, in pieces. What came of it stays in the conversation, also where it was stopped.

        Where nothing comes because of an error, ``text`` is forgotten again.
        """
        self.turns.append({"role": "user", "content": text})
        pieces: list[str] = []
        try:
            with closing(self._chunks()) as chunks:
                for chunk in chunks:
                    for choice in chunk["choices"]:
                        if piece := (choice.get("delta") or {}).get("content"):
                            pieces.append(piece)
                            yield piece
        finally:
            if pieces:
                self.turns.append({"role": "assistant", "content": "".join(pieces)})
            else:
                self.turns.pop()

    def forget(self) -> None:
        """Begin anew."""
        self.turns.clear()

    def _chunks(self) -> Chunks:
        """The stream for the turns so far. The oldest turns are dropped where they no longer fit the context."""
        while True:
            try:
                return self._ask({"messages": [*self._opening, *self.turns], **self._limits})
            except InputTooLong:
                if len(self.turns) < 3:
                    raise
                del self.turns[:2]
