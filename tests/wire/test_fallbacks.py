"""Who is asked where a server fails: again, another replica, a fallback; and how an answer tells whose it is."""

from __future__ import annotations

import logging
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.server import MODEL, PATIENCE_S, FailingEncoder, LocalServer, serving, wait_until
from kit.upstream import Asked, Behaviour, chat, chunk, talk, upstream, vectors
from umekomi.config import ModelSettings, Replica
from umekomi.embedding.embedder import Embedder
from umekomi.engines.base import Encoder
from umekomi.engines.remote.upstream import Patience, Upstream
from umekomi.errors import EngineError
from umekomi.serve.access.keys import KeyStore

HELLO = [{"role": "user", "content": "hi"}]


def talk_to(front: LocalServer, name: str = "far", **fields: Any) -> httpx.Response:
    return front.client.post("/v1/chat/completions", json={"model": name, "messages": HELLO, **fields})


def failing(status: int = 500, **headers: str) -> Behaviour:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda asked: asked.json({"error": {"message": "no"}}, status=status, headers=named)


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One after the other; the last goes on."""
    left = list(behaviours)
    return lambda asked: (left.pop(0) if len(left) > 1 else left[0])(asked)


def attempts(front: LocalServer, outcome: str, replica: int = 0, name: str = "far") -> float:
    labels = {"model": name, "replica": str(replica), "outcome": outcome}
    return front.metric("umekomi_upstream_attempts_total", **labels)


def upstream_of(front: LocalServer, name: str = "far") -> Upstream:
    model: Any = front.service.residency.resolve(name).model
    return model.upstream


@pytest.mark.parametrize(
    "first",
    [
        failing(500),
        failing(408),
        failing(429, retry_after_ms="20"),
        lambda asked: asked.connection.close(),
        lambda asked: (asked.whole(b"{}", length=99), asked.connection.close()),
    ],
)
def test_what_may_pass_is_tried_again(first: Behaviour) -> None:
    with (
        upstream(in_turn(first, talk("Hello."))) as back,
        serving(ModelSettings(name="far", remote=back.remote(max_retries=1))) as front,
    ):
        assert talk_to(front).json()["model"] == "far"
        assert len(back.asked) == 2


@pytest.mark.parametrize(
    ("second", "patience_s"),
    [
        (failing(400), 60),
        (failing(401), 60),
        (failing(404), 60),
        (failing(429, retry_after="60"), 60),
        (failing(503, retry_after="60"), 60),
        (lambda asked: asked.wait_until_left(), 0.3),
        (lambda asked: asked.whole(b"<html>"), 60),
    ],
)
def test_what_would_not_pass_is_not(second: Behaviour, patience_s: float) -> None:
    with (
        upstream(in_turn(talk("Hi."), second, talk("Hello."))) as back,
        serving(ModelSettings(name="far", remote=back.remote(max_retries=3))) as front,
    ):
        assert talk_to(front).status_code == 200  # which leaves a connection: opening one may take long
        upstream_of(front).patience = Patience(begin_s=patience_s, stall_s=60)
        assert talk_to(front).status_code >= 400
        wait_until(lambda: len(back.asked) > 1, what="the request at the upstream, which may be late")
        assert len(back.asked) == 2


def test_a_stream_that_has_begun_is_never_begun_again() -> None:
    def half(asked: Asked) -> None:
        asked.begin_stream()
        asked.event(chunk("half"))
        asked.connection.close()

    with (
        upstream(half) as back,
        serving(
            ModelSettings(name="far", remote=back.remote(max_retries=3), fallbacks=("near",)),
            ModelSettings(name="near", remote=back.remote()),
        ) as front,
    ):
        answer = talk_to(front, stream=True).text
        assert "half" in answer
        assert "ended its answer too early" in answer
        assert len(back.asked) == 1


def test_the_wait_that_an_upstream_asks_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umekomi.engines.remote.upstream.BACKOFF_S", 0.01)  # so that no other wait is as long
    until: list[float] = []

    def at_a_moment(asked: Asked) -> None:
        until.append(math.ceil(time.time()) + 1)
        failing(503, retry_after=formatdate(until[0], usegmt=True))(asked)

    def for_a_second(asked: Asked) -> None:
        assert time.time() > until[0] - 0.01
        until.append(time.time() + 1)
        failing(429, retry_after="1")(asked)

    with (
        upstream(in_turn(at_a_moment, for_a_second, talk("Hello."))) as back,
        serving(ModelSettings(name="far", remote=back.remote(max_retries=2))) as front,
    ):
        assert talk_to(front).status_code == 200
        assert time.time() > until[1] - 0.01
        assert len(back.asked) == 3


def test_a_failing_server_is_left_alone_and_tried_by_one_request_later() -> None:
    with upstream(failing()) as back, serving(ModelSettings(name="far", remote=back.remote())) as front:
        now = time.monotonic() + 600  # and there it stays, however long the requests take
        upstream_of(front)._clock = lambda: now
        assert [talk_to(front).status_code for _ in range(5)] == [502, 502, 502, 503, 503]
        assert len(back.asked) == 3
        resting = talk_to(front)
        assert int(resting.headers["retry-after"]) == 5
        assert "left alone" in resting.json()["error"]["message"]
        assert front.metric("umekomi_upstream_resting", model="far", replica="0") == 1
        assert front.get("/readyz").status_code == 200
        now += 5
        go_on = threading.Event()
        back.behave = lambda asked: (go_on.wait(PATIENCE_S), asked.json(chat()))[1]
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(talk_to, front)
            wait_until(lambda: len(back.asked) == 4, what="the one request")
            assert talk_to(front).status_code == 503
            go_on.set()
            assert first.result().status_code == 200
        assert talk_to(front).status_code == 200


def test_the_least_busy_replica_is_asked_and_a_failing_one_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on = threading.Event()

    def wait(asked: Asked) -> None:
        assert go_on.wait(PATIENCE_S)
        asked.json(chat())

    with upstream(wait) as one, upstream(wait) as two:
        replicas = (Replica(base_url=two.url, model="other name"),)
        remote = one.remote(replicas=replicas, max_retries=1)
        with serving(ModelSettings(name="far", remote=remote)) as front, ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(talk_to, front) for _ in range(8)]
            wait_until(lambda: len(one.asked) + len(two.asked) == 8, what="all of the requests")
            assert len(one.asked) == len(two.asked) == 4
            assert front.metric("umekomi_upstream_in_flight", model="far", replica="1") == 4
            go_on.set()
            assert {answer.result().status_code for answer in answers} == {200}
            upstream_of(front)._clock = lambda: 0.0  # so that no rest is over before the last request
            assert two.asked[0].body["model"] == "other name"
            two.behave = failing(401)
            monkeypatch.setattr("umekomi.engines.remote.upstream._wait_s", lambda *_: 600.0)
            assert {talk_to(front).status_code for _ in range(8)} == {200}  # another is asked without a wait
            assert attempts(front, "denied", replica=1) == 3
            assert attempts(front, "ok", replica=0) == 4 + 8


def test_a_fallback_answers_and_nobody_can_miss_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with upstream(failing()) as back:
        models = (
            ModelSettings(name="far", kind="embedding", remote=back.remote(), fallbacks=("nahe 近い", "last")),
            ModelSettings(name="nahe 近い", kind="embedding", remote=back.remote(model="second")),
            ModelSettings(name="last", source=MODEL),
        )
        with serving(*models) as front:
            answer = front.post({"model": "text-embedding-3-small", "input": "x"})
            alone = front.post({"model": "last", "input": "x"})
            assert [asked.body["model"] for asked in back.asked] == ["theirs", "second"]
            assert front.metric("umekomi_fallbacks_total", model="far", answered="last") == 1
    assert answer.json() == alone.json()
    assert answer.json()["model"] == answer.headers["x-umekomi-model"] == "last"
    assert answer.headers["x-umekomi-fallback-for"] == "far"
    assert answer.headers["x-umekomi-fingerprint"] == alone.headers["x-umekomi-fingerprint"]
    assert "x-umekomi-fallback-for" not in alone.headers
    assert "falling back" in caplog.text
    assert "model=last" in caplog.text
    assert "fallback_for=far" in caplog.text


def test_a_model_takes_so_many_requests_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umekomi.engines.remote.upstream.MAX_IN_FLIGHT", 1)
    go_on = threading.Event()
    with (
        upstream(lambda asked: (go_on.wait(PATIENCE_S), asked.json(chat()))[1]) as back,
        serving(ModelSettings(name="far", remote=back.remote())) as front,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(talk_to, front)
        wait_until(lambda: len(back.asked) == 1, what="the first request")
        full = talk_to(front)
        assert (full.status_code, full.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        go_on.set()
        assert first.result().status_code == 200
        assert talk_to(front).status_code == 200


def test_names_that_no_header_carries_are_encoded() -> None:
    with serving(ModelSettings(name="近い\r\nx: y", source=MODEL)) as front:
        answer = front.post({"model": "近い\r\nx: y", "input": "x"})
        assert answer.headers["x-umekomi-model"] == "%E8%BF%91%E3%81%84%0D%0Ax:%20y"


def test_where_all_fail_the_first_failure_is_told() -> None:
    with upstream(failing(429, retry_after="33")) as busy, upstream(failing(500)) as broken:
        models = (
            ModelSettings(name="far", remote=busy.remote(), fallbacks=("second", "embedder")),
            ModelSettings(name="second", remote=broken.remote(), fallbacks=("third",)),
            ModelSettings(name="embedder", source=MODEL),
            ModelSettings(name="third", remote=broken.remote()),
        )
        with serving(*models) as front:
            answer = talk_to(front)
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "33")
            assert "`far`" in answer.json()["error"]["message"]
            assert len(broken.asked) == 1  # fallbacks of fallbacks are not followed


def test_a_streams_failure_before_its_first_chunk_falls_back() -> None:
    with upstream(lambda asked: asked.whole(b"<html>")) as back, upstream(talk("Hello.")) as good:
        models = (
            ModelSettings(name="far", remote=back.remote(), fallbacks=("near",)),
            ModelSettings(name="near", remote=good.remote()),
        )
        with serving(*models) as front:
            answer = talk_to(front, stream=True)
            assert answer.headers["x-umekomi-fallback-for"] == "far"
            assert '"model":"near"' in answer.text


class BrokenEncoder(FailingEncoder):
    def prepare(self, *args: object, **kwargs: object) -> Any:
        raise EngineError("out of memory")


def open_broken(settings: ModelSettings) -> Any:
    """The first model's files are broken, the second's engine fails, the third is right."""
    if settings.name == "unloadable":
        raise EngineError("cannot be opened")
    encoder: Encoder = BrokenEncoder()
    if settings.name != "failing":
        from umekomi.serve.opening import open_served

        return open_served(settings, threads=1)
    return Embedder(encoder)


def test_local_models_fall_back_too_but_not_for_the_clients_mistakes() -> None:
    with upstream(lambda asked: asked.json(vectors([1.0]))) as back:
        models = (
            ModelSettings(name="unloadable", fallbacks=("far",)),
            ModelSettings(name="failing", fallbacks=("far",)),
            ModelSettings(name="strict", source=MODEL, fallbacks=("far",)),
            ModelSettings(name="far", remote=back.remote()),
        )
        with serving(*models, open_model=open_broken) as front:
            for name in ("unloadable", "failing"):
                answer = front.post({"model": name, "input": "x"})
                assert (answer.status_code, answer.json()["model"]) == (200, "far")
            asked = len(back.asked)
            for body in (
                {"input": "x", "dimensions": 999},
                {"input": "x" * 600, "truncate": "error"},
                {"input": []},
            ):
                assert front.post({"model": "strict", **body}).status_code == 400
            assert talk_to(front, "strict").json()["error"]["code"] == "unsupported_capability"
            assert len(back.asked) == asked


def test_a_key_falls_back_only_on_what_it_may_use_and_never_from_its_own_limit(tmp_path: Path) -> None:
    database = tmp_path / "server.sqlite"
    store = KeyStore(database)
    narrow = store.create("narrow", models=["far"]).secret
    limited = store.create("limited", tokens_per_minute=3).secret
    store.close()
    with upstream(failing()) as back, upstream(talk("Hello.")) as good:
        models = (
            ModelSettings(name="far", remote=back.remote(), fallbacks=("near",)),
            ModelSettings(name="near", remote=good.remote()),
        )
        with serving(*models, keys=database) as front:
            front.client.headers["authorization"] = f"Bearer {narrow}"
            assert talk_to(front).status_code == 502
            assert not good.asked
            front.client.headers["authorization"] = f"Bearer {limited}"
            assert talk_to(front).status_code == 200
            assert talk_to(front).status_code == 429
            assert len(good.asked) == 1
