"""What a gateway adds: an instant upstream asked directly, through umekomi and through LiteLLM's proxy by turns."""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from report import describe_machine

MODEL = "instant"
KEY = "sk-benchmark"
START_S = 120.0
CLIENTS = (1, 4, 16)
HELLO = [{"role": "user", "content": "Say hello in one short sentence."}]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked for."""

    name: str
    path: str
    body: Mapping[str, Any]


WORK = (
    Work("embeddings", "/v1/embeddings", {"model": MODEL, "input": "one short text", "encoding_format": "float"}),
    Work("chat", "/v1/chat/completions", {"model": MODEL, "messages": HELLO}),
    Work("chat, streamed", "/v1/chat/completions", {"model": MODEL, "messages": HELLO, "stream": True}),
)


@dataclass(slots=True)
class Contender:
    """A running server, and what its turns took, by work and number of clients."""

    label: str
    port: int
    process: subprocess.Popen[bytes]
    start_s: float
    memory_bytes: int = 0
    turns: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)

    def median(self, work: str, clients: int, figure: str) -> float:
        return statistics.median(turn[figure] for turn in self.turns[work, clients])

    def note_memory(self) -> None:
        own = psutil.Process(self.process.pid)
        resident = sum(each.memory_info().rss for each in (own, *own.children(recursive=True)))
        self.memory_bytes = max(self.memory_bytes, resident)


@dataclass(frozen=True, slots=True)
class Row:
    """A contender on one kind of work. ``added`` is to the upstream asked directly, in milliseconds."""

    work: str
    label: str
    p50_ms: float
    added_p50_ms: float
    p95_ms: float
    requests_per_s: dict[int, float]


def main() -> None:
    options = _parse()
    console = Console(width=None if os.isatty(1) else 120)
    with ExitStack() as stack, console.status("starting") as status:
        contenders = _start(options, stack, status.update)
        load = stack.enter_context(_load())
        for turn in range(options.rounds):
            status.update(f"round {turn + 1} of {options.rounds}")
            _take_turns(contenders, load, seconds=options.seconds, first=turn)
        rows = [row for work in WORK for row in _rows(work.name, contenders)]
    _print(rows, contenders, options, console)
    if options.json:
        content = {
            "date": date.today().isoformat(),
            "machine": describe_machine(),
            "rows": [asdict(r) for r in rows],
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--litellm-python",
        type=Path,
        metavar="PATH",
        help="Python of an environment with litellm[proxy]; without it, LiteLLM is left out",
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a turn (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    return parser.parse_args()


def _start(options: argparse.Namespace, stack: ExitStack, tell: Callable[[str], None]) -> list[Contender]:
    """The upstream first, then the gateways before it."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    port = _free_port()
    command = [sys.executable, str(_FOLDER / "gateway_upstream.py"), str(port)]
    contenders = [stack.enter_context(_server("direct", command, port, folder))]
    tell("starting umekomi")
    contenders.append(stack.enter_context(_umekomi(port, folder)))
    if options.litellm_python:
        tell("starting LiteLLM")
        contenders.append(stack.enter_context(_litellm(options.litellm_python, port, folder)))
    return contenders


def _umekomi(upstream: int, folder: Path) -> Any:
    config = folder / "umekomi.yaml"
    remote = {"base_url": f"http://127.0.0.1:{upstream}/v1", "api_key_env": "UPSTREAM_KEY"}
    keys = {"file": str(folder / "server.sqlite")}
    config.write_text(json.dumps({"models": [{"name": MODEL, "remote": remote}], "keys": keys}), encoding="utf-8")
    port = _free_port()
    command = [sys.executable, "-m", "umekomi", "serve", "--config", str(config), "--port", str(port)]
    return _server("umekomi", command, port, folder)


def _litellm(python: Path, upstream: int, folder: Path) -> Any:
    config = folder / "litellm.yaml"
    params = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": KEY}
    content = {
        "model_list": [{"model_name": MODEL, "litellm_params": params}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False},
    }
    config.write_text(json.dumps(content), encoding="utf-8")
    port = _free_port()
    command = [
        str(python.with_name("litellm")),
        "--config",
        str(config),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
    ]
    return _server("LiteLLM", command, port, folder)


