"""Which models are in memory: loaded once at first use, unloaded when idle or to make room, replaced whole."""

from __future__ import annotations

from umekomi.serve.residency.changes import Changes
from umekomi.serve.residency.eviction import Policy
from umekomi.serve.residency.loading import is_loading
from umekomi.serve.residency.residency import Residency
from umekomi.serve.residency.resident import OpenedModel, OpenModel, Resident, State

__all__ = ["Changes", "OpenModel", "OpenedModel", "Policy", "Residency", "Resident", "State", "is_loading"]
