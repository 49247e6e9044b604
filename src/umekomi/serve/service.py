"""What the routes share: settings, models, metrics, and whether the server is draining."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import Request

from umekomi.config import ModelSettings, Settings
from umekomi.embedding.embedder import Embedder
from umekomi.errors import Unavailable
from umekomi.serve.metrics import Metrics
from umekomi.serve.residency import OpenModel, Residency, open_from_settings


@dataclass(slots=True)
class Service:
    """One running server; reach it from a route with `service_of`.

    in_flight    requests whose answer is not sent yet
    draining     set once the server was told to stop: no new work, readiness off
    preloading   set while models are loaded at start: readiness off
    """

    settings: Settings
    residency: Residency
    metrics: Metrics
    created: int = field(default_factory=lambda: int(time.time()))
    in_flight: int = 0
    draining: bool = False
    preloading: bool = False

    def refuse_while_draining(self) -> None:
        """Raises `Unavailable` once the server was told to stop."""
        if self.draining:
            raise Unavailable("The server is shutting down; send the request again later.", retry_after_s=5)


def open_service(settings: Settings, *, open_model: OpenModel | None = None) -> Service:
    """The service that ``settings`` describe, with no model loaded yet. `open_model` is for tests."""

    def open_as_configured(model: ModelSettings) -> Embedder:
        return open_from_settings(model, threads=settings.threads)

    residency = Residency(settings.models, open_model=open_model or open_as_configured)
    return Service(settings, residency, Metrics(residency))


def service_of(request: Request) -> Service:
    return cast(Service, request.app.state.service)
