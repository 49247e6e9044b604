"""Keys, limits, usage and the request log of a running server, as the official client and the commands see them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from kit.server import MODEL, LocalServer, serve_process, serving, wait_until
from umekomi.config import KeySettings, ModelSettings, RequestLogSettings
from umekomi.serve.access.keys import KeyStore
from umekomi.serve.access.usage import read_usage

TEXT = "誰にも見せない文"
OTHER = "hashing:32"
UNKNOWN = "There is none"


class Keys:
    """The commands, on the database of a server that runs."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "umekomi.yaml"
        self.database = folder / "server.sqlite"
        self.log = folder / "requests.jsonl"
        self.config.write_text(
            f"keys: {{file: '{self.database}'}}\nrequest_log: {{file: '{self.log}'}}\n", encoding="utf-8"
        )

    def run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "umekomi", *arguments, "--config", str(self.config)]
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8", timeout=240).stdout

    def create(self, name: str, **options: Any) -> str:
        """As `umekomi keys create`, without the price of a process."""
        with KeyStore(self.database) as store:
            return store.create(name, **options).secret

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
def server(keys: Keys) -> Iterator[LocalServer]:
    models = (ModelSettings(name=MODEL, aliases=("ours",)), ModelSettings(name=OTHER))
    with serving(*models, keys=keys.database, request_log=RequestLogSettings(file=keys.log)) as running:
        yield running


