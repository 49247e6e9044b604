"""What a served name opens: an embedder, a chat model or a reranker, by its settings and its files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from umekomi.config import ModelSettings
from umekomi.embedding.embedder import Embedder
from umekomi.embedding.lanes import OnBatch
from umekomi.engines.hashing import PREFIX as HASHING_PREFIX
from umekomi.engines.hashing import hashing_bundle
from umekomi.engines.registry import open_encoder, open_generator, open_reranker
from umekomi.engines.remote import RemoteModel, open_remote
from umekomi.errors import UmekomiError
from umekomi.models.bundle import Bundle
from umekomi.models.card import Capability
from umekomi.models.files import read_object
from umekomi.models.gguf import read_gguf_card
from umekomi.models.names import find_path
from umekomi.models.ranking import is_reranker
from umekomi.models.sources import open_model
from umekomi.models.starters import find_starter
from umekomi.serve.workers import ChatModel, RankModel

Opened: TypeAlias = Embedder | ChatModel | RankModel | RemoteModel

ADD_CHAT = "pip install 'umekomi[llm]'"
"""How the engine of chat models is installed."""

_log = logging.getLogger("umekomi.serve")


def open_served(settings: ModelSettings, *, threads: int | None, on_batch: OnBatch | None = None) -> Opened:
    """The model that ``settings`` describe, fetched first where it is not on this machine yet.

    ``on_batch`` is told of every batch of an embedding model. Raises what `open_model` and the engines raise;
    `UnsupportedCapability` where ``kind`` names what the model cannot do.
    """
    if settings.remote is not None:
        return open_remote(settings)
    bundle = _open_bundle(settings)
    engine, options = _engine(settings)
    match known_capability(settings) or bundle.card.capabilities[0]:
        case "chat":
            generator = open_generator(bundle, engine=engine, threads=threads, options=options)
            return ChatModel(generator)
        case "rerank":
            reranker = open_reranker(
                bundle, engine=engine, precision=settings.precision, threads=threads, options=options
            )
            return RankModel(reranker)
        case "embedding":
            encoder = open_encoder(
                bundle,
                engine=engine,
                precision=settings.precision,
                threads=threads,
                prompts=dict[str, str](settings.prompts.items()) or None,
                options=options,
            )
            return Embedder(encoder, on_batch=on_batch)


def known_capability(settings: ModelSettings) -> Capability | None:
    """What a model does, as far as it can be told without opening it: by its settings, its name or its header."""
    if settings.kind != "auto":
        return settings.kind
    if settings.remote is not None:
        return None  # its server knows, and says so when it is asked
    if any(own is not None and own.pooling is not None for own in (settings.llama, settings.torch)):
        return "embedding"
    name = settings.open_name
    if name.startswith(HASHING_PREFIX):
        return "embedding"
    if (starter := find_starter(name)) is not None:
        return starter.kind
    if (path := find_path(name)) is None:
        return None
    telling = path / "config.json" if path.is_dir() else path
    try:
        return _capability_of_file(telling, telling.stat().st_mtime_ns) if telling.is_file() else None
    except (UmekomiError, OSError):
        return None  # opening it will tell what is wrong


@lru_cache(maxsize=256)
def _capability_of_file(path: Path, changed_ns: int) -> Capability:
    """By the header of a GGUF file, or a folder's config.json; ``changed_ns`` makes a changed file another one."""
    if path.name != "config.json":
        return read_gguf_card(path).capabilities[0]
    return "rerank" if is_reranker(path.parent, read_object(path)) else "embedding"


def _open_bundle(settings: ModelSettings) -> Bundle:
    name = settings.open_name
    if name.startswith(HASHING_PREFIX):
        return hashing_bundle(name)
    return open_model(name, notify=lambda message: _log.warning("model=%s: %s", settings.name, message))


def _engine(settings: ModelSettings) -> tuple[str, Mapping[str, Any] | None]:
    """The engine's name, and its own options. A model with settings for torch runs there."""
    if settings.torch is not None:
        return "torch", settings.torch.model_dump(exclude_none=True)
    return settings.engine, settings.llama.model_dump(exclude_none=True) if settings.llama is not None else None
