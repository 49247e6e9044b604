"""What upstreams may send instead of an answer: each is a clear error, and nothing wrong is passed on as right."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import httpx
import numpy as np
import pytest

from kit.server import PATIENCE_S, LocalServer, serving, wait_until
from kit.upstream import KEY, Asked, Behaviour, Upstream, chat, chunk, head, talk, upstream, vectors
from umekomi.config import ModelSettings, RemoteSettings
from umekomi.engines.remote.upstream import Patience

TEXTS = ["one", "two"]
HELLO = [{"role": "user", "content": "hi"}]
Both: TypeAlias = tuple[Upstream, LocalServer]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """An upstream that is told by each test what to do, and a server with its model as `far`."""
    with pytest.MonkeyPatch.context() as patch, upstream(talk("Hello.")) as back:
        patch.setenv("UPSTREAM_KEY", KEY)
        remote = back.remote(api_key_env="UPSTREAM_KEY", timeout_s=60, stall_timeout_s=60)
        with serving(ModelSettings(name="far", remote=remote)) as front:
            front.service.reread = lambda: front.service.settings
            yield back, front


@contextlib.contextmanager
def gateway(both: Both, behave: Behaviour, **patience: float) -> Iterator[Both]:
    """Both, with nothing known of what was before. Only where a test waits for its end is the patience short."""
    back, front = both
    assert front.client.post("/api/reload").status_code == 200
    back.behave = lambda asked: asked.json({"tokens": []})  # which opens the model
    assert front.client.post("/v1/tokenize", json={"model": "far", "prompt": "x"}).status_code == 200
    model: Any = front.service.residency.resolve("far").model
    model.upstream.patience = Patience(**{"begin_s": 60, "stall_s": 60, **patience})
    back.behave = behave
    back.asked.clear()
    back.connections = 1
    yield both


def silent(words: str) -> dict[str, float]:
    """The patience with an upstream that says nothing: short, where that is what the answer is to tell."""
    return {"begin_s": 0.5} if "did not begin" in words else {"stall_s": 0.5} if "0.5 s" in words else {}


def embed(front: LocalServer, **fields: Any) -> httpx.Response:
    return front.post({"model": "far", "input": TEXTS, **fields})


def talk_to(front: LocalServer, **fields: Any) -> httpx.Response:
    return front.client.post("/v1/chat/completions", json={"model": "far", "messages": HELLO, **fields})


def refused(answer: httpx.Response, status: int, words: str) -> None:
    """An error in the envelope that says ``words``, and tells nothing of the upstream."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["message"].startswith("The upstream of model `far` ")
    assert words in error["message"]
    if status >= 500:
        assert error["type"] == "upstream_error"
    tells_nothing(answer)


def tells_nothing(answer: httpx.Response) -> None:
    whole = answer.text + str(answer.headers)
    assert "127.0.0.1" not in whole
    assert KEY not in whole
    assert "theirs" not in whole
    assert "secret" not in whole


def floats(*rows: list[object]) -> bytes:
    return json.dumps(vectors(*rows)).encode()


def rows_at(*indices: object) -> bytes:
    rows = [{"index": index, "embedding": [1.0, 2.0]} for index in indices]
    return json.dumps({"data": rows}).encode()


def b64(*numbers: float) -> str:
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>secret login at 127.0.0.1</html>", "not JSON"),
        (b"", "not JSON"),
        (b"[]", "no JSON object"),
        (b'{"data": "x"}', "no embeddings"),
        (b'{"data": []}', "0 vectors for 2 texts"),
        (b'{"error": {"message": "secret"}}', "an error under status 200"),
        (floats([1.0]), "1 vectors for 2 texts"),
        (floats([1.0], [2.0], [3.0]), "3 vectors for 2 texts"),
        (rows_at(0, 0), "wrong or repeated indices"),
        (rows_at(1, 2), "wrong or repeated indices"),
        (rows_at(0, -1), "wrong or repeated indices"),
        (rows_at(0, True), "wrong or repeated indices"),
        (rows_at(0, "1"), "wrong or repeated indices"),
        (rows_at(0, None), "wrong or repeated indices"),
        (floats([1.0, 2.0], [1.0]), "different lengths"),
        (floats([], []), "empty ones"),
        (floats([1.0], [float("nan")]), "not JSON"),
        (floats([1.0], [float("inf")]), "not JSON"),
        (b'{"data": [{"index": 0, "embedding": [1e39]}, {"index": 1, "embedding": [1]}]}', "not finite"),
        (b'{"data": [{"index": 0, "embedding": [1e999]}, {"index": 1, "embedding": [1]}]}', ""),
        (floats([1.0], [None]), "something else than numbers"),
        (floats([1.0], ["1.0"]), "something else than numbers"),
        (floats([1.0], [True]), "something else than numbers"),
        (floats([1.0], [[1.0]]), "something else than numbers"),
        (json.dumps(vectors("AAAA", "AAAA")).encode(), "3 bytes"),
        (json.dumps(vectors("!!!!", "!!!!")).encode(), "not base64"),
        (json.dumps(vectors(b64(float("nan")), b64(1.0))).encode(), "not finite"),
        (json.dumps(vectors(b64(1.0, 2.0), b64(1.0))).encode(), "different lengths"),
    ],
)
def test_wrong_vectors(body: bytes, words: str, both: Both) -> None:
    with gateway(both, lambda asked: asked.whole(body)) as (_, front):
        refused(embed(front), 502, words)


