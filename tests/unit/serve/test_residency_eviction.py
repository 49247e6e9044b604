"""Laws of making room, over any models in any state."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from umekomi.config import ModelSettings
from umekomi.serve.residency import OpenedModel, Policy, Resident
from umekomi.serve.residency.eviction import plan_room

IN_MEMORY = cast(OpenedModel, object())


@st.composite
def residents(draw: st.DrawFn) -> Resident:
    resident = Resident(ModelSettings(name="x", pinned=draw(st.booleans())))
    resident.memory_bytes = draw(st.integers(0, 100))
    resident.uses.last_used = draw(st.floats(0, 100))
    match draw(st.sampled_from(["unloaded", "idle", "held", "opening", "closing"])):
        case "idle":
            resident.model = IN_MEMORY
        case "held":
            resident.model = IN_MEMORY
            resident.uses.held = 1
        case "opening":
            resident.opening = True
        case "closing":
            resident.closing = 1
    return resident


policies = st.builds(Policy, memory_budget_bytes=st.none() | st.integers(1, 300), single_active=st.booleans())


@given(st.lists(residents(), max_size=6), residents(), policies)
def test_room_is_made_by_idle_models_only_and_by_no_more_of_them_than_needed(
    others: list[Resident], coming: Resident, policy: Policy
) -> None:
    room = plan_room([*others, coming], coming, policy)
    assert all(other.model is IN_MEMORY and other.uses.held == 0 for other in room.unload)
    assert not any(other.settings.pinned or other is coming for other in room.unload)
    staying = [other for other in others if other.takes_memory and other not in room.unload and not other.leaving]
    if policy.single_active and not coming.settings.pinned:
        rivals = any(other.takes_memory and not other.settings.pinned for other in others)
        # A budget set beside it may have its own reason to wait, such as a pinned model that is leaving.
        within = plan_room([*others, coming], coming, replace(policy, single_active=False))
        assert room.wait == (rivals or within.wait)
    elif policy.memory_budget_bytes is None:
        assert (room.unload, room.wait) == ((), False)
    else:
        spare = policy.memory_budget_bytes - coming.memory_bytes - sum(other.memory_bytes for other in staying)
        assert all(spare < other.memory_bytes for other in room.unload[-1:])  # the last was needed
        idle = [other for other in staying if other.may_unload and other.memory_bytes]
        assert spare >= 0 or not idle  # all that can go goes before anyone is over the budget
        used = [other.uses.last_used for other in room.unload]
        assert used == sorted(used)
        assert all(other.uses.last_used >= used[-1] for other in idle if used)
