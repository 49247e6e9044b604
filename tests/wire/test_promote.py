"""Promotion on a running server, over real sockets: under traffic, killed on its way, and where it must not be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import numpy as np
import pytest

from kit.promotions import copy_trained, prove_anew, umekomi, words, write_trained
from kit.server import PATIENCE_S, LocalServer, serve_process, serving, wait_until
from umekomi.config import load_settings
from umekomi.embedding.embedder import open_embedder
from umekomi.serve.access.keys import KeyStore

TEXTS = ["green fruit", "緑の果物", "レモンは酸味の強い柑橘です。", "🍋"]

CONFIG = """\
# what we serve
models:
  - name: first   # never touched by machines, we thought
    source: "hashing:32"
    aliases:
      - search    # the web shop asks for this
      - other
  # small ones
  - {name: small, source: 'hashing:16',  role: query}

limits: {max_inputs:   100}  # as agreed
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two trainings, each with another model."""
    folder = tmp_path_factory.mktemp("trained")
    return write_trained(folder / "a", seed=0), write_trained(folder / "b", seed=1)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "umekomi.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@contextmanager
def reading(config: Path, **options: Any) -> Iterator[LocalServer]:
    """A server in this process that serves ``config`` and reads it again."""

    def read() -> Any:
        return load_settings(config).with_defaults()

    with serving(*read().models, **options) as server:
        server.service.reread = read
        yield server


def promote(folder: Path, alias: str, config: Path, server: str, *more: str | Path) -> Any:
    return umekomi("promote", folder, "--alias", alias, "--config", config, "--base-url", server, *more)


def rollback(alias: str, config: Path, server: str) -> Any:
    return umekomi("rollback", alias, "--config", config, "--base-url", server)


def served(url: str) -> dict[str, dict[str, Any]]:
    return {entry["id"]: entry for entry in httpx.get(f"{url}/v1/models", timeout=PATIENCE_S).json()["data"]}


def ask(url: str, model: str) -> tuple[str, np.ndarray[Any, Any]]:
    """Who answers, and its vectors of `TEXTS`."""
    answer = httpx.post(f"{url}/v1/embeddings", json={"model": model, "input": TEXTS}, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    rows = [row["embedding"] for row in answer.json()["data"]]
    return answer.headers["x-umekomi-model"], np.array(rows, np.float32)


def vectors_of(folder: Path) -> np.ndarray[Any, Any]:
    with open_embedder(str(folder / "model"), threads=1) as embedder:
        return embedder.embed(TEXTS, role="raw").vectors


@dataclass
class Traffic:
    """Clients that ask for one name without a break until they are told to stop."""

    url: str
    answers: list[tuple[float, str, np.ndarray[Any, Any]]] = field(default_factory=list)
    """When each was asked for, by whom it was answered, and the vectors."""
    failures: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=PATIENCE_S) as client:
            while not self.stopping.is_set():
                asked = time.monotonic()
                answer = client.post("/v1/embeddings", json={"model": "search", "input": TEXTS})
                if answer.status_code != 200:
                    self.failures.append(answer.text)
                    continue
                rows = [row["embedding"] for row in answer.json()["data"]]
                self.answers.append((asked, answer.headers["x-umekomi-model"], np.array(rows, np.float32)))


@contextmanager
def traffic(url: str, *, clients: int = 3) -> Iterator[Traffic]:
    found = Traffic(url)
    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(found.run) for _ in range(clients)]
        try:
            wait_until(lambda: len(found.answers) > 5, what="the first answers")
            yield found
        finally:
            found.stopping.set()
        for each in running:
            each.result()


def test_no_request_fails_and_none_is_mixed_while_the_alias_moves_and_comes_back(
    config: Path, models: tuple[Path, Path], tmp_path: Path
) -> None:
    new = vectors_of(models[0])
    with serve_process(tmp_path, "--config", str(config)) as server:
        old = ask(server.url, "first")[1]
        with traffic(server.url) as during:
            result = promote(models[0], "search", config, server.url)
            assert result.exit_code == 0, words(result)
            switched, count = time.monotonic(), len(during.answers)
            wait_until(lambda: len(during.answers) > count + 10, what="answers after the switch")
            going_back = time.monotonic()
            assert rollback("search", config, server.url).exit_code == 0
            back, count = time.monotonic(), len(during.answers)
            wait_until(lambda: len(during.answers) > count + 10, what="answers after the rollback")
        assert not during.failures
        name = served(server.url)["search"]["alias_of"]
        assert name == "first"
        for _, model, vectors in during.answers:
            np.testing.assert_allclose(vectors, old if model == "first" else new, atol=2e-6)
        between = {model for asked, model, _ in during.answers if switched < asked < going_back}
        assert len(between) == 1
        assert "first" not in between
        assert {model for asked, model, _ in during.answers if asked > back} == {"first"}
        assert server.log.read_text(encoding="utf-8").count("loading model=first ") == 1
        assert "Traceback" not in server.log.read_text(encoding="utf-8")


def test_the_file_keeps_every_byte_that_is_not_about_the_switch(config: Path, models: tuple[Path, Path]) -> None:
    with reading(config) as server:
        assert promote(models[0], "search", config, server.url).exit_code == 0
        name = served(server.url)["search"]["alias_of"]
        entry = (
            f"  - name: {name}\n    source: {models[0] / 'model'}\n    aliases: [search]\n    keep_alive_s: null\n"
        )
        expected = CONFIG.replace("we thought\n", "we thought\n    keep_alive_s: null\n")
        expected = expected.replace("      - search    # the web shop asks for this\n", "")
        expected = expected.replace("role: query}\n", f"role: query}}\n{entry}")
        assert config.read_text(encoding="utf-8") == expected
        assert ask(server.url, "search")[0] == name
        assert ask(server.url, "other")[0] == "first"
        assert served(server.url)["first"]["state"] == "loaded"


def test_promoted_twice_and_rolled_back_twice(config: Path, models: tuple[Path, Path]) -> None:
    with reading(config) as server:
        names = ["first"]
        for folder in models:
            assert promote(folder, "search", config, server.url).exit_code == 0
            names.append(served(server.url)["search"]["alias_of"])
        assert len(set(names)) == 3
        settings = {model.name: model for model in load_settings(config).models}
        assert [settings[name].keep_alive_s for name in names] == [900, None, None]
        again = promote(models[1], "search", config, server.url)
        assert (again.exit_code, "already" in words(again)) == (0, True)
        for name in (names[1], names[0]):
            assert rollback("search", config, server.url).exit_code == 0
            assert ask(server.url, "search")[0] == name
        nothing = rollback("search", config, server.url)
        assert nothing.exit_code == 2
        assert "no model answered before first" in words(nothing)
        told = [
            json.loads(line) for line in umekomi("history", "search", "-c", config, "--json").stdout.splitlines()
        ]
        assert [period["model"] for period in told] == [*names, names[1], names[0]]
        assert [period["verdict"] for period in told] == [None, "IMPROVED", "IMPROVED", "IMPROVED", None]
        assert told[-1]["until"] is None
        assert all(earlier["until"] == later["since"] for earlier, later in pairwise(told[1:]))


def test_a_name_of_a_model_itself_is_taken_over_and_the_model_stays_warm(
    config: Path, models: tuple[Path, Path]
) -> None:
    with reading(config) as server:
        old = ask(server.url, "first")[1]
        assert promote(models[0], "first", config, server.url).exit_code == 0
        found = served(server.url)
        assert found["first"]["alias_of"].startswith("first@")
        assert found["first@original"]["state"] == "loaded"
        np.testing.assert_array_equal(ask(server.url, "search")[1], old)
        assert "name: first@original   # never touched" in config.read_text(encoding="utf-8")
        assert rollback("first", config, server.url).exit_code == 0
        np.testing.assert_array_equal(ask(server.url, "first")[1], old)
        assert promote(models[0], "first", config, server.url).exit_code == 0


@pytest.mark.parametrize("name", ["shop", "検索: 50%25, [新]", "null"])
def test_a_name_that_nobody_had(name: str, config: Path, models: tuple[Path, Path]) -> None:
    with reading(config) as server:
        assert promote(models[0], name, config, server.url).exit_code == 0
        assert unquote(ask(server.url, name)[0]).startswith(f"{name}@")
        nothing = rollback(name, config, server.url)
        assert (nothing.exit_code, "no model answered before" in words(nothing)) == (2, True)


def cut(folder: Path) -> None:
    weights = folder / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def change(folder: Path) -> None:
    weights = folder / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def break_and_prove(folder: Path) -> None:
    """A proof of files that no engine can open: the graph's weights lack a tensor."""
    from safetensors.numpy import load_file, save_file

    weights = folder / "model" / "model.safetensors"
    tensors = load_file(weights)
    tensors.pop(next(name for name in tensors if "attention" in name))
    save_file(tensors, weights)
    prove_anew(folder)