def test_rows_in_any_order_and_encoding_become_what_was_asked_for(both: Both) -> None:
    rows = np.array([[1, 2, 3], [4, 5, 6.5]], np.float32)
    swapped = [{"index": 1, "embedding": b64(*rows[1])}, {"index": 0, "embedding": rows[0].tolist()}]
    with gateway(both, lambda asked: asked.json({"data": swapped})) as (_, front):
        plain, packed = embed(front), embed(front, encoding_format="base64")
    assert [row["embedding"] for row in plain.json()["data"]] == rows.tolist()
    found = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in packed.json()["data"]]
    np.testing.assert_array_equal(found, rows)
    assert plain.json()["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


def test_dimensions_that_change_or_are_not_obeyed(both: Both) -> None:
    rows = [[3.0, 4.0, 0.0], [0.0, 6.0, 8.0]]
    with gateway(both, lambda asked: asked.json(vectors(*rows))) as (back, front):
        cut = embed(front, dimensions=2)  # an upstream that does not know the field
        assert back.asked[-1].body["dimensions"] == 2
        assert cut.json()["data"][0]["embedding"] == pytest.approx([0.6, 0.8])
        refused(embed(front, dimensions=4), 502, "3 components where 4 were asked for")
        assert embed(front).status_code == 200
        rows[:] = [[1.0], [2.0]]
        refused(embed(front), 502, "1 components where it sent 3 before")


@pytest.mark.parametrize(
    ("status", "headers", "got", "words"),
    [
        (401, {"www-authenticate": "secret"}, 502, "does not let this server in"),
        (403, {}, 502, "does not let this server in"),
        (404, {}, 502, "does not know the model or the route"),
        (302, {"location": "http://127.0.0.1:1/secret"}, 502, "redirect, which is not followed"),
        (307, {"location": "/v1/embeddings"}, 502, "redirect"),
        (204, {}, 502, "status 204"),
        (418, {}, 502, "status 418"),
        (500, {}, 502, "failed with status 500"),
        (503, {"retry-after": "100"}, 502, "failed with status 503"),
        (429, {"retry-after": "7"}, 429, "has reached a limit"),
    ],
)
def test_statuses(status: int, headers: dict[str, str], got: int, words: str, both: Both) -> None:
    def behave(asked: Asked) -> None:
        content = {"error": {"message": f"secret {KEY} at http://127.0.0.1/x"}}
        if status == 204:
            asked.send(head(204, {}))
        else:
            asked.json(content, status=status, headers={"x-secret": "secret", **headers})

    with gateway(both, behave) as (back, front):
        answer = embed(front)
        refused(answer, got, words)
        assert len(back.asked) == 1
        assert back.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert answer.headers.get("x-should-retry") == ("false" if status < 429 else None)
    assert answer.headers.get("retry-after") == ("7" if got == 429 else None)


def test_the_clients_own_mistake_is_told_without_a_word_about_the_upstream(both: Both) -> None:
    said = f"max_tokens of theirs at http://127.0.0.1:1/v1 (10.0.0.7:80) is over 5; key {KEY}, Bearer abc"
    error = {"message": said, "param": "max_tokens", "code": "context_length_exceeded"}
    with gateway(both, lambda asked: asked.json({"error": error}, status=400)) as (back, front):
        answer = talk_to(front)
        refused(answer, 400, "max_tokens of far at … (…) is over 5")
        assert answer.json()["error"]["param"] == "max_tokens"
        assert answer.json()["error"]["code"] == "context_length_exceeded"
        assert "10.0.0.7" not in answer.text
        assert "abc" not in answer.text
        back.behave = lambda asked: asked.whole(b"<html>secret</html>", status=413)
        refused(talk_to(front), 400, "refused the request.")


def test_what_cannot_be_written_again_is_refused(both: Both) -> None:
    body = b'{"model": "far", "messages": [], "deep": ' + b"[" * 300 + b"]" * 300 + b"}"
    with gateway(both, talk("Hello.")) as (back, front):
        answer = front.client.post("/v1/chat/completions", content=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        assert not back.asked


def drip(asked: Asked) -> None:
    asked.begin_stream("application/json")
    with contextlib.suppress(OSError):
        for _ in range(200):
            asked.event(b" ")
            time.sleep(0.05)


def endless(asked: Asked) -> None:
    asked.begin_stream("application/json")
    with contextlib.suppress(OSError):
        while True:
            asked.event(b" " * 1_000_000)


@pytest.mark.parametrize(
    ("behave", "status", "words"),
    [
        (lambda asked: asked.wait_until_left(), 504, "did not begin its answer within 0.5 s"),
        (lambda asked: asked.connection.close(), 502, "closed the connection before it answered"),
        (lambda asked: asked.send(b"SSH-2.0-OpenSSH\r\n\r\n"), 502, "no valid HTTP"),
        (lambda asked: asked.send(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000), 502, "no valid HTTP"),
        (
            lambda asked: (asked.whole(b"{}", length=1000), asked.connection.close()),
            502,
            "ended its answer too early",
        ),
        (lambda asked: (asked.whole(b"{}", length=1000), asked.wait_until_left()), 504, "sent nothing for 0.5 s"),
        (lambda asked: (asked.begin_stream(), asked.connection.close()), 502, "ended its answer too early"),
        (lambda asked: asked.whole(b"\x1f\x8b", headers={"content-encoding": "gzip"}), 502, "compressed"),
        (endless, 502, "a body of more than"),
    ],
)
def test_answers_that_never_come_or_never_end(behave: Behaviour, status: int, words: str, both: Both) -> None:
    with gateway(both, behave, **silent(words)) as (_, front):
        refused(embed(front), status, words)


def test_a_slow_drip_ends_at_a_limit_of_its_own(both: Both) -> None:
    with gateway(both, drip, whole_s=1.0) as (_, front):
        refused(embed(front), 504, "sent its answer for more than 1 s")


def test_nobody_there() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # ours, so that nobody else can listen there
        remote = RemoteSettings(
            base_url=f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", model="theirs", max_retries=0
        )
        with serving(ModelSettings(name="far", remote=remote)) as front:
            refused(embed(front), 502, "could not be reached")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>secret</html>",
        json.dumps(chat(choices=[])).encode(),
        json.dumps(chat(choices=["x"])).encode(),
        json.dumps(chat(choices=[{"text": "x"}])).encode(),
        json.dumps(chat(choices=None)).encode(),
        json.dumps(chat()).encode()[:-1] + b', "deep": ' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"object": "error", "error": "secret"}',
    ],
)
def test_wrong_answers_of_chat(body: bytes, both: Both) -> None:
    with gateway(both, lambda asked: asked.whole(body)) as (_, front):
        refused(talk_to(front), 502, "sent ")


