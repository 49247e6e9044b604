"""Server-sent events out of bytes, however they were cut on their way. Does no input or output itself."""

from __future__ import annotations

import codecs
from typing import Any

import orjson

from umekomi.engines.base import Answer
from umekomi.engines.remote.failures import WrongAnswer, excerpt_of

MAX_EVENT_BYTES = 4_000_000
DONE = b"[DONE]"


class EventReader:
    """Feed it bytes; it gives the data of each event that is whole (WHATWG HTML, section 9.2.6)."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._began = False

    def feed(self, piece: bytes) -> tuple[list[bytes], bool]:
        """The events that ``piece`` completes, and whether it completed any line, a comment's included.

        Raises `WrongAnswer` for an event larger than `MAX_EVENT_BYTES`.
        """
        text = self._rest + piece
        if not self._began:
            if len(text) < len(codecs.BOM_UTF8) and codecs.BOM_UTF8.startswith(text):
                self._rest = text
                return [], False
            text, self._began = text.removeprefix(codecs.BOM_UTF8), True
        held_back = b""
        if text.endswith(b"\r"):  # half of a CR LF, perhaps
            text, held_back = text[:-1], b"\r"
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        self._rest = rest + held_back
        events = [event for line in lines if (event := self._take(line)) is not None]
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise WrongAnswer(f"sent an event of more than {MAX_EVENT_BYTES} bytes")
        return events, bool(lines)

    def _take(self, line: bytes) -> bytes | None:
        """The event that an empty line ends, if this is one."""
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
                self._size += len(value)
            return None
        data, self._data, self._size = self._data, [], 0
        return b"\n".join(data) if data else None


def parse_chunk(event: bytes) -> Answer:
    """The chunk in an event's data. Raises `WrongAnswer` where it holds none, or an error."""
    try:
        chunk: Any = orjson.loads(event)
    except orjson.JSONDecodeError:
        raise WrongAnswer("sent an event that is not JSON", excerpt_of(event)) from None
    if not isinstance(chunk, dict):
        raise WrongAnswer("sent an event that is no JSON object", excerpt_of(event))
    if chunk.get("error"):
        raise WrongAnswer("failed in mid-answer", excerpt_of(event))
    choices = chunk.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise WrongAnswer("sent an event without choices", excerpt_of(event))
    return chunk
