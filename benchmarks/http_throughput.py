"""How much of the throughput in process is left over HTTP: the same texts through `Embedder.embed`, and through a
real server asked by several clients, taking turns.

The embedder, the server and the clients each have a process of their own. The clients run on the same cores as the
server, as they do on one machine, so what they cost counts against it; a share above 1 is noise.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, TypeAlias

import numpy as np

from quiet import BusyTime
from sample_texts import paragraphs, short_sentences
from served import Connection, request_bytes, serve

SETS = {"short": short_sentences, "paragraphs": paragraphs}

DISTINCT = 1000
"""Different texts of each kind; after them come the first again."""

Child: TypeAlias = Callable[[str], dict[str, Any]]
"""Does a turn of the named texts, and says how long it took."""


def main() -> None:
    options = _parse()
    if options.role:
        _work(options)
        return
    arguments = [options.model, *(["--precision", options.precision] if options.precision else [])]
    with (
        serve(*arguments) as served,
        _child(options, "embedder") as embed,
        _child(options, "clients", port=served.port) as ask,
    ):
        print(f"{options.model} {options.precision}: {options.clients} clients, {options.texts} texts a request")
        for name in options.sets:
            _race(name, options, embed, ask, served.cpu_seconds)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="multilingual-e5-small")
    parser.add_argument("--precision", default="int8", help="empty for models that have none")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--texts", type=int, default=32, help="in one request")
    parser.add_argument("--requests", type=int, default=5, help="of each client, in one turn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--role", choices=("embedder", "clients"), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn each way: texts a second, processor time a text, and how busy others kept the machine."""

    direct: float
    served: float
    direct_cpu_ms: float
    server_cpu_ms: float
    client_cpu_ms: float
    others: float

    @property
    def share(self) -> float:
        return self.served / self.direct

    @property
    def cpu_share(self) -> float:
        """What the share would be where nothing but these processes ran and every core was full."""
        return self.direct_cpu_ms / (self.server_cpu_ms + self.client_cpu_ms)


def _race(
    name: str, options: argparse.Namespace, embed: Child, ask: Child, server_cpu: Callable[[], float]
) -> None:
    embed(name), ask(name)  # warm
    turns = [
        _take_turn(name, embed, ask, server_cpu, served_first=bool(turn % 2)) for turn in range(options.rounds)
    ]

    def middle(figure: str) -> str:
        low, median, high = statistics.quantiles([getattr(turn, figure) for turn in turns], n=4, method="inclusive")
        return f"{median:.3g} ({low:.3g} to {high:.3g})"

    print(f"{name}")
    for label, figure in (
        ("texts/s in process", "direct"),
        ("texts/s over HTTP", "served"),
        ("share", "share"),
        ("share by processor time", "cpu_share"),
        ("CPU ms/text in process", "direct_cpu_ms"),
        ("CPU ms/text server", "server_cpu_ms"),
        ("CPU ms/text clients", "client_cpu_ms"),
        ("others' share of the cores", "others"),
    ):
        print(f"  {label:<28} {middle(figure)}", flush=True)


def _take_turn(name: str, embed: Child, ask: Child, server_cpu: Callable[[], float], *, served_first: bool) -> Turn:
    before, machine, began = server_cpu(), BusyTime.now(), time.perf_counter()
    found = {each: each(name) for each in ((ask, embed) if served_first else (embed, ask))}
    direct, served = found[embed], found[ask]
    server_s = server_cpu() - before
    own = direct["cpu_s"] + served["cpu_s"] + server_s
    return Turn(
        direct=direct["texts"] / direct["seconds"],
        served=served["texts"] / served["seconds"],
        direct_cpu_ms=direct["cpu_s"] / direct["texts"] * 1000,
        server_cpu_ms=server_s / served["texts"] * 1000,
        client_cpu_ms=served["cpu_s"] / served["texts"] * 1000,
        others=machine.others_share(own_seconds=own, wall_seconds=time.perf_counter() - began),
    )


@contextmanager
def _child(options: argparse.Namespace, role: str, *, port: int = 0) -> Iterator[Child]:
    """A process that does as it is told."""
    kept = ("model", "precision", "clients", "texts", "requests")
    flags = [f"--{name}={getattr(options, name)}" for name in kept]
    command = [sys.executable, __file__, *flags, "--role", role, f"--port={port}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def take_turn(name: str) -> dict[str, Any]:
            stdin.write(f"{name}\n")
            stdin.flush()
            found: dict[str, Any] = json.loads(stdout.readline())
            return found

        yield take_turn
        stdin.close()


def _work(options: argparse.Namespace) -> None:
    count = options.clients * options.texts * options.requests
    sets = {name: list(islice(cycle(build(DISTINCT).texts), count)) for name, build in SETS.items()}
    turn = _embedder(options) if options.role == "embedder" else _clients(options)
    for line in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        turn(sets[line.strip()])
        spent = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - used, "texts": count}
        print(json.dumps(spent), flush=True)


def _embedder(options: argparse.Namespace) -> Callable[[Sequence[str]], object]:
    import umekomi

    embedder = umekomi.open_embedder(
        options.model, **({"precision": options.precision} if options.precision else {})
    )
    return lambda texts: embedder.embed(texts, role="document")


def _clients(options: argparse.Namespace) -> Callable[[Sequence[str]], object]:
    loop = asyncio.new_event_loop()

    async def ask(texts: Sequence[str]) -> None:
        connection = await Connection.open(options.port)
        for start in range(0, len(texts), options.texts):
            part = texts[start : start + options.texts]
            content = {"model": options.model, "input": part, "input_type": "document", "encoding_format": "base64"}
            status, body = await connection.ask(request_bytes("/v1/embeddings", content))
            if status != 200:
                raise RuntimeError(body[:500].decode())
            rows = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in json.loads(body)["data"]]
            assert len(rows) == len(part)
        connection.close()

    async def all_at_once(texts: Sequence[str]) -> None:
        share = len(texts) // options.clients
        parts = [texts[number * share : (number + 1) * share] for number in range(options.clients)]
        await asyncio.gather(*map(ask, parts))

    return lambda texts: loop.run_until_complete(all_at_once(texts))


if __name__ == "__main__":
    main()
