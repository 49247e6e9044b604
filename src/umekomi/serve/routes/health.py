"""``/healthz``, ``/readyz`` and ``/metrics``: for those who watch the server, not for its users."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from umekomi.errors import InvalidKey, Unavailable
from umekomi.serve.metrics import CONTENT_TYPE
from umekomi.serve.recording import record_of
from umekomi.serve.service import service_of


async def healthz(request: Request) -> Response:
    """The process lives."""
    return Response(b'{"status":"ok"}', media_type="application/json")


async def readyz(request: Request) -> Response:
    """Send requests here. Not while the models of the start are loading, not while a lost inference thread is being
    replaced, not while a model gets nowhere with what it has, and not once the server was told to stop."""
    service = service_of(request)
    service.refuse_while_draining()
    if service.preloading:
        raise Unavailable("The server is loading its models.", retry_after_s=2)
    for resident in service.residency.residents:
        if resident.model is not None and not resident.model.ready:
            raise Unavailable(f"The model `{resident.settings.name}` is recovering.", retry_after_s=2)
    for resident in service.residency.stuck:
        raise Unavailable(
            f"The model `{resident.settings.name}` has finished nothing for minutes.", retry_after_s=30
        )
    return Response(b'{"status":"ready"}', media_type="application/json")


async def metrics(request: Request) -> Response:
    """For whoever may use every model: the figures name them all."""
    key = record_of(request).key
    if key is not None and key.models is not None:
        raise InvalidKey("Metrics name every model, and this key is for some; ask with a key without --models.")
    return Response(service_of(request).metrics.render(), headers={"content-type": CONTENT_TYPE})
