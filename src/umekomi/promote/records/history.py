"""Who answered to an alias, and when: one line for each step, beside umekomi.yaml, only ever added to.

A switch is two lines: that it was begun, before the file changes, and how it ended. From the first without the
second the next command tells that this one was killed, and what it was about to do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter

from umekomi.errors import StoreError

Step: TypeAlias = Literal["begun", "promoted", "rolled back", "given up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model as umekomi.yaml serves it. ``entry``: its settings there, from which it can be listed again.

    ``rest`` are the settings that it returns to once nobody needs it at hand any more.
    """

    name: str
    fingerprint: str | None = None
    entry: Mapping[str, Any] = field(default_factory=dict)
    rest: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A line of the history.

    at        ISO 8601, UTC
    alias     the name that was switched
    model     who answers to it from now on, or, where it was begun or given up, was to
    before    who answered until then, as it is called since; None for nobody
    was       how that one was called until then, where the alias was its very name
    back      whether it is a rollback
    forced    why it was promoted without being proved better
    server    the server that was switched; None where only the file was
    reason    why it was given up
    """

    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    step: Step
    alias: str
    model: Served
    before: Served | None = None
    was: str | None = None
    back: bool = False
    verdict: str | None = None
    forced: str | None = None
    report: str | None = None
    weights_digest: str | None = None
    server: str | None = None
    reason: str | None = None
    umekomi: str = ""


_EVENT = TypeAdapter(Event)
"""Holds a line to the types above: the file lies where others may write."""


@dataclass(frozen=True, slots=True)
class Line:
    """What the history of one alias comes to.

    models   those that answered in turn, the present one last; a rollback takes the last away
    pending  a switch that was begun and has not ended
    """

    models: tuple[Served, ...] = ()
    pending: Event | None = None

    @property
    def present(self) -> Served | None:
        return self.models[-1] if self.models else None

    @property
    def previous(self) -> Served | None:
        return self.models[-2] if len(self.models) > 1 else None


def line_of(events: Iterable[Event], alias: str) -> Line:
    """The line of one alias after all ``events``; those of other aliases may have renamed its models."""
    models: list[Served] = []
    pending: Event | None = None
    for event in events:
        if event.was is not None and event.before is not None and event.step == "promoted":
            name = event.before.name
            models = [replace(each, name=name) if each.name == event.was else each for each in models]
        if event.alias == alias:
            pending = event if event.step == "begun" else None
            models = _moved(models, event)
    return Line(tuple(models), pending)


def _moved(models: list[Served], event: Event) -> list[Served]:
    if event.step == "rolled back":
        names = [model.name for model in models]
        kept = models[: names.index(event.model.name)] if event.model.name in names else []
        return [*kept, event.model]
    if event.step == "promoted":
        before = [event.before] if event.before is not None else []
        if before and models and models[-1].name == before[0].name:
            before = models
        elif before:
            before = [*models, *before]
        return [*before, event.model]
    return models


class History:
    """The history of one umekomi.yaml."""

    def __init__(self, config: Path) -> None:
        self.path = config.with_name(f"{config.stem}.history.jsonl")
        self.events: tuple[Event, ...] = ()
        self.unread = 0
        self._read()

    @property
    def aliases(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(event.alias for event in self.events))

    def line(self, alias: str) -> Line:
        return line_of(self.events, alias)

    def add(self, event: Event) -> None:
        """Write an event through to the disk. Raises `StoreError`."""
        text = json.dumps(_without_nothing(asdict(event)), ensure_ascii=False) + "\n"
        try:
            with self.path.open("ab+") as file:
                if file.tell() and not self._ends_with_a_line():
                    file.write(b"\n")  # of a line that a crash cut off
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        self.events = (*self.events, event)

    def _ends_with_a_line(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def _read(self) -> None:
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        events = []
        for line in filter(None, lines):
            try:
                events.append(_EVENT.validate_python(json.loads(line)))
            except (ValueError, RecursionError):  # pydantic's errors are the former
                self.unread += 1
        self.events = tuple(events)


def _without_nothing(content: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in content.items():
        kept = _without_nothing(value) if key in ("model", "before") and value else value
        if kept not in (None, "", False) and kept != {}:
            found[key] = kept
    return found
