"""One served model: its settings, whether it is in memory, and what is known of its loading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from umekomi.config import ModelSettings
from umekomi.serve.residency.cooldown import Cooldown
from umekomi.serve.residency.uses import Uses

State: TypeAlias = Literal["unloaded", "loading", "loaded", "failed"]


class Card(Protocol):
    """What a list of models tells of one; None where it is not known, as often with a remote model."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def dim(self) -> int | None: ...

    @property
    def max_tokens(self) -> int | None: ...

    @property
    def notice(self) -> str | None: ...


class OpenedModel(Protocol):
    """All that residency knows of a model in memory, whatever kind it is of."""

    @property
    def card(self) -> Card: ...

    @property
    def ready(self) -> bool:
        """Whether it can run something right now."""
        ...

    def close(self) -> None: ...


OpenModel: TypeAlias = Callable[[ModelSettings], OpenedModel]
"""Called in a thread."""


@dataclass(slots=True, eq=False)
class Resident:
    """One served model.

    model          None while it is not in memory
    opening        its files are being read: it takes memory already
    closing        how many copies of it are giving their memory back
    memory_bytes   what loading it has cost at most; 0 before its first load
    retired        no longer served: closed with the end of the last request that holds it
    stuck          reported as making no progress
    """

    settings: ModelSettings
    model: OpenedModel | None = None
    loading: asyncio.Task[OpenedModel] | None = None
    opening: bool = False
    closing: int = 0
    cooldown: Cooldown = field(default_factory=Cooldown)
    load_seconds: float | None = None
    memory_bytes: int = 0
    uses: Uses = field(default_factory=Uses)
    retired: bool = False
    stuck: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The model's own name, then its aliases."""
        return (self.settings.name, *self.settings.aliases)

    @property
    def state(self) -> State:
        if self.model is not None:
            return "loaded"
        if self.loading is not None:
            return "loading"
        return "failed" if self.cooldown.failure is not None else "unloaded"

    @property
    def is_remote(self) -> bool:
        """Whether another server runs it: it takes no memory worth counting, and leaving it open costs nothing."""
        return self.settings.remote is not None

    @property
    def takes_memory(self) -> bool:
        return not self.is_remote and (self.model is not None or self.opening or self.closing > 0)

    @property
    def leaving(self) -> bool:
        """Whether what it still takes is being given back."""
        return self.closing > 0 and self.model is None and not self.opening

    @property
    def may_unload(self) -> bool:
        """Whether it is in memory, neither pinned nor remote, and nobody holds it."""
        idle = self.model is not None and self.uses.held == 0
        return idle and (self.retired or not (self.settings.pinned or self.is_remote))
