"""What a new list of models changes: which stay as they are, which are opened anew, which go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from umekomi.config import ModelSettings
from umekomi.serve.residency.resident import Resident

_LOOKED_UP = frozenset(
    {"role", "truncation", "token_ids", "aliases", "preload", "keep_alive_s", "pinned", "fallbacks"}
)
"""The settings that are read at each request or poll; opening a model depends on all others."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of models, by what a new list did to them. ``changed`` are those with any other setting than before."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


def plan_changes(residents: Sequence[Resident], models: Iterable[ModelSettings]) -> Changes:
    old = {resident.settings.name: resident.settings for resident in residents}
    new = {model.name: model for model in models}
    both = [name for name in new if name in old]
    return Changes(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=tuple(name for name in both if new[name] != old[name]),
        unchanged=tuple(name for name in both if new[name] == old[name]),
    )


def opens_alike(one: ModelSettings, other: ModelSettings) -> bool:
    """Whether what is in memory for ``one`` serves ``other`` as well.

    A remote model never does: opening it anew costs nothing, and forgets what was learned of its servers, which
    may have been mended or replaced.
    """
    opened_with = set(ModelSettings.model_fields) - _LOOKED_UP - {"source"} | {"open_name"}
    return one.remote is None and all(getattr(one, field) == getattr(other, field) for field in opened_with)
