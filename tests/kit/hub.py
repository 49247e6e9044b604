"""A stand-in of the hub: its HTTP interface for models, served on loopback from plain folders."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

LARGE_BYTES = 1024
"""Files over this are large files to the hub: their ETag is their sha256."""

_API = re.compile(r"/api/models/(?P<id>[^/]+/[^/]+)/(?P<what>revision|tree)/(?P<revision>[^/?]+)")
_RESOLVE = re.compile(r"/(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


@dataclass
class HubStandIn:
    """What the hub has, and how it misbehaves.

    repositories    folder by id; ``main`` is its present content
    gated, private  ids that answer 403 and 401
    cut_after       bytes by file name after which the connection breaks, once
    pause_s         pause after each block of ``block_bytes`` of a file
    held            names of files of which one block is sent and no more while they are in here
    requests        ``METHOD path`` of every request so far, with the Range header where there was one
    """

    url: str = ""
    repositories: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    private: set[str] = field(default_factory=set)
    cut_after: dict[str, int] = field(default_factory=dict)
    pause_s: float = 0.0
    held: set[str] = field(default_factory=set)
    block_bytes: int = 64 * 1024
    status: int | None = None
    requests: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)

    def commit(self, model_id: str) -> str:
        """The commit of the repository's present content."""
        digest = hashlib.sha1()
        for name, path in self.files(model_id).items():
            digest.update(name.encode() + path.read_bytes())
        return digest.hexdigest()

    def files(self, model_id: str) -> dict[str, Path]:
        root = self.repositories[model_id]
        return {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}


def etag(path: Path) -> str:
    """As the hub names a file's content: sha256 of a large one, git's sha1 of a small one."""
    content = path.read_bytes()
    if len(content) > LARGE_BYTES:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serve_hub() -> Iterator[HubStandIn]:
    """A stand-in that listens while the block runs."""
    hub = HubStandIn()

    class Handler(_Handler):
        stand_in = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: ClassVar[HubStandIn]

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        asked_range = self.headers.get("Range")
        self.stand_in.requests.append(f"{self.command} {path}" + (f" {asked_range}" if asked_range else ""))
        self.stand_in.agents.add(self.headers.get("User-Agent", ""))
        match = _API.fullmatch(path) or _RESOLVE.fullmatch(path)
        if self.stand_in.status:
            self._refuse(self.stand_in.status, "")
        elif match is None or match["id"] not in self.stand_in.repositories:
            self._refuse(404, "RepoNotFound")
        elif match["id"] in self.stand_in.private:
            self._refuse(401, "RepoNotFound")
        elif match["id"] in self.stand_in.gated:
            self._refuse(403, "GatedRepo")
        elif match["revision"] not in {"main", self.stand_in.commit(match["id"])}:
            self._refuse(404, "RevisionNotFound")
        elif match.re is _RESOLVE:
            self._send_file(match["id"], match["file"], with_body=with_body)
        else:
            self._send_json(self._describe(match["id"], match["what"]))

    def _describe(self, model_id: str, what: str) -> Any:
        files = self.stand_in.files(model_id)
        entries = []
        for name, path in files.items():
            size, tag = path.stat().st_size, etag(path)
            large = (
                {"lfs": {"oid": tag, "sha256": tag, "size": size, "pointerSize": 100}} if size > LARGE_BYTES else {}
            )
            entries.append({"name": name, "size": size, "oid": tag, **large})
        if what == "tree":
            return [{"type": "file", "path": e["name"], **{k: e[k] for k in e if k != "name"}} for e in entries]
        siblings = [{"rfilename": e["name"], "size": e["size"], "blobId": e["oid"]} for e in entries]
        return {"id": model_id, "modelId": model_id, "sha": self.stand_in.commit(model_id), "siblings": siblings}

    def _send_file(self, model_id: str, name: str, *, with_body: bool) -> None:
        path = self.stand_in.files(model_id).get(name)
        if path is None:
            self._refuse(404, "EntryNotFound")
            return
        content = path.read_bytes()
        start = self._range_start(len(content))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{etag(path)}"')
        self.send_header("X-Repo-Commit", self.stand_in.commit(model_id))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if with_body:
            self._send_blocks(content[start:], name)

    def _send_blocks(self, content: bytes, name: str) -> None:
        cut = self.stand_in.cut_after.pop(name, None)
        for start in range(0, len(content), self.stand_in.block_bytes):
            block = content[start : start + self.stand_in.block_bytes]
            if cut is not None and start + len(block) > cut:
                self.wfile.write(block[: cut - start])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            try:
                self.wfile.write(block)
            except OSError:
                return  # the client was killed
            time.sleep(self.stand_in.pause_s)
            while name in self.stand_in.held:
                time.sleep(0.02)

    def _range_start(self, size: int) -> int:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        return min(int(match[1]), size - 1) if match else 0

    def _send_json(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()
