"""What the routes share: settings, models, metrics, keys, the request log, and whether the server is draining."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import Request

from umekomi.config import ModelSettings, RequestLogSettings, Settings
from umekomi.errors import StoreError, Unavailable
from umekomi.serve.access.gate import Gate
from umekomi.serve.access.keys import Key
from umekomi.serve.intake.body_budget import BodyBudget
from umekomi.serve.metrics import Metrics
from umekomi.serve.opening import open_served
from umekomi.serve.request_log import RequestLog
from umekomi.serve.residency import OpenedModel, OpenModel, Policy, Residency, Resident
from umekomi.serve.tracing import Tracing, open_tracing

_log = logging.getLogger("umekomi.serve")


@dataclass(slots=True)
class Service:
    """One running server; reach it from a route with `service_of`.

    request_log  None where none is configured
    tracing      likewise
    in_flight    requests whose answer is not sent yet
    draining     set once the server was told to stop: no new work, readiness off
    preloading   set while models are loaded at start: readiness off
    reread       reads the configuration again, with what the command line says; None where there is none
    reloading    held while that is done
    bodies       what the requests' bodies take together
    """

    settings: Settings
    residency: Residency
    metrics: Metrics
    gate: Gate
    request_log: RequestLog | None = None
    tracing: Tracing | None = None
    created: int = field(default_factory=lambda: int(time.time()))
    in_flight: int = 0
    draining: bool = False
    preloading: bool = False
    reread: Callable[[], Settings] | None = None
    reloading: asyncio.Lock = field(default_factory=asyncio.Lock)
    bodies: BodyBudget = field(default_factory=BodyBudget)

    def refuse_while_draining(self) -> None:
        """Raises `Unavailable` once the server was told to stop."""
        if self.draining:
            raise Unavailable("The server is shutting down; send the request again later.", retry_after_s=5)

    def resolve(self, name: str, key: Key | None) -> Resident:
        """The model behind a name or an alias. Raises `UnknownModel`, also for one that the key may not use."""
        resident = self.residency.resolve(name)
        self.gate.check_model(key, name, *resident.names)
        return resident

    async def close(self) -> None:
        """Give back the models, then write what is left of usage and of the request log."""
        await self.residency.close()
        try:
            await asyncio.to_thread(self.gate.close)
        except StoreError as error:
            _log.error("the last usage is lost: %s", error)
        if self.request_log is not None:
            await asyncio.to_thread(self.request_log.close)
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)


def open_service(
    settings: Settings,
    *,
    open_model: OpenModel | None = None,
    capture_s: float | None = None,
    reread: Callable[[], Settings] | None = None,
) -> Service:
    """The service that ``settings`` describe, with no model loaded yet. `open_model` is for tests.

    ``capture_s`` is how long the request log, where there is one, keeps what clients send and get; ``reread`` reads
    the configuration again. Raises
    `StoreError` where the database of keys or the request log cannot be used.
    """

    def open_as_configured(model: ModelSettings) -> OpenedModel:
        return open_served(model, threads=service.settings.threads, on_batch=metrics.batches_of(model.name))

    residency = Residency(settings.models, open_model=open_model or open_as_configured, policy=Policy.of(settings))
    metrics = Metrics(residency)
    tracing = open_tracing(settings.tracing)
    gate = Gate.open(settings.keys.database)
    request_log = _open_request_log(settings.request_log, capture_s)
    service = Service(settings, residency, metrics, gate, request_log, tracing, reread=reread)
    return service


def _open_request_log(settings: RequestLogSettings, capture_s: float | None) -> RequestLog | None:
    if settings.file is None:
        return None
    return RequestLog(
        settings.file.expanduser(),
        max_file_bytes=settings.max_file_bytes,
        max_files=settings.max_files,
        capture_s=capture_s,
    )


def service_of(request: Request) -> Service:
    return cast(Service, request.app.state.service)
