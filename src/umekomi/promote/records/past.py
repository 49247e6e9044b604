"""Who answered to an alias and when, for a person: the history beside what the file says now."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from umekomi.errors import InvalidInput
from umekomi.promote.configuration.config_file import ConfigFile
from umekomi.promote.planning import find_owner
from umekomi.promote.records.history import Event, History, Served


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A time in which one model answered. ``since`` is None for what was there before the first promotion, and
    ``until`` for what is there now; times are ISO 8601, UTC."""

    alias: str
    model: str
    since: str | None = None
    until: str | None = None
    verdict: str | None = None
    how: str
    fingerprint: str | None = None
    source: str | None = None
    report: str | None = None
    server: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Past:
    """``findings``: what does not fit, such as an edit by hand. ``unread`` lines of the history are damaged."""

    path: Path
    periods: tuple[Period, ...]
    findings: tuple[str, ...]
    unread: int = 0


def read_past(alias: str, config: Path) -> Past:
    """Raises `InvalidInput` where neither the file nor its history knows the alias; `ConfigError`, `StoreError`."""
    file = ConfigFile(config)
    history = History(file.path)
    settings = file.parse(file.read())
    owner = find_owner(settings.with_defaults().models, alias)
    events = [event for event in history.events if event.alias == alias]
    if not events and owner is None:
        known = ", ".join(history.aliases) or "none"
        raise InvalidInput(f"{alias}: no model of {config} answers to it, and none did; promoted names: {known}")
    moves = [event for event in events if event.step in ("promoted", "rolled back")]
    periods = _periods(alias, moves)
    findings = list(_unfinished(events))
    now = owner.name if owner is not None else None
    present = history.line(alias).present
    last = present.name if present is not None else None
    if now != last and now is not None:
        how = "edited by hand since" if periods else "in the file; never promoted"
        source = owner.open_name if owner is not None and owner.remote is None else None
        periods.append(Period(alias=alias, model=now, how=how, source=source))
    if last is not None and now != last:
        findings.append(
            f"{config} was edited by hand: {alias} is {now or 'nobody'} there, and {last} was promoted last"
        )
    return Past(history.path, tuple(periods), tuple(findings), history.unread)


def _periods(alias: str, moves: list[Event]) -> list[Period]:
    periods: list[Period] = []
    for at, event in enumerate(moves):
        following = moves[at + 1].at if at + 1 < len(moves) else None
        found = event.before
        if found is not None and (not periods or periods[-1].model != found.name):
            periods.append(_period(alias, found, how="found in the file", until=event.at))
        periods.append(
            _period(
                alias,
                event.model,
                how=_how(event),
                since=event.at,
                until=following,
                verdict=event.verdict or _verdict_before(periods, event.model.name),
                report=event.report,
                server=event.server,
            )
        )
    return periods


def _verdict_before(periods: list[Period], model: str) -> str | None:
    """Of a model that is gone back to: the one that it was promoted with."""
    return next((period.verdict for period in reversed(periods) if period.model == model), None)


def _period(alias: str, served: Served, *, how: str, **facts: str | None) -> Period:
    source = served.entry.get("source") or (None if "remote" in served.entry else served.name)
    return Period(alias=alias, model=served.name, how=how, fingerprint=served.fingerprint, source=source, **facts)


def _how(event: Event) -> str:
    if event.step == "rolled back":
        return "rolled back"
    how = "promoted" if event.forced is None else f"forced: {event.forced}"
    return how if event.server is not None else f"{how} (in the file only)"


def _unfinished(events: list[Event]) -> list[str]:
    if not events or events[-1].step != "begun":
        return []
    last = events[-1]
    what = "rollback" if last.back else "promotion"
    again = f"umekomi rollback {last.alias}" if last.back else "the same command"
    return [f"the {what} to {last.model.name} of {last.at} did not end; {again} completes it"]