def client_of(server: LocalServer, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


def test_a_key_closes_the_server_to_all_others_until_it_is_revoked(server: LocalServer, keys: Keys) -> None:
    for anything in ("none", "sk-umekomi-wrong"):
        with client_of(server, anything) as client:
            client.embeddings.create(model=MODEL, input=TEXT)
    key = keys.run("keys", "create", "--name", "one").strip()
    with client_of(server, "sk-umekomi-wrong") as wrong, client_of(server, key) as right:
        for model in (MODEL, UNKNOWN):
            with pytest.raises(openai.AuthenticationError) as refused:
                wrong.embeddings.create(model=model, input=TEXT)
            assert (refused.value.code, refused.value.type) == ("invalid_api_key", "invalid_request_error")
        assert right.embeddings.create(model=MODEL, input=TEXT).usage.prompt_tokens == len(TEXT) + 1
        with pytest.raises(openai.NotFoundError):
            right.embeddings.create(model=UNKNOWN, input=TEXT)
        keys.run("keys", "revoke", "one")
        with pytest.raises(openai.AuthenticationError):
            right.embeddings.create(model=MODEL, input=TEXT)


def test_without_a_key_nothing_is_told_but_health(server: LocalServer, keys: Keys) -> None:
    keys.create("one")
    told = {path: server.get(path).status_code for path in ("/healthz", "/readyz")}
    assert set(told.values()) == {200}
    answers = [
        server.get(path) for path in ("/v1/models", f"/v1/models/{MODEL}", "/metrics", "/openapi.json", "/nowhere")
    ]
    answers += [server.post({"model": MODEL, "input": "x"}), server.post(b"{"), server.post(b"x" * 1_000_000)]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert answer.headers["x-request-id"]
    assert len({answer.content for answer in answers}) == 1


def test_a_forbidden_model_is_like_none(server: LocalServer, keys: Keys) -> None:
    key = keys.create("some", models=["ours"])
    with client_of(server, key) as client:
        listed = {model.id for model in client.models.list()}
        assert {MODEL, "ours"} <= listed
        assert OTHER not in listed
        client.embeddings.create(model=MODEL, input=TEXT)
        answers = []
        for model in (OTHER, UNKNOWN):
            with pytest.raises(openai.NotFoundError) as refused:
                client.embeddings.create(model=model, input=TEXT)
            answers.append(refused.value.response.text.replace(model, "…"))
            with pytest.raises(openai.NotFoundError):
                client.models.retrieve(model)
        assert answers[0] == answers[1]
    bearer = {"authorization": f"Bearer {key}"}
    assert server.get("/metrics", headers=bearer).status_code == 401  # they name every model
    bearer = {"authorization": f"Bearer {keys.create('all')}"}
    assert OTHER in server.get("/metrics", headers=bearer).text


def test_a_limit_of_requests(server: LocalServer, keys: Keys) -> None:
    with client_of(server, keys.create("two", requests_per_minute=2)) as client:
        first = client.embeddings.with_raw_response.create(model=MODEL, input=TEXT)
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        with pytest.raises(openai.NotFoundError) as unknown:
            client.embeddings.create(model=UNKNOWN, input=TEXT)
        assert unknown.value.response.headers["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(openai.RateLimitError) as over:
            client.embeddings.create(model=MODEL, input=TEXT)
    assert over.value.code == "rate_limit_exceeded"
    assert 1 <= int(over.value.response.headers["retry-after"]) <= 61
    assert over.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    with client_of(server, keys.create("another")) as client:
        free = client.embeddings.with_raw_response.create(model=MODEL, input=TEXT)
    assert not any(name.startswith("x-ratelimit") for name in free.headers)


def test_a_limit_of_tokens(server: LocalServer, keys: Keys) -> None:
    with client_of(server, keys.create("ten", tokens_per_minute=10)) as client:
        first = client.embeddings.with_raw_response.create(model=MODEL, input="abcde")
        assert first.headers["x-ratelimit-remaining-tokens"] == "4"
        with pytest.raises(openai.RateLimitError) as over:
            client.embeddings.create(model=MODEL, input="abcde")
        assert over.value.response.headers["x-ratelimit-remaining-tokens"] == "4"
        with pytest.raises(openai.BadRequestError, match="has 101 tokens, and the key 'ten' may use 10 a minute"):
            client.embeddings.create(model=MODEL, input="x" * 100)


def test_usage_is_counted_by_key_and_served_name(server: LocalServer, keys: Keys) -> None:
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
    usage: Any = server.service.gate._usage
    usage._clock = lambda: noon  # or midnight could come in between
    with client_of(server, "any") as client:
        client.embeddings.create(model=MODEL, input="abc")
    with client_of(server, keys.create("team")) as client:
        for text in ("abc", "abcd"):
            client.embeddings.create(model="ours", input=text)
        with pytest.raises(openai.BadRequestError):
            client.embeddings.create(model=MODEL, input="x", dimensions=65)
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model=UNKNOWN, input="x")
    wait_until(lambda: sum(row.requests for row in read_usage(keys.database)) == 4, what="the usage on the disk")
    rows = [line.split(",") for line in keys.run("usage", "--csv", "-").splitlines()[1:]]
    day = "2026-11-21"
    assert [[row[0], *row[2:]] for row in rows] == [
        [day, "", MODEL, "1", "4", "0", "0"],
        [day, "team", MODEL, "3", "9", "0", "1"],
    ]


def test_a_line_for_each_request_and_neither_text_nor_key_in_any(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="umekomi")
    key = keys.create("team")
    with serving(keys=keys.database, request_log=RequestLogSettings(file=keys.log)) as server:
        bearer = {"authorization": f"Bearer {key}"}
        server.post({"model": MODEL, "input": TEXT}, headers=bearer | {"x-request-id": "r1"})
        server.post({"model": MODEL, "input": TEXT}, headers={"x-request-id": "r2"})
        server.get("/healthz")
        server.get(f"/nowhere/{TEXT}", headers=bearer)
    first, second, third = keys.lines()  # a stop writes what waits
    assert first["request_id"] == "r1"
    assert (first["route"], first["status"], first["model"]) == ("/v1/embeddings", 200, MODEL)
    assert (first["key"], first["key_name"]) == (key[:19], "team")
    assert (first["input_tokens"], first["output_tokens"], first["truncated"]) == (len(TEXT) + 1, 0, 0)
    assert first["durations"].keys() == {"receive", "load", "tokenise", "queue", "run", "encode"}
    assert first["client"] == "127.0.0.1"
    assert (second["route"], second["status"], second["key"]) == ("/v1/embeddings", 401, None)
    assert (third["route"], third["status"]) == ("unmatched", 404)
    written = keys.log.read_text(encoding="utf-8") + caplog.text
    assert TEXT not in written
    assert key not in written
    assert "captured" not in written


def test_capture_keeps_texts_for_its_time_and_says_so(keys: Keys) -> None:
    settings = RequestLogSettings(file=keys.log)
    with serving(keys=keys.database, request_log=settings, capture_s=600) as server:
        key = keys.create("team")
        server.post({"model": MODEL, "input": TEXT}, headers={"authorization": f"Bearer {key}"})
        server.post({"model": MODEL, "input": TEXT})
    event, line, refused = keys.lines()
    assert (event["event"], event["seconds"]) == ("capture on", 600)
    assert next(iter(line)) == "captured"
    assert json.loads(line["captured"]["request"])["input"] == TEXT
    assert json.loads(line["captured"]["answer"])["usage"]["prompt_tokens"] == len(TEXT) + 1
    assert "invalid_api_key" in refused["captured"]["answer"]
    assert TEXT not in refused["captured"]["request"]  # nobody read it
    assert key not in keys.log.read_text(encoding="utf-8")
    with serving(keys=keys.database, request_log=settings, capture_s=0) as server:
        server.post({"model": MODEL, "input": TEXT})
    assert not any("captured" in line for line in keys.lines()[3:])


def test_with_keys_the_command_lets_other_machines_in_and_captures(tmp_path: Path, keys: Keys) -> None:
    arguments = (MODEL, "--config", str(keys.config), "--host", "0.0.0.0")
    command = [sys.executable, "-m", "umekomi", "serve", "--port", "0", *arguments]
    refused = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=240, env=os.environ)
    assert refused.returncode == 2
    assert "umekomi keys create" in refused.stderr
    key = keys.create("one")
    with serve_process(tmp_path, *arguments, "--capture", "30m") as server:
        body = {"model": MODEL, "input": TEXT}
        assert httpx.post(f"{server.url}/v1/embeddings", json=body, timeout=60).status_code == 401
        bearer = {"authorization": f"Bearer {key}"}
        assert httpx.post(f"{server.url}/v1/embeddings", json=body, headers=bearer, timeout=60).status_code == 200
        said = server.log.read_text(encoding="utf-8")
        assert '-H "Authorization: Bearer $UMEKOMI_API_KEY"' in said
        assert "keeping texts for 30m" in said
        assert server.stop() == 0
        said = server.log.read_text(encoding="utf-8")
    assert key not in said
    assert TEXT not in said
    assert keys.lines()[0]["seconds"] == 1800
    assert json.loads(keys.lines()[-1]["captured"]["request"]) == body
    assert "one" in keys.run("usage")  # a stop writes what was counted


