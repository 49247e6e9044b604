"""The switch that is wanted, twice: as a plan, and as the line that the history gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from umekomi import __version__
from umekomi.config import ModelSettings
from umekomi.errors import UmekomiError
from umekomi.promote.choosing import card_here
from umekomi.promote.configuration.editing import entry_of
from umekomi.promote.desk import Desk
from umekomi.promote.planning import Plan, plan_switch, resting
from umekomi.promote.proof import Proof, fingerprints_of
from umekomi.promote.records.history import Event, Served, line_of

_REST = {"preload": False, "keep_alive_s": 900.0, "pinned": False}
"""To what a promoted model returns once it is neither the present one nor the one before."""


def draft(
    desk: Desk, target: ModelSettings, *, proof: Proof | None = None, back: bool = False, ask: bool = True
) -> tuple[Plan, Event]:
    """The plan, and the event that it is begun with. ``ask`` the server for the fingerprint of the model that goes,
    which also loads that one where it was idle."""

    def planned(rests: Mapping[str, Mapping[str, Any]]) -> Plan:
        return plan_switch(desk.settings, desk.models, desk.alias, target=target, owner=desk.owner, rests=rests)

    plan = planned({})
    event = Event(
        step="begun",
        alias=desk.alias,
        model=_coming(desk, target, proof),
        before=_going(desk, plan, ask=ask, dim=proof.card.dim if proof is not None else None),
        was=plan.owner.name if plan.owner is not None and plan.renamed else None,
        back=back,
        server=desk.server.root if desk.server else None,
        umekomi=__version__,
    )
    if proof is not None:
        event = replace(
            event,
            verdict=proof.report.verdict,
            forced=proof.forced,
            report=str(proof.report_file),
            weights_digest=proof.report.model.weights_digest if proof.report.model else None,
        )
    return planned(_resting(desk, event)), event


def _coming(desk: Desk, target: ModelSettings, proof: Proof | None) -> Served:
    known = _known(desk, target.name)
    fingerprint = proof.card.with_precision(target.precision).fingerprint if proof else None
    listed = any(model.name == target.name for model in desk.models)
    rest: Mapping[str, Any] = resting(target) if listed else _REST
    return Served(
        name=target.name,
        fingerprint=fingerprint or (known.fingerprint if known else None),
        entry=entry_of(target.model_copy(update={"aliases": ()})),
        rest=known.rest if known and known.rest else rest,
    )


def _going(desk: Desk, plan: Plan, *, ask: bool, dim: int | None) -> Served | None:
    """The model that answers now, as it is called after the switch."""
    if plan.done:  # moved by hand, or by a command that was killed
        line = desk.line
        return line.previous if line.present and line.present.name == plan.target.name else line.present
    if desk.owner is None or plan.kept is None:
        return None
    known = _known(desk, plan.kept.name) or _known(desk, desk.owner.name)
    card = card_here(desk.owner)
    here = card.with_precision(desk.owner.precision).fingerprint if card is not None else None
    return Served(
        name=plan.kept.name,
        fingerprint=(_fingerprint_served(desk, dim) if ask else None)
        or here
        or (known.fingerprint if known else None),
        entry=entry_of(plan.kept.model_copy(update={"aliases": ()})),
        rest=known.rest if known and known.rest else resting(desk.owner),
    )


def _fingerprint_served(desk: Desk, dim: int | None) -> str | None:
    """Of the model that answers now. Says where its vectors have not the ``dim`` of the one that is to come."""
    if desk.server is None:
        return None
    try:
        answer = desk.server.embed(desk.alias, ["umekomi"], role="raw", patient=True)
    except UmekomiError as error:
        desk.notify(f"the present model does not answer, so its fingerprint is not known: {error}")
        return None
    now = answer.vectors.shape[1]
    if dim is not None and now != dim:
        desk.notify(f"{desk.alias} gives vectors of {now} dimensions now, and will give {dim}")
    return answer.fingerprint or None


def _known(desk: Desk, name: str) -> Served | None:
    """A model as the history knows it first: with the settings that it had before any promotion."""
    events = (model for event in desk.history.events for model in (event.before, event.model))
    return next((model for model in events if model is not None and model.name == name), None)


def _resting(desk: Desk, event: Event) -> dict[str, Mapping[str, Any]]:
    """Models that no alias needs at hand once ``event`` is done, with the settings that they had before.

    Where one model at a time is to be in memory, that is also the one before the present.
    """
    done = replace(event, step="rolled back" if event.back else "promoted")
    events = (*desk.history.events, done)
    lines = [line_of(events, alias) for alias in {each.alias for each in events}]
    needed = [line.present for line in lines]
    if not desk.settings.single_active:
        needed += [line.previous for line in lines]
    at_hand = {served.name for served in needed if served is not None}
    met = (served for each in events for served in (each.before, each.model) if served is not None)
    rests: dict[str, Mapping[str, Any]] = {}
    for served in met:
        if served.name not in at_hand and served.rest:
            rests.setdefault(served.name, served.rest)
    return rests


def stale_fingerprints(desk: Desk, model: ModelSettings, event: Event) -> tuple[str, ...]:
    """Of all that has answered to the alias, in every precision that is known, but not of ``model``."""
    right = {event.model.fingerprint} | _all_of(model)
    wrong: dict[str, None] = {}
    for each in (*desk.history.events, event):
        if each.alias == event.alias:
            wrong |= {
                served.fingerprint: None for served in (each.before, each.model) if served and served.fingerprint
            }
    going = desk.owner if desk.owner is not None and desk.owner.name != model.name else None
    wrong |= dict.fromkeys(_all_of(going)) if going is not None else {}
    return tuple(fingerprint for fingerprint in wrong if fingerprint not in right)


def _all_of(model: ModelSettings) -> set[str]:
    card = card_here(model)
    return set(fingerprints_of(card)) if card is not None else set()