@contextmanager
def _server(label: str, command: Sequence[str], port: int, folder: Path) -> Iterator[Contender]:
    """A running process that has answered its first request."""
    log = folder / f"{label}.log"
    environment = {**os.environ, "UPSTREAM_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    began = time.perf_counter()
    with log.open("wb") as words:
        process = subprocess.Popen(command, stdout=words, stderr=words, env=environment)
    try:
        while not _answers(port):
            if process.poll() is not None or time.perf_counter() - began > START_S:
                raise SystemExit(f"{label} did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        yield Contender(label, port, process, time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    body = json.dumps(WORK[1].body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{WORK[1].path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


@contextmanager
def _load() -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    command = [sys.executable, str(_FOLDER / "gateway_load.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(order: dict[str, Any]) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            return answer

        yield ask


def _take_turns(
    contenders: Sequence[Contender],
    load: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    seconds: float,
    first: int,
) -> None:
    """Every contender once at every kind of work and number of clients; another one begins each round."""
    shift = first % len(contenders)
    for work in WORK:
        for clients in CLIENTS:
            for contender in [*contenders[shift:], *contenders[:shift]]:
                order = {"port": contender.port, "path": work.path, "body": work.body, "key": KEY}
                turn = load({**order, "clients": clients, "seconds": seconds})
                turn["requests_per_s"] = turn["requests"] / turn["seconds"]
                contender.turns.setdefault((work.name, clients), []).append(turn)
                contender.note_memory()


def _rows(work: str, contenders: Sequence[Contender]) -> Iterator[Row]:
    direct = contenders[0].median(work, 1, "p50_ms")
    for contender in contenders:
        p50_ms = contender.median(work, 1, "p50_ms")
        yield Row(
            work,
            contender.label,
            p50_ms,
            p50_ms - direct,
            contender.median(work, 1, "p95_ms"),
            {clients: contender.median(work, clients, "requests_per_s") for clients in CLIENTS},
        )


def _print(
    rows: Sequence[Row], contenders: Sequence[Contender], options: argparse.Namespace, console: Console
) -> None:
    for work in WORK:
        console.print(_table(work.name, [row for row in rows if row.work == work.name], options))
    table = Table(title="process")
    for heading in ("contender", "memory after the load", "start to first answer"):
        table.add_column(heading, justify="right" if table.columns else "left")
    for contender in contenders[1:]:
        table.add_row(contender.label, f"{contender.memory_bytes / 1e6:,.0f} MB", f"{contender.start_s:.1f} s")
    console.print(table)
    machine = describe_machine()
    console.print(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}")
    console.print(f"umekomi {version('umekomi')}" + _litellm_version(options.litellm_python))


def _table(work: str, rows: Sequence[Row], options: argparse.Namespace) -> Table:
    table = Table(title=f"{work}: medians of {options.rounds} rounds of {options.seconds:g} s; ratios to LiteLLM")
    table.add_column("asked")
    for heading in ("p50 ms", "added", "p95 ms", *(f"req/s, {clients} clients" for clients in CLIENTS[1:])):
        table.add_column(heading, justify="right")
    peer = next((row for row in rows if row.label == "LiteLLM"), None)
    for row in rows:
        speeds = []
        for clients in CLIENTS[1:]:
            speed = f"{row.requests_per_s[clients]:,.0f}"
            if peer is not None and row.label == "umekomi":
                speed += f" ({row.requests_per_s[clients] / peer.requests_per_s[clients]:.1f}×)"
            speeds.append(speed)
        added = "" if row.label == "direct" else f"{row.added_p50_ms:.2f}"
        table.add_row(row.label, f"{row.p50_ms:.2f}", added, f"{row.p95_ms:.2f}", *speeds)
    return table


def _litellm_version(python: Path | None) -> str:
    if python is None:
        return ""
    code = "from importlib.metadata import version; print(version('litellm'))"
    found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return f", LiteLLM {found.stdout.strip()}"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
