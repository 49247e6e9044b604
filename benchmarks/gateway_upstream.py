"""An upstream that answers at once: what a gateway adds is then all there is to measure.

``python gateway_upstream.py PORT``. It reads requests as far as it must and checks nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

DIM = 384
PIECES = 16
HELLO = "Hello! How can I help you today?"
USAGE = {"prompt_tokens": 12, "completion_tokens": PIECES, "total_tokens": 12 + PIECES}
ABOUT = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "instant"}

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: "


def main() -> None:
    asyncio.run(_serve(int(sys.argv[1])))


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port)
    await server.serve_forever()


class _Connection(asyncio.Protocol):
    """One client: a request is a head, and as many bytes as its content-length says."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n") + 4) >= 4:
            head = bytes(self._received[:end]).lower()
            length = int(head.partition(b"\ncontent-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self._received) < end + length:
                return
            body = bytes(self._received[end : end + length])
            del self._received[: end + length]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if b"/embeddings" in head.partition(b"\r\n")[0]:
            self._transport.write(EMBEDDINGS)
        elif b'"stream":true' in body.replace(b" ", b""):
            for part in STREAM:
                self._transport.write(part)
        else:
            self._transport.write(CHAT)


def _whole(content: dict[str, Any]) -> bytes:
    body = json.dumps(content).encode()
    return _HEAD + b"application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _stream() -> list[bytes]:
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": f"word {number} "} for number in range(PIECES)]
    choices: list[list[dict[str, Any]]] = [
        [{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas
    ]
    choices.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    chunks: list[dict[str, Any]] = [
        {**ABOUT, "object": "chat.completion.chunk", "choices": each} for each in choices
    ]
    chunks.append({**ABOUT, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
    events = [b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks]
    events.append(b"data: [DONE]\n\n")
    head = _HEAD + b"text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%b\r\n" % (len(event), event) for event in events), b"0\r\n\r\n"]


EMBEDDINGS = _whole(
    {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.0123 + i / 1e4 for i in range(DIM)]}],
        "model": "instant",
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }
)
CHAT = _whole(
    {
        **ABOUT,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": HELLO}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
)
STREAM = _stream()

if __name__ == "__main__":
    main()
