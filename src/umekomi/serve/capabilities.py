"""Leases of the right kind: what a route needs the model to do, asked before anything is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from umekomi.config import CHAT_ENGINE
from umekomi.embedding.embedder import Embedder
from umekomi.engines.remote import RemoteModel
from umekomi.errors import UnsupportedCapability, UnsupportedModel
from umekomi.extras import is_installed
from umekomi.models.card import Capability
from umekomi.serve.opening import ADD_CHAT, Opened, known_capability
from umekomi.serve.residency import OpenedModel, Resident
from umekomi.serve.service import Service
from umekomi.serve.workers import ChatModel, RankModel

_MAKES: Mapping[Capability, str] = {
    "embedding": "makes embeddings (/v1/embeddings)",
    "chat": "generates text (/v1/chat/completions, /v1/completions)",
    "rerank": "scores documents for a query (/v1/rerank)",
}


async def capability_of(resident: Resident) -> Capability | None:
    """What the model does; None where only opening it would tell."""
    if resident.model is not None:
        return _kind(resident.model)
    return await asyncio.to_thread(known_capability, resident.settings)


@asynccontextmanager
async def lease_embedder(service: Service, resident: Resident) -> AsyncIterator[Embedder]:
    """The open model. Raises `UnsupportedCapability` for another kind, and as `Residency.lease` does."""
    async with _lease(service, resident, "embedding") as opened:
        assert isinstance(opened, Embedder)
        yield opened


@asynccontextmanager
async def lease_chat(service: Service, resident: Resident) -> AsyncIterator[ChatModel]:
    """As `lease_embedder`. Raises `UnsupportedModel` where the engine of chat models is not installed."""
    async with _lease(service, resident, "chat") as opened:
        assert isinstance(opened, ChatModel)
        yield opened


@asynccontextmanager
async def lease_any(service: Service, resident: Resident, *wanted: Capability) -> AsyncIterator[Opened]:
    """The open model of one of the kinds in ``wanted``, the one to name in a refusal first."""
    async with _lease(service, resident, *wanted) as opened:
        assert isinstance(opened, Opened)
        yield opened


@asynccontextmanager
async def lease_remote(service: Service, resident: Resident, *wanted: Capability) -> AsyncIterator[RemoteModel]:
    """As `lease_any`, for a model that another server runs; where its kind is not set, that server decides."""
    async with _lease(service, resident, *wanted) as opened:
        assert isinstance(opened, RemoteModel)
        yield opened


@asynccontextmanager
async def _lease(service: Service, resident: Resident, *wanted: Capability) -> AsyncIterator[OpenedModel]:
    kind = await capability_of(resident)
    _check(resident, kind, wanted)
    if kind == "chat" and resident.model is None and not is_installed(CHAT_ENGINE) and _needs_llama(resident):
        raise UnsupportedModel(
            f"The model `{resident.settings.name}` generates text, for which this server lacks the engine; "
            f"whoever runs it adds it with: {ADD_CHAT}"
        )
    async with service.residency.lease(resident) as opened:
        _check(resident, _kind(opened), wanted)
        yield opened


def _needs_llama(resident: Resident) -> bool:
    return resident.settings.engine in ("auto", "llama_cpp") and resident.settings.remote is None


def _check(resident: Resident, kind: Capability | None, wanted: tuple[Capability, ...]) -> None:
    if kind is not None and kind not in wanted:
        raise UnsupportedCapability(
            f"The model `{resident.settings.name}` {_MAKES[kind]}; it has no {wanted[0]} capability. "
            "GET /v1/models tells what each model does."
        )


def _kind(opened: OpenedModel) -> Capability | None:
    match opened:
        case ChatModel():
            return "chat"
        case RankModel():
            return "rerank"
        case RemoteModel():
            return opened.capability
        case _:
            return "embedding"
