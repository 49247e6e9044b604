"""The account of an import: every key of the other configuration stands in it, as carried over or as left out.

Values are shown only for keys that hold no secret; a reader names those itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

NO_COUNTERPART = "umekomi has no such setting"


@dataclass(frozen=True, slots=True)
class Note:
    """``key`` of ``place``, and what it became, or why it became nothing."""

    place: str
    key: str
    text: str


@dataclass(slots=True)
class Ledger:
    """What was carried over and what was left out, in the order of reading."""

    carried: list[Note] = field(default_factory=list)
    left: list[Note] = field(default_factory=list)

    def carry(self, place: str, key: str, became: str) -> None:
        self.carried.append(Note(place, key, became))

    def leave(self, place: str, key: str, why: str) -> None:
        self.left.append(Note(place, key, why))


class Keys:
    """A mapping of somebody else's configuration that remembers which of its keys were accounted for."""

    def __init__(self, content: Mapping[Any, Any], *, place: str, ledger: Ledger, prefix: str = "") -> None:
        self._content = {str(key): value for key, value in content.items() if value is not None}
        self._open = dict.fromkeys(self._content)
        self._prefix = prefix
        self.place = place
        self.ledger = ledger

    def get(self, key: str) -> Any:
        """The value, or None. Look only: the key stays to be accounted for."""
        return self._content.get(key)

    def full(self, key: str) -> str:
        """The key with the names of the mappings around it."""
        return self._prefix + key

    def carry(self, key: str, became: str) -> None:
        if key in self._open:
            del self._open[key]
            self.ledger.carry(self.place, self.full(key), became)

    def leave(self, key: str, why: str) -> None:
        if key in self._open:
            del self._open[key]
            self.ledger.leave(self.place, self.full(key), why)

    def settle(self, *keys: str) -> None:
        """Account for keys whose parts, or whose meaning elsewhere, the ledger names already."""
        for key in keys:
            self._open.pop(key, None)

    def move(self, key: str, convert: Callable[[Any], T], *, into: dict[str, Any], to: str) -> None:
        """Put the converted value into ``into`` under the dotted key ``to``.

        Where ``convert`` raises `ValueError`, the key is left out for the reason that the error states.
        """
        if key not in self._open:
            return
        try:
            value = convert(self._content[key])
        except ValueError as error:
            self.leave(key, str(error))
            return
        put(into, to, value)
        self.carry(key, f"{to}: {value}")

    def section(self, key: str) -> Keys | None:
        """A mapping below this one, whose keys are accounted for one by one."""
        content = self._content.get(key)
        if not isinstance(content, Mapping):
            return None
        self._open.pop(key, None)
        return Keys(content, place=self.place, ledger=self.ledger, prefix=f"{self.full(key)}.")

    def leave_rest(self, reasons: Mapping[str, str] | None = None, *, otherwise: str = NO_COUNTERPART) -> None:
        """Leave out every key that nobody accounted for, with its own reason where there is one."""
        for key in list(self._open):
            self.leave(key, (reasons or {}).get(key, otherwise))


def put(into: dict[str, Any], dotted: str, value: Any) -> None:
    """Set ``a.b`` in nested mappings."""
    *outer, last = dotted.split(".")
    for name in outer:
        into = into.setdefault(name, {})
    into[last] = value


def as_text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("not a text")
    return value.strip()


def as_count(value: Any) -> int:
    """A whole number from 1 on; also where it is written as a text."""
    return _whole(value, least=1)


def as_layers(value: Any) -> int:
    return _whole(value, least=-1)


def as_seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise ValueError("not a number of seconds") from None
    if isinstance(value, bool) or not 0 < seconds < 1e9:
        raise ValueError("not a number of seconds over 0")
    return seconds


def as_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _whole(value: Any, *, least: int) -> int:
    problem = f"not a whole number from {least} on"
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(problem) from None
    if isinstance(value, bool) or number != float(value) or number < least:
        raise ValueError(problem)
    return number
