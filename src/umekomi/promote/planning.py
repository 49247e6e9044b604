"""What umekomi.yaml is to say before and after a switch, as settings. Decides, and does nothing.

A switch takes two steps. ``staged`` serves what is to come beside what is there, under names that nobody asks for
yet; ``switched`` moves the alias, and nothing else that a client could ask for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from umekomi.config import DEFAULT_CHAT_MODEL, ModelSettings, Settings
from umekomi.errors import ConfigError

Models = tuple[ModelSettings, ...]

_AT_HAND = {"preload": True, "keep_alive_s": None}
"""Loaded at start and never unloaded for being idle: who answers, and who did before."""

_RESTING = ("preload", "keep_alive_s", "pinned")

LONGEST_ALIAS = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """The two steps.

    target   the model that is to answer to the alias
    owner    the one that does now, as it is called now; None for nobody
    kept     the same, as it is called after the switch: with the alias, a model may lose its very name
    """

    alias: str
    target: ModelSettings
    owner: ModelSettings | None
    kept: ModelSettings | None
    staged: Models
    switched: Models

    @property
    def renamed(self) -> Mapping[str, str]:
        """Old name to new one, in ``switched``."""
        if self.owner is None or self.kept is None or self.owner.name == self.kept.name:
            return {}
        return {self.owner.name: self.kept.name}

    @property
    def done(self) -> bool:
        """Whether the target answers already."""
        return self.owner is not None and self.owner.name == self.target.name

    @property
    def new(self) -> tuple[str, ...]:
        """Names that are served from the first step on."""
        copies = () if not self.renamed or self.kept is None else (self.kept.name,)
        return (*copies, self.target.name)


def check_alias(alias: str) -> None:
    """Raises `ConfigError` for a name that cannot be told from another on sight."""
    if not alias or alias != alias.strip() or not alias.isprintable() or len(alias) > LONGEST_ALIAS:
        raise ConfigError(
            f"--alias {alias!r}: give a name of 1 to {LONGEST_ALIAS} printable characters, without spaces around it"
        )


def explicit_models(settings: Settings, served: Collection[str] = ()) -> Models:
    """The models of the file; where it names none, the starters that are served instead: none disappears."""
    if settings.models:
        return settings.models
    models = settings.with_defaults().models
    own = tuple(model.model_copy(update={"aliases": ()}) for model in models)
    if not served:
        return own
    chat = ModelSettings(name=DEFAULT_CHAT_MODEL, preload=False)  # by what is installed there, not here
    return (*(model for model in own if model.name != chat.name), *((chat,) if chat.name in served else ()))


def find_owner(models: Iterable[ModelSettings], alias: str) -> ModelSettings | None:
    """The model that answers to ``alias``."""
    return next((model for model in models if alias in (model.name, *model.aliases)), None)


def free_name(models: Iterable[ModelSettings], wanted: str) -> str:
    taken = {name for model in models for name in (model.name, *model.aliases)}
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def resting(model: ModelSettings) -> dict[str, Any]:
    """The settings that `at_hand` may change."""
    return {key: getattr(model, key) for key in _RESTING}


def at_hand(model: ModelSettings, *, pinned: bool = False) -> ModelSettings:
    """``model`` so that it stays in memory; where one model at a time may be there, ``pinned`` lets it stay."""
    if model.remote is not None:
        return model
    return model.model_copy(update=_AT_HAND | ({"pinned": True} if pinned else {}))


def plan_switch(
    settings: Settings,
    models: Models,
    alias: str,
    *,
    target: ModelSettings,
    owner: ModelSettings | None,
    rests: Mapping[str, Mapping[str, Any]],
) -> Plan:
    """How ``alias`` comes from ``owner`` to ``target``.

    models    as `explicit_models` gives them
    target    one of them, or one to add, without the alias
    rests     by name, models that promotions keep in memory and nobody needs there any more, with the settings that
              they had before; those whose settings a person has changed since are left alone
    """
    names = {model.name for model in models}
    pinned = settings.single_active
    ready = at_hand(target, pinned=pinned)
    added = () if target.name in names else (ready,)
    renames = owner is not None and owner.name == alias and owner.name != target.name
    kept, copied = _kept_under_another_name(models, owner) if renames and owner else (_losing(owner, alias), False)
    copies = (kept.model_copy(update={"aliases": ()}),) if renames and not copied and kept is not None else ()
    staged = tuple(ready if model.name == target.name else model for model in models) + copies + added
    answering = ready.model_copy(update={"aliases": (*(a for a in ready.aliases if a != alias), alias)})
    switched: list[ModelSettings] = []
    for model in models:
        if model.name == target.name:
            switched.append(answering)
        elif owner is not None and kept is not None and model.name == owner.name:
            switched.append(_rested(kept, rests))
        elif not (renames and kept is not None and model.name == kept.name):
            switched.append(_rested(model, rests))
    return Plan(alias, answering, owner, kept, staged, (*switched, *((answering,) if added else ())))


def _losing(owner: ModelSettings | None, alias: str) -> ModelSettings | None:
    if owner is None:
        return None
    return at_hand(owner).model_copy(update={"aliases": tuple(name for name in owner.aliases if name != alias)})


def _kept_under_another_name(models: Models, owner: ModelSettings) -> tuple[ModelSettings, bool]:
    """The model that loses its very name, under another one; and whether it is listed there already.

    A copy of it is served beside it first, so that it is warm under its other name when the first one goes.
    """
    changes: dict[str, Any] = {"source": owner.open_name}
    if owner.remote is not None:
        changes = {"remote": owner.remote.model_copy(update={"model": owner.remote.model or owner.name})}
    wanted = f"{owner.name}@original"
    copy = at_hand(owner).model_copy(update={**changes, "name": wanted})
    staged = copy.model_copy(update={"aliases": ()})
    if staged in models:
        return copy, True
    return copy.model_copy(update={"name": free_name(models, wanted)}), False


def _rested(model: ModelSettings, rests: Mapping[str, Mapping[str, Any]]) -> ModelSettings:
    if model.name not in rests or any(getattr(model, key) != value for key, value in _AT_HAND.items()):
        return model
    return model.model_copy(update=dict(rests[model.name]))
