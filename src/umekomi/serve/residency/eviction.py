"""Which models to unload, and when a load has to wait: decisions only, nothing is done here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from umekomi.config import Settings
from umekomi.serve.residency.resident import Resident


@dataclass(frozen=True, slots=True)
class Policy:
    """How much may be in memory at a time; the fields are those of umekomi.yaml."""

    memory_budget_bytes: int | None = None
    single_active: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(settings.memory_budget_bytes, settings.single_active)


@dataclass(frozen=True, slots=True)
class Room:
    """What makes room for a model: models to unload, and whether it has to wait, for them or for others in use."""

    unload: tuple[Resident, ...] = ()
    wait: bool = False


def plan_idle(residents: Sequence[Resident], *, now: float) -> list[Resident]:
    """The models that nobody has used for as long as their settings keep them."""
    return [
        resident
        for resident in residents
        if resident.may_unload
        and (keep := resident.settings.keep_alive_s) is not None
        and now - resident.uses.last_used >= keep
    ]


def plan_room(residents: Sequence[Resident], coming: Resident, policy: Policy) -> Room:
    """How to make room for ``coming``, which takes none yet. The least recently used goes first."""
    others = [resident for resident in residents if resident is not coming and resident.takes_memory]
    alone = _plan_alone(others, coming) if policy.single_active else Room()
    within = _plan_within(others, coming.memory_bytes, policy.memory_budget_bytes)
    return Room(tuple(dict.fromkeys((*alone.unload, *within.unload))), alone.wait or within.wait)


def plan_trim(
    residents: Sequence[Resident], policy: Policy, *, keep: Resident | None = None
) -> tuple[Resident, ...]:
    """What to unload because the models in memory turned out to take more than the budget; never ``keep``."""
    others = [resident for resident in residents if resident is not keep and resident.takes_memory]
    return _plan_within(others, keep.memory_bytes if keep else 0, policy.memory_budget_bytes).unload


def _plan_alone(others: Sequence[Resident], coming: Resident) -> Room:
    """One model at a time; pinned ones stand outside of it."""
    if coming.settings.pinned:
        return Room()
    rivals = [resident for resident in others if not resident.settings.pinned]
    return Room(tuple(resident for resident in rivals if resident.may_unload), wait=bool(rivals))


def _plan_within(others: Sequence[Resident], needed_bytes: int, budget_bytes: int | None) -> Room:
    if budget_bytes is None:
        return Room()
    leaving = [resident for resident in others if resident.leaving]
    staying = [resident for resident in others if not resident.leaving]
    over = needed_bytes + sum(resident.memory_bytes for resident in staying) - budget_bytes
    left_over = over + sum(resident.memory_bytes for resident in leaving)
    unload = []
    for resident in sorted(staying, key=lambda resident: resident.uses.last_used):
        if over > 0 and resident.memory_bytes and resident.may_unload:
            unload.append(resident)
            over -= resident.memory_bytes
    in_use = [resident for resident in staying if resident not in unload and not resident.settings.pinned]
    # Where pinned models alone are too large there is nothing to wait for.
    may_help = [*unload, *leaving, *(in_use if over > 0 else ())]
    return Room(tuple(unload), wait=left_over > 0 and any(resident.memory_bytes for resident in may_help))
