"""``umekomi chat``: what stays in a conversation, the terminal around it, and servers that answer badly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from umekomi.cli.conversation import Conversation
from umekomi.cli.main import app
from umekomi.engines.base import Answer, Body, Chunks
from umekomi.errors import EngineError, InputTooLong, UpstreamError

RUN = CliRunner()


def delta(**fields: Any) -> Answer:
    return {"choices": [{"delta": fields}]}


class Parrot:
    """Repeats the last message in two pieces; refuses more than ``room`` messages."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.seen: list[Body] = []

    def __call__(self, body: Body) -> Chunks:
        if len(body["messages"]) > self.room:
            raise InputTooLong("too long", param="messages")
        self.seen.append(body)
        return self._chunks(body["messages"][-1]["content"])  # type: ignore[return-value]

    def _chunks(self, text: str) -> Iterator[Answer]:
        yield delta(role="assistant", content="")
        yield delta(content="you: ")
        yield delta(content=text)
        yield delta()
        yield {"choices": []}


def test_what_was_said_is_sent_again() -> None:
    parrot = Parrot()
    conversation = Conversation(parrot, system="be brief", max_tokens=5)
    assert list(conversation.answer("a")) == ["you: ", "a"]
    assert "".join(conversation.answer("b")) == "you: b"
    assert [message["content"] for message in parrot.seen[-1]["messages"]] == ["be brief", "a", "you: a", "b"]
    assert parrot.seen[-1]["max_tokens"] == 5
    conversation.forget()
    assert "".join(conversation.answer("c")) == "you: c"
    assert [message["content"] for message in parrot.seen[-1]["messages"]] == ["be brief", "c"]


def test_an_answer_that_was_stopped_stays_as_far_as_it_came() -> None:
    conversation = Conversation(Parrot())
    pieces = conversation.answer("a")
    assert next(pieces) == "you: "
    pieces.close()
    assert conversation.turns[-1] == {"role": "assistant", "content": "you: "}


def test_the_oldest_turns_go_where_the_context_is_full() -> None:
    parrot = Parrot(room=4)
    conversation = Conversation(parrot, system="s")
    for text in "abc":
        assert "".join(conversation.answer(text)) == f"you: {text}"
    assert [message["content"] for message in parrot.seen[-1]["messages"]] == ["s", "b", "you: b", "c"]


@pytest.mark.parametrize("error", [InputTooLong("x"), EngineError("x")])
def test_a_question_without_an_answer_is_forgotten(error: Exception) -> None:
    def fail(body: Body) -> Chunks:
        raise error

    conversation = Conversation(fail)
    with pytest.raises(type(error)):
        list(conversation.answer("a"))
    assert conversation.turns == []


@contextmanager
def answering(body: str, *, status: int = 200) -> Iterator[str]:
    """A server that answers everything with ``body``."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()


HI = 'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n'


def test_lines_of_a_pipe_are_answered_one_by_one() -> None:
    with answering(f": wait\n\n{HI}{HI}data: [DONE]\n\n") as url:
        result = RUN.invoke(app, ["chat", "--base-url", url, "-m", "any"], input="a\n\n b \n")
    assert (result.exit_code, result.stdout) == (0, "hihi\nhihi\n")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, HI, "too early"),
        (200, "<html>login</html>", "too early"),
        (200, HI + 'data: {"error": {"message": "broke"}}\n\n', "broke"),
        (200, "data: {half\n\n", "not JSON"),
        (200, "data: [1]\n\n", "no JSON"),
        (200, "data: {}\n\n", "without choices"),
        (404, '{"error": {"message": "no such model"}}', "no such model"),
        (502, "", "502"),
    ],
)
def test_a_bad_answer_of_a_server_is_one_clear_error(status: int, body: str, words: str) -> None:
    with answering(body, status=status) as url:
        result = RUN.invoke(app, ["chat", "--base-url", url], input="a\n")
    assert isinstance(result.exception, UpstreamError)
    assert words in str(result.exception)


def test_no_server_is_an_error_too() -> None:
    result = RUN.invoke(app, ["chat", "--base-url", "http://127.0.0.1:9/v1"], input="a\n")
    assert isinstance(result.exception, UpstreamError)


def test_at_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from umekomi.cli import chat as command

    asked: list[Any] = ["", "a", KeyboardInterrupt, "/new", "stop me", "fail", "/help", "b", "/quit"]

    def answer(prompt: str) -> str:
        line = asked.pop(0)
        if isinstance(line, str):
            return line
        raise line

    class Moody(Parrot):
        def _chunks(self, text: str) -> Iterator[Answer]:
            for chunk in super()._chunks(text):
                yield chunk
                if text == "stop me":
                    raise KeyboardInterrupt
                if text == "fail":
                    raise EngineError("it broke")

    monkeypatch.setattr("builtins.input", answer)
    parrot = Moody()
    command.talk(Conversation(parrot))
    assert asked == []
    shown = capsys.readouterr()
    assert "you: a\n" in shown.out
    assert "you: b\n" in shown.out
    assert "it broke" in shown.err
    assert [message["content"] for message in parrot.seen[-1]["messages"]] == ["b"]
