"""`promote` and `rollback`: which model is to answer to an alias, and the switch to it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from umekomi.config import ModelSettings, Settings
from umekomi.errors import ConfigError, InvalidInput, UmekomiError, UpstreamError
from umekomi.promote.checking import PROBES, check_answers, check_origin, embed_probes
from umekomi.promote.choosing import check_files, check_kind, choose_returning, choose_target
from umekomi.promote.desk import Desk, Notify, Place, open_desk
from umekomi.promote.drafting import draft, stale_fingerprints
from umekomi.promote.planning import Plan, check_alias
from umekomi.promote.proof import fingerprints_of, read_proof
from umekomi.promote.records.history import Event, Line
from umekomi.promote.running import Answer, RunningServer
from umekomi.promote.switching import Check, plan_texts, switch
from umekomi.types import Precision

Foresee: TypeAlias = Callable[[Settings, Settings], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a switch came to.

    model    who answers to ``alias`` now
    before   who did; None for nobody
    stale    fingerprints that vectors of the models before may have, and those of this one have not
    server   None where only the file was changed
    back     whether it is a rollback
    already  whether ``model`` answered before, so that nothing was to do
    cold     whether the model before is not in memory any more
    diff     of a trial, which changes nothing: what would change in the file
    """

    alias: str
    model: ModelSettings
    before: str | None
    stale: tuple[str, ...]
    server: str | None
    back: bool = False
    already: bool = False
    cold: bool = False
    diff: str | None = None


def promote(
    folder: Path,
    alias: str,
    place: Place,
    *,
    force: str | None = None,
    precision: Precision | None = None,
    trial: bool = False,
    foresee: Foresee = lambda before, after: None,
    notify: Notify,
) -> Outcome:
    """Let ``alias`` answer from the model that ``umekomi train`` wrote into ``folder``.

    ``precision``: as the alias has it by default. ``trial`` changes nothing. ``foresee`` gets what the file says
    and what it will say, before it does. Raises as `read_proof`, `open_desk` and `switch` do; then everything is as
    it was.
    """
    check_alias(alias)
    proof = read_proof(folder, force=force, notify=notify)
    with open_desk(alias, place, notify=notify, write=not trial) as desk:
        check_kind(desk)
        if not trial:
            desk.settle()
        target = choose_target(desk, proof, precision)
        plan, event = draft(desk, target, proof=proof, ask=not trial)
        expected = embed_probes(
            proof.model, precision=target.precision, fingerprints=fingerprints_of(proof.card), notify=notify
        )
        _foresee(desk, plan, foresee)
        if trial:
            return replace(_outcome(desk, plan, event), diff=_diff(desk, plan))

        def check(server: RunningServer, name: str) -> Answer:
            return check_answers(server, name, expected, model=target.name, patient=True)

        return _carry_out(desk, plan, event, check)


def rollback(alias: str, place: Place, *, foresee: Foresee = lambda before, after: None, notify: Notify) -> Outcome:
    """Let ``alias`` answer from the model that did before the present one. Raises as `promote` does."""
    check_alias(alias)
    with open_desk(alias, place, notify=notify) as desk:
        finished = desk.settle()
        line = desk.line
        if finished is not None and finished.back:  # the same command, killed on its way: that one is completed
            returning = line.present
        else:
            _check_line(desk, line)
            returning = line.previous
        if returning is None:
            raise InvalidInput(f"{alias}: no model answered before {line.present and line.present.name}")
        target = choose_returning(desk, returning)
        allowed = check_files(target, returning.fingerprint)
        plan, event = draft(desk, target, back=True)
        _foresee(desk, plan, foresee)

        def check(server: RunningServer, name: str) -> Answer:
            answer = server.embed(name, PROBES, role="document", patient=True)
            check_origin(server, name, answer, model=target.name)
            said = f"{name} answers with the fingerprint {answer.fingerprint}"
            if allowed and answer.fingerprint not in allowed:
                raise UpstreamError(f"{server.root}: {said}, which is not that of the files in {target.open_name}")
            if name != alias and returning.fingerprint not in (None, answer.fingerprint):
                notify(
                    f"{said}, and with {returning.fingerprint} when it was served before: its vectors may differ"
                )
            return answer

        return _carry_out(desk, plan, event, check)


def _foresee(desk: Desk, plan: Plan, foresee: Foresee) -> None:
    if not plan.done:
        for model in desk.models:
            if plan.alias in model.fallbacks:
                desk.notify(f"{model.name} falls back on {plan.alias}, which gives other vectors from now on")
        before = desk.settings.model_copy(update={"models": desk.models})
        foresee(before, before.model_copy(update={"models": plan.switched}))


def _check_line(desk: Desk, line: Line) -> None:
    """Raises `InvalidInput` where there is nothing to go back to, `ConfigError` where it cannot be told to what."""
    alias = desk.alias
    if line.present is None:
        raise InvalidInput(
            f"{alias}: no promotion of it is written in {desk.history.path}; promoted so far: "
            f"{', '.join(desk.history.aliases) or 'nothing'}"
        )
    answering = desk.owner.name if desk.owner is not None else None
    if answering != line.present.name:
        raise ConfigError(
            f"{desk.file.shown}: {alias} is {answering or 'nobody'} there, and {line.present.name} was promoted "
            "last: the file was edited since, and what to go back to cannot be told. Move the alias by "
            "hand, or promote"
        )


def _carry_out(desk: Desk, plan: Plan, event: Event, check: Check) -> Outcome:
    if not plan.done:
        ended = switch(desk, plan, event, check)
        return _outcome(desk, plan, ended)
    if desk.server is not None:
        check(desk.server, plan.alias)
    present = desk.line.present
    if present is None or present.name != plan.target.name:  # moved by hand: from now on the history knows it
        desk.history.add(replace(event, step="rolled back" if event.back else "promoted"))
    return replace(_outcome(desk, plan, event), already=True)


def _outcome(desk: Desk, plan: Plan, event: Event) -> Outcome:
    return Outcome(
        alias=plan.alias,
        model=plan.target,
        before=event.before.name if event.before else None,
        stale=stale_fingerprints(desk, plan.target, event),
        server=desk.server.root if desk.server else None,
        back=event.back,
        cold=_is_cold(desk, event),
    )


def _is_cold(desk: Desk, event: Event) -> bool:
    """Whether the model before has left the server's memory, as a budget that is too small for both makes it."""
    if desk.server is None or event.before is None or event.back:
        return False
    try:
        served = desk.server.served().get(event.before.name)
    except UmekomiError:
        return False
    return served is not None and served.state != "loaded"


def _diff(desk: Desk, plan: Plan) -> str:
    """What would change in the file, as `diff -u` shows it."""
    old, new = desk.text or "", plan_texts(desk, plan)[1]
    shown = str(desk.file.shown)
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), shown, shown, lineterm="")
    return "\n".join(lines)
