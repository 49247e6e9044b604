"""Which entry of umekomi.yaml is to answer: a new one for a proved model, or the one that answered before."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from umekomi.config import ModelSettings
from umekomi.engines.hashing import PREFIX as HASHING_PREFIX
from umekomi.engines.hashing import hashing_bundle
from umekomi.errors import BrokenModel, ConfigError, UmekomiError, UnsupportedCapability
from umekomi.models.card import ModelCard
from umekomi.models.names import HubName, StarterName, parse_name
from umekomi.models.sources import default_store, open_model
from umekomi.models.sources.wheel import is_fetched
from umekomi.models.starters import find_starter
from umekomi.promote.desk import Desk
from umekomi.promote.planning import free_name
from umekomi.promote.proof import Proof, fingerprints_of
from umekomi.promote.records.history import Served
from umekomi.types import Precision

_BY_FINGERPRINT = re.compile(r"@([0-9a-f]{8})(-\d+)?$")
"""How promoted models are called: by the alias, and by the start of their fingerprint in fp32."""


def check_kind(desk: Desk) -> None:
    """Raises `UnsupportedCapability` where the alias is a chat model's or a reranker's."""
    owner, served = desk.owner, desk.served.get(desk.alias)
    kind: str | None = owner.kind if owner is not None and owner.kind in ("chat", "rerank") else None
    if owner is not None and (starter := find_starter(owner.open_name)) is not None and starter.kind != "embedding":
        kind = starter.kind
    if kind is None and served is not None and served.capabilities and "embeddings" not in served.capabilities:
        kind = served.capabilities[0]
    if kind is not None:
        raise UnsupportedCapability(f"{desk.alias} is a model for {kind}; an embedding model cannot take its place")


def choose_target(desk: Desk, proof: Proof, precision: Precision | None) -> ModelSettings:
    """The entry of the proved model: the one that is there, else a new one.

    A new one behaves for clients as the present one does (role, truncation, token ids, precision). What decides
    how that one runs, and prompts that replace its own, are not taken over; nor are fallbacks, whose vectors would
    not be comparable.
    """
    owner = desk.owner if desk.owner is not None and desk.owner.remote is None else None
    wanted = precision or (owner.precision if owner is not None else "fp32")
    short = proof.card.with_precision("fp32").fingerprint[:8]
    for model in desk.models:
        named = _BY_FINGERPRINT.search(model.name)
        if _is_at(model, proof.model) and model.precision == wanted and (named is None or named[1] == short):
            return model
    name = free_name(desk.models, f"{desk.alias}@{short}")
    if desk.owner is None:
        return ModelSettings(name=name, source=str(proof.model), precision=wanted)
    if desk.owner.fallbacks:
        desk.notify(f"{name} gets no fallbacks: {', '.join(desk.owner.fallbacks)} would answer with other vectors")
    if desk.owner.prompts:
        desk.notify(f"the prompts that the file gives {desk.owner.name} are not taken over: {name} has its own")
    kept = ("role", "truncation", "token_ids")
    return ModelSettings(
        name=name,
        source=str(proof.model),
        precision=wanted,
        **{field: getattr(desk.owner, field) for field in kept},
    )


def _is_at(model: ModelSettings, folder: Path) -> bool:
    if model.source is None:
        return False
    try:
        return Path(model.source).expanduser().resolve() == folder
    except (OSError, RuntimeError):
        return False


def choose_returning(desk: Desk, served: Served) -> ModelSettings:
    """The entry of a model that answered before, as it is in the file or, where it is gone from there, was.

    Raises `ConfigError` where nobody noted how it was, or what was noted cannot be read.
    """
    listed = next((model for model in desk.models if model.name == served.name), None)
    if listed is not None:
        return listed
    if not served.entry:
        raise ConfigError(
            f"{desk.file.shown}: {served.name} is not in it any more; list it again, or promote another"
        )
    desk.notify(f"{served.name} is not in {desk.file.shown} any more; it is listed again, as it was")
    try:
        return ModelSettings.model_validate({**served.entry, "aliases": ()})
    except ValidationError:
        raise ConfigError(
            f"{desk.history.path}: what it holds of {served.name} is no model's settings; list the model by "
            "hand, or promote another"
        ) from None


def check_files(model: ModelSettings, recorded: str | None) -> tuple[str, ...]:
    """Fingerprints that ``model`` may have, by the folder it is served from; none where it has no folder of its own
    on this machine: what a starter or a hub id names is the server's to say.

    Raises `BrokenModel` where its folder is gone, or holds another model than was ``recorded``.
    """
    source = Path(model.open_name).expanduser()
    if model.remote is None and source.is_absolute() and not source.exists():
        raise BrokenModel(
            f"{source}: is gone, and {model.name} was served from it; nothing was changed. Put the folder back, or "
            "promote another model"
        )
    card = card_here(model) if source.is_absolute() else None
    if card is None:
        return ()
    allowed = tuple(fingerprints_of(card))
    if recorded is not None and recorded not in allowed:
        raise BrokenModel(
            f"{model.open_name}: holds another model than the one that was served as {model.name} (fingerprint "
            f"{recorded}); nothing was changed. Was it trained anew in the same folder? Put the old files back, or "
            "promote another model"
        )
    return allowed


def card_here(model: ModelSettings) -> ModelCard | None:
    """The card of a model whose files are on this machine and decide its vectors alone; fetches nothing."""
    own = (model.remote, model.llama, model.torch)
    if any(each is not None for each in own) or model.engine != "auto":
        return None
    try:
        if model.open_name.startswith(HASHING_PREFIX):
            card = hashing_bundle(model.open_name).card
        else:
            name = parse_name(model.open_name)
            fetched = isinstance(name, StarterName) and is_fetched(name.starter, default_store())
            if isinstance(name, HubName) or (isinstance(name, StarterName) and not fetched):
                return None
            card = open_model(model.open_name).card
    except UmekomiError:
        return None
    return card.with_prompts(dict[str, str](model.prompts.items())) if model.prompts else card
