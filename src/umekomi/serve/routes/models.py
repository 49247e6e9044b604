"""``GET /v1/models`` and ``GET /v1/models/{id}``: every name that the client may ask for, aliases included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from umekomi.config import ModelSettings
from umekomi.models.card import Capability, ModelCard
from umekomi.serve.capabilities import capability_of
from umekomi.serve.recording import record_of
from umekomi.serve.residency import Resident
from umekomi.serve.service import service_of
from umekomi.types import NumberFormat

OWNER = "umekomi"
UPSTREAM = "upstream"
"""Owner of a model that another server runs."""

CAPABILITIES: Mapping[Capability, str] = {"embedding": "embeddings", "chat": "chat", "rerank": "rerank"}
"""As the protocol names them, by a card's word."""


async def list_models(request: Request) -> Response:
    service = service_of(request)
    key = record_of(request).key
    allowed = {
        name: resident
        for name, resident in service.residency.names.items()
        if key is None or key.allows(*resident.names)
    }
    data = [
        _entry(name, resident, await capability_of(resident), service.created) for name, resident in allowed.items()
    ]
    return _json({"object": "list", "data": data})


async def retrieve_model(request: Request) -> Response:
    """One name; slashes in it need no escaping."""
    service = service_of(request)
    name = request.path_params["name"]
    resident = service.resolve(name, record_of(request).key)
    return _json(_entry(name, resident, await capability_of(resident), service.created))


def _entry(name: str, resident: Resident, kind: Capability | None, created: int) -> dict[str, Any]:
    """OpenAI's four fields, and ours. What only a loaded model knows is null until then."""
    settings = resident.settings
    card = resident.model.card if resident.model is not None else None
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": UPSTREAM if resident.is_remote else OWNER,
        "alias_of": settings.name if name != settings.name else None,
        "capabilities": [CAPABILITIES[kind]] if kind else None,
        "state": resident.state,
        "precision": None if resident.is_remote else _precision(card, settings),
        "fingerprint": card.fingerprint if card else None,
        "dim": card.dim if card else None,
        "max_tokens": card.max_tokens if card else None,
        "notice": card.notice if card else None,
    }


def _precision(card: object, settings: ModelSettings) -> NumberFormat:
    """What is run; before a model is loaded, what is asked for."""
    return card.precision if isinstance(card, ModelCard) else settings.precision


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
