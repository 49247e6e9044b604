"""``POST /api/reload``: read umekomi.yaml again, for those who run the server."""

from __future__ import annotations

import ipaddress
from dataclasses import asdict

import orjson
from starlette.requests import Request
from starlette.responses import Response

from umekomi.errors import ConfigError, InvalidInput, InvalidKey
from umekomi.serve.recording import record_of
from umekomi.serve.reloading import reload
from umekomi.serve.service import service_of


async def reload_configuration(request: Request) -> Response:
    """What changed. Asked with a key for every model; without keys, from this machine only.

    400 tells what is wrong with the file, and that the old one stays.
    """
    service = service_of(request)
    service.refuse_while_draining()
    _refuse_strangers(request)
    try:
        reloaded = await reload(service)
    except ConfigError as error:
        raise InvalidInput(str(error)) from error
    content = {"models": asdict(reloaded.models), "restart_for": reloaded.restart_for}
    return Response(orjson.dumps(content), media_type="application/json")


def _refuse_strangers(request: Request) -> None:
    key = record_of(request).key
    if key is not None:
        if key.models is not None:
            raise InvalidKey(
                "A reload concerns every model, and this key is for some; ask with one without --models."
            )
    elif (
        not _is_loopback(request) or "origin" in request.headers
    ):  # a page in a browser on this machine is a stranger
        raise InvalidKey("Without keys, only programs on the server's own machine may ask for a reload.")


def _is_loopback(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
