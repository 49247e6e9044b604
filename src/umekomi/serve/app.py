"""The ASGI application: routes, what surrounds every request, and the one shape of every error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from umekomi.errors import UmekomiError
from umekomi.serve.recording import Recording, log_failure, record_of
from umekomi.serve.routes.chat import create_chat_completion, create_completion
from umekomi.serve.routes.embeddings import create_embeddings
from umekomi.serve.routes.health import healthz, metrics, readyz
from umekomi.serve.routes.models import list_models, retrieve_model
from umekomi.serve.routes.openapi import openapi
from umekomi.serve.routes.reload import reload_configuration
from umekomi.serve.routes.rerank import rerank
from umekomi.serve.routes.tokens import detokenize, tokenize
from umekomi.serve.service import Service
from umekomi.serve.status import error_response

THREADS = 4
"""Threads for JSON, tokenising and encoding; more would only take the cores from inference."""


def build_app(service: Service) -> Starlette:
    """The application in front of ``service``, which it closes at shutdown."""
    app = Starlette(
        routes=[
            Route("/v1/embeddings", create_embeddings, methods=["POST"]),
            Route("/v1/chat/completions", create_chat_completion, methods=["POST"]),
            Route("/v1/completions", create_completion, methods=["POST"]),
            Route("/v1/rerank", rerank, methods=["POST"]),
            Route("/v1/tokenize", tokenize, methods=["POST"]),
            Route("/v1/detokenize", detokenize, methods=["POST"]),
            Route("/v1/models", list_models),
            Route("/v1/models/{name:path}", retrieve_model),
            Route("/api/reload", reload_configuration, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/openapi.json", openapi),
        ],
        middleware=[Middleware(Recording, service=service)],
        exception_handlers={UmekomiError: _on_error, HTTPException: _on_http_error},
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    with ThreadPoolExecutor(THREADS, thread_name_prefix="umekomi-serve") as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        try:
            yield
        finally:
            await app.state.service.close()


async def _on_error(request: Request, error: Exception) -> Response:
    log_failure(record_of(request), error)
    return error_response(error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    """HTTP's own failures, with more to go on than Starlette's one word."""
    assert isinstance(error, HTTPException)
    asked = f"{request.method} {request.url.path}"
    if error.status_code == 404:
        error = HTTPException(404, f"Unknown URL: {asked}. GET /openapi.json describes what there is.")
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        error = HTTPException(405, f"{asked} is not allowed here; use {allowed}.", error.headers)
    return error_response(error)
