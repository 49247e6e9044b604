"""The switch itself: the model that comes is served beside the one that goes, asked, and only then given the alias.

Every step can be undone until the last has been seen to work. A request finds the old model or the new one, loaded
in either case: the server takes over its list of models between two requests, never during one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from umekomi.errors import UmekomiError, UpstreamError
from umekomi.promote.checking import check_origin
from umekomi.promote.configuration.editing import rewrite_models
from umekomi.promote.desk import Desk, reads_another
from umekomi.promote.planning import Plan
from umekomi.promote.records.history import Event
from umekomi.promote.running import Answer, RunningServer

Check = Callable[[RunningServer, str], Answer]
"""Asks a name of the server and raises unless the right model answers."""


def plan_texts(desk: Desk, plan: Plan) -> tuple[str, str]:
    """What the file will say while the new model is tried, and after the switch. Raises `ConfigError`."""
    text = desk.text or ""
    staged = rewrite_models(text, plan.staged, parse=desk.file.parse)
    return staged, rewrite_models(text, plan.switched, parse=desk.file.parse, renamed=plan.renamed)


def switch(desk: Desk, plan: Plan, event: Event, check: Check) -> Event:
    """Move the alias as ``plan`` says. Returns ``event`` as it was written into the history.

    Where anything goes wrong, the file and the server are as they were, and the error is raised.
    """
    staged, switched = plan_texts(desk, plan)
    ended = replace(event, step="rolled back" if event.back else "promoted")
    if desk.server is None:
        desk.history.add(replace(event, step="begun"))
        desk.file.write(switched, over=desk.text)
        desk.history.add(ended)
        return ended
    begun = False
    try:
        desk.file.write(staged, over=desk.text)
        _stage(desk, desk.server, plan, check)
        desk.history.add(replace(event, step="begun"))
        begun = True
        desk.file.write(switched, over=staged)
        _move(desk.server, plan, check)
        desk.history.add(ended)
    except BaseException as error:
        _undo(desk, desk.server, plan, (staged, switched))
        if begun:
            with suppress(UmekomiError):
                desk.history.add(replace(event, step="given up", reason=str(error) or type(error).__name__))
        raise
    return ended


def _stage(desk: Desk, server: RunningServer, plan: Plan, check: Check) -> None:
    """Serve what comes beside what is there, and wait until it answers."""
    desk.notify(f"loading {plan.target.name} beside {plan.owner.name if plan.owner else 'the others'}")
    changed = server.reload()["models"]
    if gone := _names(changed, "removed"):
        raise UpstreamError(f"{server.root}: the reload took {', '.join(gone)} away, which the file still names")
    served = server.served()
    for name in plan.new:
        if name not in served:
            raise reads_another(server, desk.file, f"{name} was added to the file, and is not served")
    if plan.renamed and plan.kept is not None:
        desk.notify(f"loading {plan.kept.name}, under which {plan.alias} stays at hand")
        copy = server.embed(plan.kept.name, ["umekomi"], role="raw", patient=True)
        check_origin(server, plan.kept.name, copy, model=plan.kept.name)
    check(server, plan.target.name)


def _move(server: RunningServer, plan: Plan, check: Check) -> None:
    """The one step that clients see, and whether they see it."""
    server.reload()
    answering = server.served().get(plan.alias)
    if answering is None or answering.model != plan.target.name:
        raise UpstreamError(f"{server.root}: after its reload, {plan.alias} is not {plan.target.name}")
    check(server, plan.alias)


def _undo(desk: Desk, server: RunningServer, plan: Plan, ours: tuple[str, str]) -> None:
    """The file as it was, and the server with it; says what could not be undone. Raises nothing."""
    owner = plan.owner.name if plan.owner is not None else None
    shown = desk.file.shown
    try:
        now = desk.file.read()
        if now not in (desk.text, *ours):
            desk.notify(
                f"{shown} was changed by somebody else in the meantime, and is left as it is: look for "
                f"{plan.target.name} in it"
            )
            return
        desk.file.restore(desk.text, over=now)
        with suppress(UmekomiError):
            server.reload()
        served = server.served().get(plan.alias)
    except UmekomiError as error:
        desk.notify(f"not undone as a whole: {error}; look at {shown}, then reload the server")
        return
    if (served.model if served is not None else None) == owner:
        desk.notify(f"undone: {plan.alias} answers from {owner or 'nothing'} as before, and {shown} is as it was")
    else:
        desk.notify(f"{shown} is as it was, and the server does not follow it: reload or restart it")


def _names(changed: Mapping[str, Any], key: str) -> list[str]:
    return [str(name) for name in changed.get(key) or ()]
