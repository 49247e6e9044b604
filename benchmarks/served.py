"""A real server process to measure, and bare HTTP connections to it that cost little themselves."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_S = 300


@dataclass(frozen=True, slots=True)
class Served:
    """``umekomi serve`` in a process of its own."""

    port: int
    process: subprocess.Popen[bytes]

    def memory_bytes(self) -> int:
        """Resident memory. Raises `OSError` where the system does not tell (not Linux)."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """Processor time spent so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serve(*arguments: str) -> Iterator[Served]:
    """A server that is ready, with its keys and usage in a folder of its own. Stopped by SIGTERM."""
    with tempfile.TemporaryDirectory() as folder:
        config, log = Path(folder, "umekomi.yaml"), Path(folder, "serve.log")
        config.write_text(f"keys: {{file: {json.dumps(str(Path(folder, 'server.sqlite')))}}}\n", encoding="utf-8")
        command = [sys.executable, "-m", "umekomi", "serve", "--port", "0", "--log-level", "warning"]
        with log.open("wb") as errors:
            process = subprocess.Popen([*command, "--config", str(config), *arguments], stderr=errors)
        try:
            yield Served(_wait_for_port(process, log), process)
        finally:
            process.terminate()
            process.wait(60)


def _wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"serving .* at http://[^/]*:(\d+)/v1", log.read_text(encoding="utf-8")):
            return int(found[1])
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start: {log.read_text(encoding='utf-8')[-2000:]}")


def request_bytes(path: str, content: Mapping[str, Any], *, headers: str = "") -> bytes:
    """A whole request; ``headers`` are further lines, each with its line end."""
    body = json.dumps(content, ensure_ascii=False).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{headers}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """One kept connection, one request at a time, whose answers say their length."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._expected = -1
        self._whole: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, port: int) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body."""
        self._received.clear()
        self._expected = -1
        self._whole = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        await self._whole
        head, _, body = bytes(self._received).partition(b"\r\n\r\n")
        return int(head[9:12]), body

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._expected < 0 and (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end]).lower()
            self._expected = end + 4 + int(head.partition(b"\ncontent-length:")[2].partition(b"\r\n")[0])
        if 0 <= self._expected <= len(self._received) and self._whole and not self._whole.done():
            self._whole.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._whole and not self._whole.done():
            self._whole.set_exception(ConnectionError("the server closed the connection"))