def test_a_usage_that_makes_no_sense_is_left_out(both: Both) -> None:
    with gateway(both, lambda asked: asked.json(chat(usage={"prompt_tokens": "many"}))) as (_, front):
        answer = talk_to(front).json()
        assert "usage" not in answer
        assert (answer["id"], answer["model"]) == ("chatcmpl-kept", "far")


def stream_of(*events: object, end: Callable[[Asked], None] = Asked.end_stream) -> Behaviour:
    def behave(asked: Asked) -> None:
        asked.begin_stream()
        for event in events:
            asked.event(event)
            time.sleep(0.02)  # as pieces of their own
        end(asked)

    return behave


def cut(asked: Asked) -> None:
    asked.connection.close()


def finish(asked: Asked) -> None:
    asked.send(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("behave", "status", "words"),
    [
        (lambda asked: asked.whole(b"<html>secret</html>"), 502, "no stream of events"),
        (lambda asked: asked.json(chat()), 502, "no stream of events"),
        (stream_of(), 502, "without a word"),
        (stream_of(end=finish), 502, "too early"),
        (stream_of(b"data: {half\n\n"), 502, "not JSON"),
        (stream_of(b"data: 1\n\n"), 502, "no JSON object"),
        (stream_of({"choices": [1]}), 502, "without choices"),
        (stream_of(b'event: error\ndata: {"error": {"message": "secret"}}\n\n'), 502, "failed in mid-answer"),
        (stream_of(b": secret\n\n", end=Asked.wait_until_left), 504, "did not begin"),
        (lambda asked: asked.json({"error": {"message": "secret"}}, status=500), 502, "status 500"),
    ],
)
def test_a_stream_that_fails_before_its_first_chunk_has_a_status(
    behave: Behaviour, status: int, words: str, both: Both
) -> None:
    with gateway(both, behave, **silent(words)) as (_, front):
        refused(talk_to(front, stream=True), status, words)


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (stream_of(chunk("good"), end=finish), "too early"),
        (stream_of(chunk("good"), end=cut), "too early"),
        (stream_of(chunk("good"), b"data: {half\n\n"), "not JSON"),
        (stream_of(chunk("good"), {"error": {"message": "secret"}}), "failed in mid-answer"),
        (stream_of(chunk("good"), end=Asked.wait_until_left), "sent nothing for 0.5 s"),
        (stream_of(chunk("good"), b'data: {"choices": [' + b"[" * 300 + b"]" * 300 + b"]}\n\n"), "without choices"),
        (
            stream_of(chunk("good"), b'data: {"choices": [], "x": ' + b"[" * 300 + b"]" * 300 + b"}\n\n"),
            "cannot be passed on",
        ),
        (stream_of(chunk("good"), b"data: " + b"x" * 5_000_000), "more than 4000000 bytes"),
    ],
)
def test_a_stream_that_fails_under_way_ends_with_an_error(behave: Behaviour, words: str, both: Both) -> None:
    with gateway(both, behave, **silent(words)) as (_, front):
        answer = talk_to(front, stream=True)
        assert answer.status_code == 200
        first, last = (json.loads(event.removeprefix("data: ")) for event in answer.text.strip().split("\n\n"))
        assert first["choices"][0]["delta"]["content"] == "good"
        assert last["error"]["type"] == "upstream_error"
        assert words in last["error"]["message"]
        tells_nothing(answer)


