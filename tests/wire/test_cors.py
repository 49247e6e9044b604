"""What a browser is told about pages of other origins: nothing by default, and what was configured otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from kit.server import MODEL, LocalServer, serving
from umekomi.config import ModelSettings, ServerSettings
from umekomi.serve.access.keys import KeyStore

PAGE = "https://search.example.com"
STRANGER = "https://evil.example.com"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-os",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalServer, str]]:
    """A server with a key, for pages of one origin; and the key."""
    database = tmp_path_factory.mktemp("keys") / "server.sqlite"
    store = KeyStore(database)
    secret = store.create("page", requests_per_minute=100).secret
    store.close()
    with serving(ModelSettings(name=MODEL), keys=database, cors_origins=[PAGE]) as server:
        yield server, secret


def ask(server: LocalServer, origin: str, secret: str = "wrong", **body: object) -> httpx.Response:
    headers = {"origin": origin, "authorization": f"Bearer {secret}"}
    return server.post({"model": MODEL, "input": "x", **body}, headers=headers)


def exposed(answer: httpx.Response) -> set[str]:
    return set(answer.headers["access-control-expose-headers"].split(", "))


def test_by_default_no_page_is_told_anything(server: LocalServer) -> None:
    answer = server.post({"model": MODEL, "input": "x"}, headers={"origin": PAGE})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    asking = server.client.options("/v1/embeddings", headers={"origin": PAGE, **PREFLIGHT})
    assert asking.status_code == 405
    assert not [name for name in asking.headers if name.startswith("access-control")]


def test_a_page_that_may_reads_answers_and_their_headers(guarded: tuple[LocalServer, str]) -> None:
    server, secret = guarded
    answer = ask(server, PAGE, secret)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers
    assert exposed(answer) >= {
        "x-request-id",
        "x-umekomi-fingerprint",
        "x-umekomi-truncated",
        "x-umekomi-priority",
        "x-ratelimit-remaining-requests",
        "openai-processing-ms",
    }


@pytest.mark.parametrize(("secret", "status"), [("wrong", 401), (None, 400)])
def test_a_page_reads_its_errors_too(guarded: tuple[LocalServer, str], secret: str | None, status: int) -> None:
    server, right = guarded
    answer = ask(server, PAGE, secret or right, input=[])
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "x-request-id" in exposed(answer)


def test_the_question_beforehand_needs_no_key(guarded: tuple[LocalServer, str]) -> None:
    server, _ = guarded
    answer = server.client.options("/v1/embeddings", headers={"origin": PAGE, **PREFLIGHT})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert answer.headers["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]
    assert server.client.options("/v1/embeddings", headers={"origin": PAGE}).status_code == 401  # no such question


def test_other_pages_are_refused_and_their_answers_stay_unread(guarded: tuple[LocalServer, str]) -> None:
    server, secret = guarded
    asking = server.client.options("/v1/embeddings", headers={"origin": STRANGER, **PREFLIGHT})
    assert (asking.status_code, list(asking.json())) == (400, ["error"])
    assert "access-control-allow-origin" not in asking.headers
    answer = ask(server, STRANGER, secret)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Origin"  # or a cache would show this answer to a page that may read it


def test_every_page_may_where_that_is_written() -> None:
    with serving(cors_origins=["*"]) as server:
        answer = ask(server, STRANGER)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
        hostile = {"origin": STRANGER, **PREFLIGHT, "access-control-request-headers": "a\tb"}
        asking = server.client.options("/v1/embeddings", headers=hostile)
        assert asking.status_code == 204
        assert "access-control-allow-headers" not in asking.headers
        reload = server.client.post("/api/reload", headers={"origin": STRANGER})
        assert reload.status_code == 401  # a page is a stranger to that all the same


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://Search.Example.com/", PAGE),
        ("https://search.example.com:443", PAGE),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_an_origin_is_read_as_browsers_write_it(written: str, meant: str) -> None:
    assert ServerSettings(cors_origins=(written,)).cors_origins == (meant,)


@pytest.mark.parametrize("written", ["search.example.com", "https://x/path", "null", "", "https://*.example.com"])
def test_what_is_no_origin_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        ServerSettings(cors_origins=(written,))
