"""How busy synthesis keeps an LLM, and what its bookkeeping costs, with a server that answers after a fixed time.

    python benchmarks/synthesize.py [--calls 400] [--slots 8] [--latency-ms 250]

The server runs in a process of its own and measures how long each request was in its hands. Busy is their sum
over slots times the time of the run; bookkeeping is the processor time of the client for each call, which covers
building it, HTTP, checking the answer against its schema and committing it to SQLite.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from report import describe_machine
from umekomi.synthesize.calls.asking import Call
from umekomi.synthesize.calls.driving import answer_all
from umekomi.synthesize.calls.ledger import Ledger
from umekomi.synthesize.calls.llm import Sampling, open_llm
from umekomi.synthesize.prompts import load_prompt

ANSWER = json.dumps({"query": "水の沸点は気圧によってどのように変わりますか。"}, ensure_ascii=False)


def serve(latency_s: float) -> None:
    """Answer every request after ``latency_s``; print the port first, and the seconds held at the end of input."""
    import asyncio

    body = json.dumps(
        {
            "choices": [{"message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 300, "completion_tokens": 30},
        }
    ).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )
    held = 0.0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal held
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line
                )
                await reader.readexactly(length)
                started = time.perf_counter()
                await asyncio.sleep(latency_s)
                writer.write(answer)
                await writer.drain()
                held += time.perf_counter() - started
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        print(held, flush=True)

    asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--latency-ms", type=float, default=250)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve is not None:
        serve(asked.serve)
        return
    command = [sys.executable, __file__, "--serve", str(asked.latency_ms / 1000)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        assert server.stdin is not None and server.stdout is not None
        port = int(server.stdout.readline())
        llm = open_llm(f"http://127.0.0.1:{port}/v1#m", slots=asked.slots, notify=print)
        prompt = load_prompt("question", "ja")
        passage = "水は一気圧のもとでは摂氏百度で沸騰し、気圧が下がると沸点も下がる。" * 10
        with Ledger(Path(folder) / "calls.sqlite") as ledger:
            wall, processor = time.perf_counter(), time.process_time()
            calls = [
                Call.build(prompt, llm.name, Sampling(), passage=f"{number}: {passage}")
                for number in range(asked.calls)
            ]
            replies = answer_all(llm, calls, ledger, advance=lambda progress: None)
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
        llm.close()
        server.stdin.close()
        held = float(server.stdout.readline())
    assert len(replies) == asked.calls
    console = Console()
    table = Table(title=f"{asked.calls} calls of {asked.latency_ms:.0f} ms over {asked.slots} slots")
    for column in ("figure", "value", "goal"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    table.add_row("slots busy", f"{held / (asked.slots * wall):.1%}", "≥ 95 %")
    table.add_row("bookkeeping a call", f"{1000 * processor / asked.calls:.2f} ms", "≤ 5 ms")
    table.add_row("calls a second", f"{asked.calls / wall:.1f}", "")
    console.print(table)
    machine = describe_machine()
    console.print(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}")


if __name__ == "__main__":
    main()
