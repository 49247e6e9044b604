"""What no client library sends: malformed, oversized, stalling and vanishing requests on bare sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from kit.server import MODEL, PATIENCE_S, GatedEncoder, LocalServer, reference_vectors, serving, wait_until
from umekomi.config import Limits, ModelSettings
from umekomi.serve.intake import connection
from umekomi.serve.intake.framing import MAX_HEADER_BYTES
from umekomi.serve.wire import body as wire_body

LIMIT = 200_000


@pytest.fixture(scope="module")
def small() -> Iterator[LocalServer]:
    with serving(limits=Limits(max_body_bytes=LIMIT)) as running:
        yield running


def read_answer(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Status and JSON body of the one answer that follows."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, json.loads(stream.read(length))


def code_of(answer: dict[str, object]) -> object:
    assert list(answer) == ["error"]
    assert isinstance(answer["error"], dict)
    return answer["error"]["code"]


def request(body: bytes, *headers: str) -> bytes:
    head = ["POST /v1/embeddings HTTP/1.1", "host: x", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",  # TLS at a plain port
        b"nonsense\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no host
        b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    ],
)
def test_what_is_not_http_gets_the_envelope_too(server: LocalServer, sent: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        status, answer = read_answer(connection)
        assert (status, code_of(answer)) == (400, "invalid_http")
        assert connection.recv(1) == b""  # and the connection ends


def test_oversized_headers(server: LocalServer) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: ")
        for _ in range(20):
            connection.sendall(b"a" * 10_000)
            time.sleep(0.001)
        status, answer = read_answer(connection)
        assert (status, code_of(answer)) == (431, "request_header_fields_too_large")


@pytest.mark.parametrize("announced", [LIMIT + 1, 10**15])
def test_an_announced_body_over_the_limit_is_refused_before_it_comes(small: LocalServer, announced: int) -> None:
    with small.connect() as connection:
        connection.sendall(request(b"", f"content-length: {announced}", "expect: 100-continue"))
        status, answer = read_answer(connection)
        assert (status, code_of(answer)) == (413, "request_too_large")


def test_a_chunked_body_over_the_limit_is_refused_while_it_comes(small: LocalServer) -> None:
    with small.connect() as connection:
        connection.sendall(request(b"", "transfer-encoding: chunked"))
        for _ in range(LIMIT // 10_000 + 10):
            connection.sendall(b"2710\r\n" + b"a" * 10_000 + b"\r\n")
        status, answer = read_answer(connection)  # though the last chunk never comes
        assert (status, code_of(answer)) == (413, "request_too_large")


def test_a_refused_client_that_sends_to_the_end_reads_the_answer_and_keeps_its_connection(
    small: LocalServer,
) -> None:
    ok = json.dumps({"model": MODEL, "input": "a"}).encode()
    with small.connect() as connection:
        for size in (LIMIT + 1, 5_000_000):
            connection.sendall(request(b"a" * size, f"content-length: {size}"))
            assert read_answer(connection)[0] == 413
            connection.sendall(request(ok, f"content-length: {len(ok)}"))
            assert read_answer(connection)[0] == 200


def test_a_body_at_the_limit_is_read(small: LocalServer) -> None:
    ok = json.dumps({"model": MODEL, "input": "a"}).encode()
    assert small.post(ok + b" " * (LIMIT - len(ok))).status_code == 200
    assert small.post(ok + b" " * (LIMIT - len(ok) + 1)).status_code == 413

    def chunks() -> Iterator[bytes]:
        yield ok
        yield b" " * (LIMIT - len(ok))

    assert httpx.post(f"{small.url}/v1/embeddings", content=chunks(), timeout=60).status_code == 200


def test_an_endless_body_ends_with_the_connection(small: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER_S", 0.3)
    with small.connect() as sender:
        sender.sendall(request(b"", "transfer-encoding: chunked"))
        with pytest.raises(OSError):  # a reset or a broken pipe, as the moment has it
            while True:
                sender.sendall(b"2710\r\n" + b"a" * 10_000 + b"\r\n")
                time.sleep(0.001)


@contextlib.contextmanager
def standing_still(server: LocalServer) -> Iterator[None]:
    """The server takes up nothing while the block runs; what was sent meanwhile is there when it goes on."""
    loop, go_on = server.server._loop, threading.Event()
    assert loop is not None
    loop.call_soon_threadsafe(go_on.wait)
    try:
        yield
    finally:
        go_on.set()


def test_slow_headers_time_out(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADER_TIMEOUT_S", 0.3)
    with contextlib.ExitStack() as both:
        with standing_still(server):  # or the time could be over before the line is sent
            silent, slow = (both.enter_context(server.connect()) for _ in range(2))
            slow.sendall(b"GET /healthz HTTP/1.1\r\nhost:")
        status, answer = read_answer(slow)
        assert (status, code_of(answer)) == (408, "request_timeout")
        assert silent.recv(1) == b""  # nothing to answer: just the end


def test_slow_headers_on_a_used_connection_time_out_but_idling_does_not(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    with server.connect() as used:
        used.sendall(get)
        assert read_answer(used)[0] == 200
        monkeypatch.setattr(connection, "HEADER_TIMEOUT_S", 0.3)  # from here on: connecting has a limit too
        used.sendall(get)
        assert read_answer(used)[0] == 200
        time.sleep(0.6)
        used.sendall(get)
        assert read_answer(used)[0] == 200
        used.sendall(get[:-3])
        assert read_answer(used)[0] == 408


def test_a_stalled_body_times_out(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_body, "IDLE_TIMEOUT_S", 0.3)
    with server.connect() as stalling:
        stalling.sendall(request(b'{"model":', "content-length: 1000"))
        status, answer = read_answer(stalling)
        assert (status, code_of(answer)) == (408, "request_timeout")


def test_a_body_that_never_ends_times_out_though_bytes_keep_coming(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_body, "WHOLE_TIMEOUT_S", 0.5)
    with server.connect() as dripping:
        dripping.sendall(request(b'{"model":', "content-length: 1000"))
        dripping.settimeout(0.05)
        while True:
            try:
                if dripping.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                dripping.sendall(b" ")
        dripping.settimeout(PATIENCE_S)
        status, answer = read_answer(dripping)
    assert (status, code_of(answer)) == (408, "request_timeout")


def test_a_compressed_body_is_refused_by_name(server: LocalServer) -> None:
    with server.connect() as zipped:
        zipped.sendall(request(b"\x1f\x8b\x08", "content-length: 3", "content-encoding: gzip"))
        status, answer = read_answer(zipped)
    assert (status, code_of(answer)) == (415, "unsupported_content_encoding")
    assert "Content-Encoding 'gzip' is not supported" in answer["error"]["message"]  # type: ignore[index]


def test_a_body_in_dribs_and_drabs_is_read(server: LocalServer) -> None:
    body = json.dumps({"model": MODEL, "input": ["緑の果物"]}, ensure_ascii=False).encode()
    with server.connect() as slow:
        for byte in request(body, f"content-length: {len(body)}"):
            slow.sendall(bytes([byte]))
        status, answer = read_answer(slow)
    assert status == 200
    assert answer["data"][0]["embedding"] == [float(str(x)) for x in reference_vectors(["緑の果物"])[0]]  # type: ignore[index]


def test_pipelined_requests_are_answered_in_order(server: LocalServer) -> None:
    get = "GET /v1/models/{} HTTP/1.1\r\nhost: x\r\n\r\n"
    names = [MODEL, "no-such", "prompting"]
    with server.connect() as piping:
        piping.sendall("".join(get.format(name) for name in names).encode())
        answers = []
        stream = b""
        while len(answers) < len(names):
            stream += piping.recv(65_536)
            answers = [part.partition(b" ")[2][:3] for part in stream.split(b"HTTP/1.1")[1:]]
    assert answers == [b"200", b"404", b"200"]


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
def test_work_of_a_client_that_went_away_is_dropped(reset: bool) -> None:
    encoder = GatedEncoder()
    with serving(ModelSettings(name=MODEL), open_model=encoder.open) as server:
        body = json.dumps({"model": MODEL, "input": [f"text {i}" for i in range(50)]}).encode()
        leaving = server.connect()
        leaving.sendall(request(body, f"content-length: {len(body)}"))
        assert encoder.entered.wait(PATIENCE_S)
        if reset:
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        leaving.close()
        wait_until(lambda: server.service.in_flight == 0, what="the end of the request")
        encoder.gate.set()
        answer = server.post({"model": MODEL, "input": "neighbour"})
        assert answer.json()["data"][0]["embedding"] == pytest.approx(reference_vectors(["neighbour"])[0])
        assert len(encoder.runs) <= 2  # the one that ran when the client left, and the neighbour's
        assert server.metric("umekomi_requests_total", route="/v1/embeddings", status="499") == 1


def test_a_client_that_leaves_in_the_middle_of_its_body(server: LocalServer) -> None:
    before = server.metric("umekomi_requests_total", route="/v1/embeddings", status="499")
    with server.connect() as leaving:
        leaving.sendall(request(b'{"model":', "content-length: 1000"))
    wait_until(
        lambda: server.metric("umekomi_requests_total", route="/v1/embeddings", status="499") == before + 1,
        what="the count of it",
    )


def test_websockets_are_not_offered(server: LocalServer) -> None:
    with server.connect() as upgrading:
        upgrading.sendall(
            b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        )
        assert read_answer(upgrading)[0] == 200


@pytest.mark.parametrize("path", ["/v1/embeddings", "/healthz"])
def test_two_ways_to_tell_where_a_body_ends_are_refused_and_nothing_is_smuggled(
    server: LocalServer, path: str
) -> None:
    hidden = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
    head = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\ntransfer-encoding: chunked\r\n\r\n"
    with server.connect() as smuggling:
        smuggling.sendall(head % (path.encode(), 5 + len(hidden)) + b"0\r\n\r\n" + hidden)
        status, answer = read_answer(smuggling)
        assert (status, code_of(answer)) == (400, "invalid_http")
        assert "Content-Length and Transfer-Encoding" in answer["error"]["message"]  # type: ignore[index]
        assert smuggling.recv(1) == b""  # no second answer


@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 431)])
def test_the_limit_of_headers_is_exact_also_where_they_come_at_once(
    server: LocalServer, over: int, status: int
) -> None:
    head = b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: %b\r\n\r\n"
    filling = b"a" * (MAX_HEADER_BYTES + over - len(head) + 2)
    with server.connect() as connection:
        connection.sendall(head % filling)
        assert read_answer(connection)[0] == status
