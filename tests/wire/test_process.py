"""``umekomi serve`` as a process: what it says, how it stops, and the one line where it cannot start."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from kit.server import MODEL, PATIENCE_S, ServerProcess, serve_process
from umekomi.config import DEFAULT_CHAT_MODEL, DEFAULT_MODEL


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run to the end; for starts that fail."""
    command = [sys.executable, "-m", "umekomi", "serve", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=240)


def test_from_the_invitation_to_the_end(tmp_path: Path) -> None:
    with serve_process(tmp_path, MODEL) as server:
        invitation = next(
            line
            for line in server.log.read_text(encoding="utf-8").splitlines()
            if line.startswith("umekomi: serving")
        )
        command = invitation.partition("; try: ")[2]
        url, body = command.removeprefix("curl ").split(" -d ")
        assert url == f"{server.url}/v1/embeddings"
        answer = httpx.post(url, content=body.strip("'").encode(), timeout=60)
        assert answer.status_code == 200
        assert answer.json()["model"] == MODEL
        assert server.stop() == 0
        log = server.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert "こんにちは" not in log.replace(invitation, "")
    assert "POST /v1/embeddings status=200" in log


@pytest.mark.starter
def test_without_a_model_each_starter_is_loaded_at_its_first_use(tmp_path: Path) -> None:
    def resident(server: ServerProcess) -> list[str]:
        metrics = httpx.get(f"{server.url}/metrics", timeout=60).text
        return re.findall(r'^umekomi_model_resident{model="(.+)"} 1', metrics, re.MULTILINE)

    with serve_process(tmp_path) as server:
        listed = httpx.get(f"{server.url}/v1/models", timeout=60).json()["data"]
        assert {DEFAULT_MODEL, DEFAULT_CHAT_MODEL} <= {model["id"] for model in listed}
        assert resident(server) == []
        body = {"model": "text-embedding-3-small", "input": "こんにちは"}
        assert httpx.post(f"{server.url}/v1/embeddings", json=body, timeout=PATIENCE_S).status_code == 200
        assert resident(server) == [DEFAULT_MODEL]


def test_interrupting_ends_well_too(tmp_path: Path) -> None:
    with serve_process(tmp_path, MODEL, "--log-level", "warning") as server:
        assert server.stop(signal.SIGINT) == 0
        lines = server.log.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2  # where it starts, and where it serves


def test_the_configuration_decides_and_flags_decide_over_it(tmp_path: Path) -> None:
    config = tmp_path / "umekomi.yaml"
    config.write_text(
        "models:\n"
        "  - {name: ours, source: 'hashing:32', aliases: [text-embedding-3-small], role: document}\n"
        "  - {name: theirs, source: 'hashing:16', preload: false}\n"
        "limits: {max_inputs: 2}\n",
        encoding="utf-8",
    )
    with serve_process(tmp_path, "--config", str(config), "--precision", "int8") as server:
        models = {entry["id"]: entry for entry in httpx.get(f"{server.url}/v1/models", timeout=60).json()["data"]}
        assert models["ours"]["dim"] == 32
        assert models["ours"]["precision"] == "int8"
        assert models["text-embedding-3-small"]["alias_of"] == "ours"
        assert models["theirs"]["state"] == "unloaded"
        ask = {"model": "ours", "input": ["a", "b", "c"]}
        refused = httpx.post(f"{server.url}/v1/embeddings", json=ask, timeout=60)
        assert "the limit is 2" in refused.json()["error"]["message"]
    with serve_process(tmp_path, "theirs", "--config", str(config)) as server:
        entry = httpx.get(f"{server.url}/v1/models", timeout=60).json()["data"][0]
        assert (entry["id"], entry["dim"]) == ("theirs", None)


def test_stopping_while_a_request_runs_answers_it_first(tmp_path: Path) -> None:
    with serve_process(tmp_path, MODEL) as server:
        body = json.dumps({"model": MODEL, "input": [f"text {i}" * 50 for i in range(500)]}).encode()
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
            head = b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)
            httpx.get(f"{server.url}/healthz", timeout=60)  # by now the request has been taken in
            server.process.send_signal(signal.SIGTERM)
            with connection.makefile("rb") as stream:
                answer = stream.read()
        assert server.process.wait(PATIENCE_S) == 0
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert len(json.loads(content)["data"]) == 500


def test_stopping_while_a_model_loads(tmp_path: Path) -> None:
    """The load does not end by itself: it asks a hub whose answer never does, so to wait for it is for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        hub = {"HF_ENDPOINT": f"http://127.0.0.1:{listener.getsockname()[1]}", "HF_HUB_OFFLINE": "0"}
        with serve_process(tmp_path, "someone/some-model", ready=False, environment=hub) as server:
            connection, _ = listener.accept()
            answering = threading.Thread(target=answer_without_end, args=(connection,))
            answering.start()
            assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200
            assert httpx.get(f"{server.url}/readyz", timeout=60).status_code == 503
            assert server.stop() == 0
        answering.join()


def answer_without_end(connection: socket.socket) -> None:
    """A byte now and then, before a client's patience is over, until it is gone."""
    with connection, contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while True:
            connection.sendall(b" ")
            time.sleep(0.2)


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = start(MODEL, "--port", str(port))
    assert result.returncode == 2
    assert result.stderr.startswith(f"umekomi: cannot listen on 127.0.0.1 port {port}: ")
    assert "--port" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "add --allow-remote"),
        (["--host", "::"], "add --allow-remote"),
        (["--host", "192.0.2.1", "--allow-remote"], "cannot listen on 192.0.2.1"),
        (["--host", "no such host"], "cannot listen on host 'no such host'"),
        (["--config", "/nowhere/umekomi.yaml"], "/nowhere/umekomi.yaml: cannot be read"),
        (["hashing:64", "hashing:64"], "two models would be served as 'hashing:64'"),
        (["hashing:1", "--port", "0"], "hashing:1"),
        (["./no/such/model", "--port", "0"], "no/such/model"),
    ],
)
def test_what_cannot_start_says_so_in_one_line(arguments: list[str], message: str) -> None:
    result = start(*arguments)
    assert result.returncode == 2
    complaint = result.stderr.splitlines()[-1]
    assert complaint.startswith("umekomi: ")
    assert message in complaint
    assert "Traceback" not in result.stderr


def test_a_broken_model_ends_the_server_with_the_file_that_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text("{", encoding="utf-8")
    result = start(str(folder), "--port", "0")
    assert result.returncode == 2
    assert "config.json" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
