"""`LlamaServer`: llama.cpp's server engine in this process, reached through a private socket.

The library always opens a listener of its own. Ours is a Unix socket in a folder that only this user can enter
(a loopback port where the system has none), behind a random key. We use it rather than the library's callbacks: a
closed connection stops a request that still waits for its prompt, and a failure in the engine stays a status.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from umekomi.engines.base import Body, Cancellation
from umekomi.engines.llama_cpp.exchange import Address, ask, listen
from umekomi.engines.llama_cpp.gate import Gate
from umekomi.engines.llama_cpp.options import LlamaOptions, Slots
from umekomi.errors import BrokenModel, EngineError
from umekomi.extras import require
from umekomi.models.gguf_header import GgufHeader

Purpose: TypeAlias = Literal["generate", "embed", "rerank"]

_QUIET = -1
_CPU_STEP, _GPU_STEP = 64, 512
"""Tokens of a prompt in one step. Nothing is called off, and no neighbour goes on, within one; on a CPU, a prompt
is no quicker in longer steps (2026-11-21)."""

_SPARE_THREADS = 4
_QUICK_PLACES = 2
_MAX_SOCKET_PATH = 100  # the system's limit is 104 to 108 bytes

_loading = threading.Lock()  # the library keeps its log level and its shutdown hook in globals


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What to load, and for which purpose."""

    path: Path
    header: GgufHeader
    purpose: Purpose
    slots: Slots
    options: LlamaOptions


class LlamaServer:
    """A loaded model. Every method may be called from several threads at once."""

    def __init__(self, setup: Setup) -> None:
        """Raises `BrokenModel` naming the file where llama.cpp does not load it, and `MissingExtra`."""
        self._gate = Gate(setup.slots.parallel)
        self._quick = Gate(_QUICK_PLACES)
        self._lock = threading.Lock()
        self._running: set[Cancellation] = set()
        self._folder = tempfile.mkdtemp(prefix="umekomi-")  # only its owner can enter
        self._remove_folder = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._key = secrets.token_urlsafe(32)
        self._server = self._load(setup)

    def ask(self, route: str, body: Body, *, cancel: Cancellation | None = None) -> Any:
        """The whole answer of a route that computes; waits for a slot. Raises as `exchange.ask` does."""
        cancel = cancel or Cancellation()
        with self._known(cancel), self._gate.turn(cancel):
            return ask(self._address, route, body, cancel=cancel)

    def ask_quick(self, route: str, body: Body) -> Any:
        """The answer of a route that takes no slot, such as the tokenizer's."""
        cancel = Cancellation()
        with self._known(cancel), self._quick.turn(cancel):
            return ask(self._address, route, body, cancel=cancel)

    def listen(self, route: str, body: Body, *, cancel: Cancellation) -> Iterator[dict[str, Any]]:
        """The events of a streamed answer; waits for a slot. Raises as `exchange.listen` does."""
        with self._known(cancel), self._gate.turn(cancel):
            yield from listen(self._address, route, body, cancel=cancel)

    def close(self) -> None:
        """Call off what runs, and give back memory, threads and the socket."""
        with self._lock:
            server, self._server = self._server, None
            running = list(self._running)
        for cancel in running:
            cancel.cancel()
        del server
        self._remove_folder()

    @contextmanager
    def _known(self, cancel: Cancellation) -> Iterator[None]:
        with self._lock:
            if self._server is None:
                raise EngineError("the model was closed")
            self._running.add(cancel)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(cancel)

    def _load(self, setup: Setup) -> Any:
        library = require("xllamacpp", extra="llm")
        params = _params(library, setup)
        path = self._socket_path()
        params.hostnames = [path or "127.0.0.1"]
        params.api_keys = [self._key]
        try:
            with _loading:
                server = library.Server(params)
        except RuntimeError:
            self._remove_folder()
            raise BrokenModel(
                f"{setup.path}: llama.cpp {library.__version__} does not load it: it is damaged, its "
                "architecture or chat template is unknown, or memory is short; fetch it again or lower ctx_size"
            ) from None
        port = 0 if path else urlsplit(server.listening_address).port or 0
        self._address = Address(path, port, self._key)
        return server

    def _socket_path(self) -> str | None:
        if not hasattr(socket, "AF_UNIX"):
            return None
        path = str(Path(self._folder, "llama.sock"))
        return path if len(path.encode()) <= _MAX_SOCKET_PATH else None


def _params(library: Any, setup: Setup) -> Any:
    options, slots = setup.options, setup.slots
    params = library.CommonParams()
    params.model.path = str(setup.path)
    params.n_parallel = slots.parallel
    params.n_ctx = slots.parallel * slots.tokens
    params.kv_unified = False
    params.cache_ram_mib = 0  # else prompts of the past may take 8 GiB
    params.n_threads_http = slots.parallel + _QUICK_PLACES + _SPARE_THREADS
    params.verbosity = _QUIET
    params.ui = False
    params.endpoint_slots = False
    params.fit_params = False  # else the context shrinks silently where a GPU is full
    if options.threads:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    if options.n_gpu_layers is not None:
        params.n_gpu_layers = options.n_gpu_layers
    if options.chat_template is not None:
        params.chat_template = options.chat_template
    flash = {"auto": "AUTO", "on": "ENABLED", "off": "DISABLED"}[options.flash_attn]
    params.flash_attn_type = getattr(library.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{flash}")
    if setup.purpose == "generate":
        params.n_batch = params.n_ubatch = _step_tokens(library, options)
    else:
        _set_pooling(params, library, setup)
    return params


def _step_tokens(library: Any, options: LlamaOptions) -> int:
    cpu = library.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
    on_gpu = options.n_gpu_layers != 0 and any(device["type"] != cpu for device in library.get_device_info())
    return _GPU_STEP if on_gpu else _CPU_STEP


def _set_pooling(params: Any, library: Any, setup: Setup) -> None:
    params.embedding = True
    # A text must fit one step whole, since attention may look both ways.
    params.n_batch = params.n_ubatch = max(setup.slots.tokens, _CPU_STEP)
    pooling = "rank" if setup.purpose == "rerank" else setup.options.pooling
    if pooling is not None:
        params.pooling_type = getattr(library.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling.upper()}")
