"""One server process from start to stop: load, announce, serve, drain."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Coroutine
from types import FrameType

import uvicorn

from umekomi.config import Settings
from umekomi.errors import UmekomiError
from umekomi.serve.app import build_app
from umekomi.serve.intake.connection import Connection
from umekomi.serve.intake.framing import MAX_HEADER_BYTES
from umekomi.serve.reloading import reload_and_log
from umekomi.serve.residency import is_loading
from umekomi.serve.service import Service, open_service

DRAIN_S = 30.0
"""How long requests in flight may take to finish once the server was told to stop."""

KEEP_ALIVE_S = 75
"""Longer than clients keep idle connections, so that they close them first and no request meets a closed one."""

_log = logging.getLogger("umekomi.serve")


def run(
    settings: Settings,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None] = lambda: None,
    drain_s: float = DRAIN_S,
    capture_s: float | None = None,
    reread: Callable[[], Settings] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and return. A second signal cuts it short.

    ``on_ready`` is called once the models of the start are loaded. Raises the first failure where none of them
    could be. ``capture_s`` and ``reread`` as for `open_service`; SIGHUP makes the server call the latter.
    """
    service = open_service(settings, capture_s=capture_s, reread=reread)
    server = Server(service, drain_s=drain_s, on_ready=on_ready)
    server.run(sockets=[listener])
    if server.failure is not None:
        raise server.failure
    if is_loading():
        # The load's thread cannot be stopped, and a runtime in the middle of one may not survive the interpreter's
        # end. The store loses nothing: it takes in whole files only.
        logging.shutdown()
        os._exit(0)


class Server(uvicorn.Server):
    """uvicorn with a drain in front of its shutdown: readiness goes first, the listening socket last.

    ``failure`` is why the server ended on its own.
    """

    def __init__(
        self, service: Service, *, drain_s: float = DRAIN_S, on_ready: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                build_app(service),
                http=Connection,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=math.ceil(drain_s),
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            )
        )
        self.failure: UmekomiError | None = None
        self._service = service
        self._drain_s = drain_s
        self._on_ready = on_ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._service.preloading = True
        await super().startup(sockets=sockets)
        self._start(self._preload())
        self._reload_on_hangup(self._loop)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by uvicorn in a signal handler."""
        if self._service.draining or self._loop is None:
            self.should_exit = self.force_exit = True
        else:
            self._service.draining = True
            self._loop.call_soon_threadsafe(lambda: self._start(self._drain()))

    def _reload_on_hangup(self, loop: asyncio.AbstractEventLoop) -> None:
        """As daemons do. Only where a signal can reach the loop: in the main thread, and not on Windows."""
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, lambda: self._start(reload_and_log(self._service)))

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _preload(self) -> None:
        try:
            await self._service.residency.preload()
        except UmekomiError as failure:
            if not self._service.draining:
                self.failure = failure
                self.should_exit = True
        else:
            self._service.preloading = False
            self._on_ready()

    async def _drain(self) -> None:
        _log.info("stopping: %d requests in flight", self._service.in_flight)
        deadline = asyncio.get_running_loop().time() + self._drain_s
        while self._service.in_flight and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        if self._service.in_flight:
            _log.warning("stopping %d requests that took longer than %g s", self._service.in_flight, self._drain_s)
        self.should_exit = True