def remove_report(folder: Path) -> None:
    (folder / "training_report.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut, "model.safetensors has changed since the model was proved"),
        (change, "model.safetensors has changed since the model was proved"),
        (break_and_prove, "attention"),
        (remove_report, "the report of a finished umekomi train"),
        (lambda folder: prove_anew(folder, gate=False), "the gate failed (int8)"),
        (lambda folder: prove_anew(folder, gate=None), "nobody has checked"),
        (lambda folder: prove_anew(folder, verdict="TIED"), "the verdict is TIED"),
        (lambda folder: prove_anew(folder, verdict="REGRESSED"), "--force 'REASON'"),
    ],
)
def test_what_is_not_proved_or_broken_changes_nothing(
    spoil: Any, said: str, config: Path, models: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = copy_trained(models[0], tmp_path / "trained")
    spoil(folder)
    with reading(config) as server:
        result = promote(folder, "search", config, server.url)
        assert result.exit_code == 2
        assert said in words(result)
        assert config.read_text(encoding="utf-8") == CONFIG
        assert ask(server.url, "search")[0] == "first"
        assert set(served(server.url)) == {"first", "search", "other", "small"} | openai_names(server)
        assert not config.with_name("umekomi.history.jsonl").exists()


def openai_names(server: LocalServer) -> set[str]:
    return {name for name in server.service.residency.names if name.startswith("text-embedding")}


def test_a_reason_is_recorded(config: Path, models: tuple[Path, Path], tmp_path: Path) -> None:
    folder = copy_trained(models[0], tmp_path / "tied", verdict="TIED")
    with reading(config) as server:
        for blank in ("", "  ", "--yes"):
            assert promote(folder, "search", config, server.url, "--force", blank).exit_code == 2
        assert promote(folder, "search", config, server.url, "--force", "for the trial in Osaka").exit_code == 0
        assert "forced: for the trial in Osaka" in umekomi("history", "search", "-c", config, "--json").stdout


def test_a_model_that_the_server_cannot_load_is_taken_back(
    config: Path, models: tuple[Path, Path], tmp_path: Path
) -> None:
    """As where the server runs elsewhere and does not see the folder."""
    from umekomi.serve.opening import open_served

    def open_model(settings: Any) -> Any:
        if settings.source != "hashing:32" and settings.source != "hashing:16":
            settings = settings.model_copy(update={"source": str(tmp_path / "not-there")})
        return open_served(settings, threads=1)

    with reading(config, open_model=open_model) as server:
        result = promote(models[0], "search", config, server.url)
        assert result.exit_code == 3
        assert "could not be loaded" in words(result)
        assert "undone: search answers from first as before" in words(result)
        assert config.read_text(encoding="utf-8") == CONFIG
        assert ask(server.url, "search")[0] == "first"
        assert not [name for name in served(server.url) if "@" in name]


def test_nothing_that_was_served_by_default_disappears(config: Path, models: tuple[Path, Path]) -> None:
    """With hashing in the starters' place, which are large."""
    from umekomi.serve.opening import open_served

    def open_model(settings: Any) -> Any:
        if "@" not in settings.name:
            settings = settings.model_copy(update={"source": "hashing:8"})
        return open_served(settings, threads=1)

    config.write_text("# nothing yet\nlimits: {max_inputs: 9}\n", encoding="utf-8")
    with reading(config, open_model=open_model) as server:
        before = served(server.url)
        assert promote(models[0], "text-embedding-3-small", config, server.url).exit_code == 0
        after = served(server.url)
        assert set(before) <= set(after)
        moved = {name for name in before if before[name]["alias_of"] != after[name]["alias_of"]}
        assert moved == {"text-embedding-3-small"}
        assert rollback("text-embedding-3-small", config, server.url).exit_code == 0
        back = served(server.url)
        assert {name: back[name]["alias_of"] for name in before} == {
            name: before[name]["alias_of"] for name in before
        }
        assert config.read_text(encoding="utf-8").startswith("# nothing yet\nlimits: {max_inputs: 9}\nmodels:\n")


def test_a_server_that_answers_with_other_vectors_is_found_out(config: Path, models: tuple[Path, Path]) -> None:
    from umekomi.serve.opening import open_served

    def open_model(settings: Any) -> Any:
        if "@" in settings.name:
            settings = settings.model_copy(update={"source": str(models[1] / "model")})
        return open_served(settings, threads=1)

    with reading(config, open_model=open_model) as server:
        result = promote(models[0], "search", config, server.url)
        assert (result.exit_code, "which is not that of the model that was proved" in words(result)) == (3, True)
        assert config.read_text(encoding="utf-8") == CONFIG


def test_a_server_of_another_file_or_of_names_is_found_out(
    config: Path, models: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("models: [{name: first, source: 'hashing:32', aliases: [search, other]}]", encoding="utf-8")
    twin = tmp_path / "twin.yaml"
    twin.write_text(CONFIG, encoding="utf-8")
    for running, said in ((other, "the file names small"), (twin, "was added to the file, and is not served")):
        with reading(running) as server:
            before = running.read_bytes()
            result = promote(models[0], "search", config, server.url)
            assert result.exit_code == 2
            assert said in words(result)
            assert config.read_text(encoding="utf-8") == CONFIG
            assert running.read_bytes() == before


def test_a_server_that_was_started_without_a_file_is_told_so_and_no_file_stays(
    config: Path, models: tuple[Path, Path], tmp_path: Path
) -> None:
    with reading(config) as server:
        new = tmp_path / "new.yaml"
        result = promote(models[0], "search", new, server.url)
        assert result.exit_code == 2
        assert "change the file alone with --file-only and start the server with it" in words(result)
        assert not new.exists()


def test_a_server_that_takes_one_text_a_request(config: Path, models: tuple[Path, Path]) -> None:
    config.write_text(CONFIG.replace("100", "1"), encoding="utf-8")
    with reading(config) as server:
        assert reload(server).status_code == 200
        assert promote(models[0], "search", config, server.url).exit_code == 0


def reload(server: LocalServer) -> httpx.Response:
    return server.client.post("/api/reload")


def test_keys(config: Path, models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with reading(config) as server:
        store = KeyStore(server.service.settings.keys.database)
        whole, some = store.create("whole").secret, store.create("some", models=["first"]).secret
        store.close()
        for key in (None, "wrong", some):
            if key is not None:
                monkeypatch.setenv("UMEKOMI_API_KEY", key)
            result = promote(models[0], "search", config, server.url)
            assert result.exit_code == 2
            assert "$UMEKOMI_API_KEY" in words(result)
            assert key is None or key not in words(result)
            assert config.read_text(encoding="utf-8") == CONFIG
        monkeypatch.setenv("UMEKOMI_API_KEY", whole)
        assert promote(models[0], "search", config, server.url).exit_code == 0


def test_a_server_that_is_not_there_or_no_server_of_ours(config: Path, models: tuple[Path, Path]) -> None:
    missing = promote(models[0], "search", config, "http://127.0.0.1:9")
    assert (missing.exit_code, "no server answers there" in words(missing)) == (3, True)
    with running_http(lambda handler: (200, b"<html>hello</html>")) as url:
        strange = promote(models[0], "search", config, url)
        assert (strange.exit_code, "is no umekomi server" in words(strange)) == (3, True)
    with running_http(lambda handler: (200, b'{"object": "list", "data": [{"id": "gpt"}]}')) as url:
        strange = promote(models[0], "search", config, url)
        assert (strange.exit_code, "is not umekomi's" in words(strange)) == (3, True)
    assert config.read_text(encoding="utf-8") == CONFIG


@contextmanager
def running_http(answer: Any) -> Iterator[str]:
    """A server whose answers ``answer(handler)`` gives: status and body, or also headers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body, *headers = answer(self)
            self.send_response(status)
            for name, value in headers[0].items() if headers else ():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  http.server's name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class KillingProxy:
    """Passes requests on, and kills the process at one of its reloads: before it is passed on, or after."""

    target: str
    reload: int
    after: bool
    pid: int = 0
    reloads: int = 0

    def __call__(self, handler: BaseHTTPRequestHandler) -> tuple[int, bytes, dict[str, str]]:
        kill = False
        if handler.path == "/api/reload":
            self.reloads += 1
            kill = self.reloads == self.reload
        if kill and not self.after:
            os.kill(self.pid, signal.SIGKILL)
            return 500, b"", {}
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        json_type = {"content-type": "application/json"}
        with httpx.Client(base_url=self.target, headers=json_type, timeout=PATIENCE_S) as client:
            answer = client.request(handler.command, handler.path, content=body)
        if kill:
            os.kill(self.pid, signal.SIGKILL)
        return (
            answer.status_code,
            answer.content,
            {name: value for name, value in answer.headers.items() if name.startswith("x-umekomi")},
        )


def run_until_killed(arguments: Sequence[str | Path], proxy: KillingProxy) -> None:
    with running_http(proxy) as url:
        command = [sys.executable, "-m", "umekomi", *map(str, arguments), "--base-url", url]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        proxy.pid = process.pid
        assert process.wait(PATIENCE_S) == -signal.SIGKILL


@pytest.mark.parametrize(("reload", "after"), [(2, False), (3, False), (3, True)])
def test_killed_between_the_phases_and_started_again(
    reload: int, after: bool, config: Path, models: tuple[Path, Path]
) -> None:
    with reading(config) as server:
        arguments = ["promote", models[0], "--alias", "first", "--config", config]
        run_until_killed(arguments, KillingProxy(server.url, reload, after))
        assert ask(server.url, "first")[0] == ("first" if not after else served(server.url)["first"]["alias_of"])
        result = promote(models[0], "first", config, server.url)
        assert result.exit_code == 0, words(result)
        name = served(server.url)["first"]["alias_of"]
        assert name.startswith("first@")
        assert config.read_text(encoding="utf-8").count("@") == 2
        assert rollback("first", config, server.url).exit_code == 0
        assert ask(server.url, "first")[0] == "first@original"


def test_a_rollback_that_was_killed_does_not_go_back_twice(config: Path, models: tuple[Path, Path]) -> None:
    with reading(config) as server:
        for folder in models:
            assert promote(folder, "search", config, server.url).exit_code == 0
        run_until_killed(["rollback", "search", "--config", config], KillingProxy(server.url, 3, after=False))
        result = rollback("search", config, server.url)
        assert result.exit_code == 0, words(result)
        assert "was interrupted; it is completed now" in words(result)
        np.testing.assert_allclose(ask(server.url, "search")[1], vectors_of(models[0]), atol=2e-6)


def test_only_one_of_two_promotions_at_once(config: Path, models: tuple[Path, Path]) -> None:
    with reading(config) as server, ThreadPoolExecutor(1) as pool:
        waiting, going = threading.Event(), threading.Event()

        def hold(handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
            waiting.set()
            assert going.wait(PATIENCE_S)
            return 500, b"stopped"

        with running_http(hold) as slow:
            first = pool.submit(promote, models[0], "search", config, slow)
            assert waiting.wait(PATIENCE_S)
            second = promote(models[1], "search", config, server.url)
            going.set()
            assert first.result().exit_code == 3
        assert second.exit_code == 2
        assert "another promotion or rollback is at work" in words(second)
        assert config.read_text(encoding="utf-8") == CONFIG


def test_an_edit_in_the_meantime_is_not_lost(config: Path, models: tuple[Path, Path]) -> None:
    with reading(config) as server:
        edited = False

        def editing(handler: BaseHTTPRequestHandler) -> tuple[int, bytes, dict[str, str]]:
            nonlocal edited
            answer = proxy(handler)
            if "@" in config.read_text(encoding="utf-8") and not edited:
                edited = True
                config.write_text(config.read_text(encoding="utf-8") + "threads: 1\n", encoding="utf-8")
            return answer

        proxy = KillingProxy(server.url, reload=99, after=False)
        with running_http(editing) as url:
            result = promote(models[0], "search", config, url)
        assert result.exit_code == 2
        assert "changed by somebody else in the meantime" in words(result)
        assert config.read_text(encoding="utf-8").endswith("threads: 1\n")
        assert ask(server.url, "search")[0] == "first"
        assert promote(models[0], "search", config, server.url).exit_code == 0


def test_rollback_where_the_folder_before_is_gone_or_holds_another_model(
    config: Path, models: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = copy_trained(models[0], tmp_path / "trained")
    with reading(config) as server:
        for each in (folder, models[1]):
            assert promote(each, "search", config, server.url).exit_code == 0
        present, text = ask(server.url, "search")[0], config.read_text(encoding="utf-8")
        (folder / "model").rename(tmp_path / "away")
        gone = rollback("search", config, server.url)
        assert (gone.exit_code, "is gone" in words(gone)) == (2, True)
        copy_trained(models[1], tmp_path / "again")
        (tmp_path / "again" / "model").rename(folder / "model")
        other = rollback("search", config, server.url)
        assert (other.exit_code, "holds another model" in words(other)) == (2, True)
        assert (ask(server.url, "search")[0], config.read_text(encoding="utf-8")) == (present, text)


def test_vectors_of_the_model_before_and_how_to_make_them_anew(
    config: Path, models: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "texts.csv").write_text("body\n緑の果物\nlemon\n", encoding="utf-8")
    stale = tmp_path / "data" / "vectors of shop.npy"
    stale.parent.mkdir()
    embedding = [
        "embed",
        "--file",
        tmp_path / "texts.csv",
        "--column",
        "body",
        "--model",
        "hashing:32",
        "-o",
        stale,
    ]
    assert umekomi(*embedding).exit_code == 0
    assert umekomi("embed", "one", "-m", "hashing:16", "-o", tmp_path / "data" / "good.jsonl").exit_code == 0
    with reading(config) as server:
        result = promote(models[0], "search", config, server.url, "--indexes", tmp_path)
        assert result.exit_code == 0
        [command] = result.stdout.splitlines()
        assert "good.jsonl" not in words(result)
        done = subprocess.run(["bash", "-c", command.replace("umekomi", f"{sys.executable} -m umekomi", 1)])
        assert done.returncode == 0
        again = promote(models[0], "search", config, server.url, "--indexes", tmp_path)
        assert (again.exit_code, again.stdout) == (0, "")
    manifest = json.loads(stale.with_name(f"{stale.name}.json").read_text(encoding="utf-8"))
    assert manifest["source"] == f"folder:{models[0] / 'model'}"
