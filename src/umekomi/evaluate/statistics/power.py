"""How many items a difference needs to be found, and how large a difference so many items can find."""

from __future__ import annotations

import math
from statistics import NormalDist

from umekomi.errors import InvalidInput

POWER = 0.8
RISK = 0.05


def items_to_separate(
    items: int, *, delta: float, error: float, risk: float = RISK, power: float = POWER
) -> int | None:
    """Further items with which a true difference of ``delta`` would be found with probability ``power``.

    ``error`` is the standard error with ``items`` items; it shrinks with their square root. None for a difference
    of 0, which no number of items would find.
    """
    if delta == 0:
        return None
    needed = items * (_multiple(risk, power) * error / abs(delta)) ** 2
    return max(1, math.ceil(needed) - items)


def minimum_detectable_effect(items: int, *, deviation: float, risk: float = RISK, power: float = POWER) -> float:
    """The smallest true difference that ``items`` items would show with probability ``power``.

    ``deviation`` is the standard deviation of the items' differences between two models: `Paired.error` times the
    square root of its items, from a comparison already made. Raises `InvalidInput` for fewer than two items.
    """
    if items < 2:
        raise InvalidInput(f"{items} items cannot show any difference: at least 2 are needed")
    return _multiple(risk, power) * deviation / math.sqrt(items)


def _multiple(risk: float, power: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - risk / 2) + normal.inv_cdf(power)