def test_events_are_relayed_as_they_come_and_nothing_else(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umekomi.engines.remote.stream._END_S", 60)  # whenever the last piece comes
    go_on = threading.Event()

    def behave(asked: Asked) -> None:
        asked.begin_stream()
        asked.event(b": secret comment\r\n\r\nid: 1\r\nda")
        asked.event(b"ta: " + json.dumps(chunk("緑")).encode()[:20])
        asked.event(json.dumps(chunk("緑")).encode()[20:] + b"\r\n\r\n")
        assert go_on.wait(PATIENCE_S)
        asked.event(chunk("の", usage={"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}))
        asked.event(chunk(finish="stop"))
        asked.end_stream()

    with gateway(both, behave) as (back, front):
        body = {"model": "far", "messages": HELLO, "stream": True}
        with front.client.stream("POST", "/v1/chat/completions", json=body) as answer:
            lines = answer.iter_lines()
            assert json.loads(next(lines).removeprefix("data: "))["choices"][0]["delta"] == {"content": "緑"}
            go_on.set()
            rest = [line.removeprefix("data: ") for line in lines if line]
        assert rest[-1] == "[DONE]"
        assert "usage" not in json.loads(rest[0])
        assert json.loads(rest[0])["model"] == "far"
        assert "secret" not in str(rest)
        assert talk_to(front, stream=True).status_code == 200
        assert back.connections == 1  # a stream that came to its end leaves its connection for the next


def test_a_server_that_refuses_to_tell_usage_is_asked_without(both: Both) -> None:
    def behave(asked: Asked) -> None:
        if "stream_options" in asked.body:
            detail = [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]
            asked.json({"detail": detail}, status=422)
        else:
            talk("Hello.")(asked)

    with gateway(both, behave) as (back, front):
        assert [talk_to(front, stream=True).status_code for _ in range(2)] == [200, 200]
        assert len(back.asked) == 3
        refused(talk_to(front, stream=True, stream_options={"include_usage": True}), 400, "refused the request.")


def test_a_client_that_reads_slowly_holds_the_upstream_up_and_loses_nothing(both: Both) -> None:
    pieces, sent = 200, []

    def behave(asked: Asked) -> None:
        asked.begin_stream()
        for number in range(pieces):
            asked.event(chunk("x" * 200_000))
            sent.append(number)
        asked.end_stream()

    with gateway(both, behave) as (_, front):
        model: Any = front.service.residency.resolve("far").model
        model.upstream.patience = Patience(begin_s=60, stall_s=5)
        body = {"model": "far", "messages": HELLO, "stream": True}
        with front.client.stream("POST", "/v1/chat/completions", json=body) as answer:
            came = answer.iter_bytes()
            whole = next(came)
            time.sleep(6)  # longer than an upstream may be silent
            assert len(sent) < pieces  # 40 MB are not waiting in memory
            whole += b"".join(came)
    assert whole.endswith(b"data: [DONE]\n\n")
    assert whole.count(b"x" * 200_000) == pieces


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_the_upstreams_work(stream: bool, both: Both) -> None:
    def behave(asked: Asked) -> None:
        if stream:
            asked.begin_stream()
            asked.event(chunk("good"))
        asked.wait_until_left()

    with gateway(both, behave) as (back, front):
        body = json.dumps({"model": "far", "messages": HELLO, "stream": stream}).encode()
        with front.connect() as leaving:
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
            leaving.sendall(head % len(body) + body)
            wait_until(lambda: len(back.asked) == 1, what="the request at the upstream")
            assert not stream or leaving.recv(12) == b"HTTP/1.1 200"
        wait_until(back.asked[0].left.is_set, what="the end of the upstream's work")
        in_flight = {"model": "far", "replica": "0"}
        wait_until(lambda: front.metric("umekomi_upstream_in_flight", **in_flight) == 0, what="its end here")


def test_a_connection_that_died_while_idle_is_replaced_without_a_second_try(both: Both) -> None:
    ended = threading.Semaphore(0)

    def behave(asked: Asked) -> None:
        asked.json(vectors([1.0], [2.0]))
        asked.connection.shutdown(2)
        ended.release()

    with gateway(both, behave) as (back, front):
        for _ in range(3):
            assert embed(front).status_code == 200
            assert ended.acquire(timeout=PATIENCE_S)
        assert back.connections == len(back.asked) == 3


def test_a_connection_that_ends_as_it_is_used_again_is_replaced_too(both: Both) -> None:
    used: set[int] = set()

    def behave(asked: Asked) -> None:
        if asked.connection.fileno() in used:
            used.remove(asked.connection.fileno())
            asked.connection.shutdown(2)
        else:
            used.add(asked.connection.fileno())
            asked.json(vectors([1.0], [2.0]))

    with gateway(both, behave) as (back, front):
        assert [embed(front).status_code for _ in range(3)] == [200, 200, 200]
        assert (back.connections, len(back.asked)) == (3, 5)


def test_what_comes_unasked_is_no_answer_to_the_next_request(both: Both) -> None:
    answered = threading.Event()
    added = threading.Semaphore(0)

    def behave(asked: Asked) -> None:
        answered.clear()
        asked.json(vectors([1.0], [2.0]))
        assert answered.wait(PATIENCE_S)  # or it would be a part of the answer
        with contextlib.suppress(OSError):
            asked.json(vectors([6.0], [6.0]))
        added.release()

    with gateway(both, behave) as (_, front):
        for _ in range(2):
            assert [row["embedding"] for row in embed(front).json()["data"]] == [[1.0], [2.0]]
            answered.set()
            assert added.acquire(timeout=PATIENCE_S)


def test_a_good_upstream_for_comparison(both: Both) -> None:
    with gateway(both, talk("Hel", "lo.")) as (back, front):
        assert talk_to(front).json()["choices"][0]["message"]["content"] == "Hello."
        answer = talk_to(front, stream=True, stream_options={"include_usage": True})
        events = answer.text.strip().split("\n\n")
        assert events[-1] == "data: [DONE]"
        assert json.loads(events[-2].removeprefix("data: "))["usage"]["completion_tokens"] == 2
        assert answer.headers["x-umekomi-model"] == "far"
        assert back.asked[0].body == {"messages": HELLO, "model": "theirs"}
        tells_nothing(answer)