@pytest.mark.parametrize("time", ["soon", "0m", "2d", "99999w"])
def test_a_capture_without_an_end_is_refused(keys: Keys, time: str) -> None:
    command = [sys.executable, "-m", "umekomi", "serve", MODEL, "--port", "0", "--config", str(keys.config)]
    refused = subprocess.run([*command, "--capture", time], capture_output=True, encoding="utf-8", timeout=240)
    assert refused.returncode == 2
    assert f"--capture {time}: not a time" in refused.stderr
    keys.config.write_text("{}", encoding="utf-8")
    refused = subprocess.run([*command, "--capture", "1h"], capture_output=True, encoding="utf-8", timeout=240)
    assert "request_log.file" in refused.stderr


def test_a_database_that_cannot_be_read_keeps_the_server_closed(tmp_path: Path) -> None:
    config = tmp_path / "umekomi.yaml"
    damaged = KeySettings(file=tmp_path / "server.sqlite").database
    damaged.write_bytes(b"no database" * 1000)
    config.write_text(f"keys: {{file: '{damaged}'}}\n", encoding="utf-8")
    command = [sys.executable, "-m", "umekomi", "serve", MODEL, "--port", "0", "--config", str(config)]
    refused = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=240)
    assert refused.returncode == 2
    assert str(damaged) in refused.stderr
    assert "Traceback" not in refused.stderr
