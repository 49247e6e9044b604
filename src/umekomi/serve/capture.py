"""What a client sends and gets, collected while it passes: only for a request log whose capture is on."""

from __future__ import annotations

from starlette.types import Message, Receive, Send


class Capture:
    """Stands between the server and the application for one request. Keeps the pieces, and copies none."""

    def __init__(self) -> None:
        self._request: list[bytes] = []
        self._answer: list[bytes] = []

    def of_request(self, receive: Receive) -> Receive:
        async def receive_captured() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                self._request.append(message.get("body", b""))
            return message

        return receive_captured

    def of_answer(self, send: Send) -> Send:
        async def send_captured(message: Message) -> None:
            if message["type"] == "http.response.body":
                self._answer.append(message.get("body", b""))
            await send(message)

        return send_captured

    def texts(self) -> dict[str, str]:
        """``request`` and ``answer``, as `RequestLog.write` takes them."""
        parts = {"request": self._request, "answer": self._answer}
        return {name: b"".join(pieces).decode("utf-8", "replace") for name, pieces in parts.items()}
