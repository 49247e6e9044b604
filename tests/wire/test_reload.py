"""The configuration read again while the server runs: by its route and by SIGHUP, all of it or nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from kit.server import (
    MODEL,
    PATIENCE_S,
    GatedEncoder,
    LocalServer,
    reference_vectors,
    serve_process,
    serving,
    wait_until,
)
from umekomi.config import ModelSettings, load_settings
from umekomi.serve.access.keys import KeyStore


@contextmanager
def reloadable(config: Path, *models: ModelSettings, **options: object) -> Iterator[LocalServer]:
    """A server with ``models`` that reads ``config`` when it is told to."""
    with serving(*models, **options) as server:  # type: ignore[arg-type]
        server.service.reread = lambda: load_settings(config).with_defaults()
        yield server


def names(server: LocalServer) -> set[str]:
    return {entry["id"] for entry in server.get("/v1/models").json()["data"] if entry["alias_of"] is None}


def states(server: LocalServer) -> dict[str, str]:
    return {entry["id"]: entry["state"] for entry in server.get("/v1/models").json()["data"]}


def reload(server: LocalServer, **options: object) -> httpx.Response:
    return server.client.post("/api/reload", **options)  # type: ignore[arg-type]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "umekomi.yaml"


def write(config: Path, *lines: str) -> None:
    config.write_text("\n".join(lines), encoding="utf-8")


def test_models_come_go_change_and_stay(config: Path) -> None:
    first = [ModelSettings(name=name, source=MODEL) for name in ("stays", "changes", "goes")]
    with reloadable(config, *first) as server:
        stays = server.service.residency.resolve("stays").model
        write(
            config,
            "models:",
            f"- {{name: stays, source: '{MODEL}', aliases: [also]}}",
            "- {name: changes, source: 'hashing:32'}",
            f"- {{name: comes, source: '{MODEL}'}}",
            "limits: {max_inputs: 2}",
            "server: {port: 1}",
        )
        answer = reload(server)
        assert answer.status_code == 200
        assert answer.json()["models"] == {
            "added": ["comes"],
            "removed": ["goes"],
            "changed": ["stays", "changes"],
            "unchanged": [],
        }
        assert "server" in answer.json()["restart_for"]
        found = states(server)
        assert "goes" not in found
        assert (found["stays"], found["also"]) == ("loaded", "loaded")
        assert (found["changes"], found["comes"]) == ("unloaded", "unloaded")
        assert server.service.residency.resolve("stays").model is stays
        assert server.post({"model": "goes", "input": "x"}).status_code == 404
        vector = server.post({"model": "changes", "input": "x"}).json()["data"][0]["embedding"]
        assert len(vector) == 32
        refused = server.post({"model": "comes", "input": ["a", "b", "c"]})
        assert "the limit is 2" in refused.json()["error"]["message"]
        assert reload(server).json()["models"]["unchanged"] == ["stays", "changes", "comes"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("models: [{name: x, sauce: y}]", "did you mean 'source'"),
        ("models: [", "not valid YAML"),
        ("models: [{name: x}, {name: y, aliases: [x]}]", "taken twice"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_file_changes_nothing_and_is_told_why(
    config: Path, text: str | None, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with reloadable(config) as server:
        if text is not None:
            write(config, text)
        answer = reload(server)
        assert answer.status_code == 400
        message = answer.json()["error"]["message"]
        assert message.startswith("The old configuration stays: ")
        assert reason in message
        assert reason in caplog.text
        assert names(server) == {MODEL}
        assert server.post({"model": MODEL, "input": "x"}).status_code == 200


def test_a_request_on_a_removed_model_is_answered(config: Path) -> None:
    encoder = GatedEncoder()
    with (
        reloadable(config, ModelSettings(name=MODEL), open_model=encoder.open) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        running = pool.submit(server.post, {"model": MODEL, "input": ["one", "two"]})
        assert encoder.entered.wait(PATIENCE_S)
        write(config, "models: [{name: other, source: 'hashing:8'}]")
        assert reload(server).json()["models"]["removed"] == [MODEL]
        assert names(server) == {"other"}
        encoder.gate.set()
        rows = running.result().json()["data"]
        for row, expected in zip(rows, reference_vectors(["one", "two"]), strict=True):
            assert row["embedding"] == pytest.approx(expected)
        assert f'umekomi_model_resident{{model="{MODEL}"}}' not in server.get("/metrics").text


def test_a_page_in_a_browser_cannot_reload(config: Path) -> None:
    with reloadable(config) as server:
        write(config, "models: [{name: other, source: 'hashing:8'}]")
        assert reload(server, headers={"origin": "http://evil.example"}).status_code == 401
        assert server.get("/api/reload").status_code == 405
        assert names(server) == {MODEL}


def test_with_keys_it_takes_one_for_every_model(config: Path) -> None:
    with reloadable(config) as server:
        write(config, "models: [{name: other, source: 'hashing:8'}]")
        store = KeyStore(server.service.settings.keys.database)
        whole, some = store.create("whole").secret, store.create("some", models=[MODEL]).secret
        store.close()
        assert reload(server).status_code == 401
        assert reload(server, headers={"authorization": f"Bearer {some}"}).status_code == 401
        assert server.service.residency.names.keys() >= {MODEL}
        assert reload(server, headers={"authorization": f"Bearer {whole}"}).json()["models"]["added"] == ["other"]


def test_the_signal_reloads_under_the_flags_of_the_start(config: Path, tmp_path: Path) -> None:
    write(config, "models: [{name: a, source: 'hashing:8'}]")
    with serve_process(tmp_path, "--config", str(config), "--precision", "int8") as server:

        def served() -> dict[str, str]:
            entries = httpx.get(f"{server.url}/v1/models", timeout=60).json()["data"]
            return {entry["id"]: entry["precision"] for entry in entries if entry["alias_of"] is None}

        assert served() == {"a": "int8"}
        write(config, "models: [{name: b, source: 'hashing:8'}]")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: served() == {"b": "int8"}, what="the other model")
        write(config, "models: nonsense")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reload refused" in server.log.read_text("utf-8", "replace"), what="the refusal")
        assert served() == {"b": "int8"}
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text(encoding="utf-8")
