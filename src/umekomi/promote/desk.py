"""What a promotion reads before it changes anything: the file, its history, and the server that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from umekomi.config import ModelSettings, Settings, api_key
from umekomi.errors import ConfigError, UpstreamError
from umekomi.promote.configuration.config_file import ConfigFile
from umekomi.promote.planning import Models, explicit_models, find_owner
from umekomi.promote.records.history import Event, History, Line
from umekomi.promote.running import RunningServer, ServedName, is_here, root_of

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an alias is switched.

    config     umekomi.yaml; made where there is none
    base_url   the server that reads it; None: where the file says that it listens, if one does
    file_only  ask no server: the file takes effect at the next start or reload
    """

    config: Path
    base_url: str | None = None
    file_only: bool = False


@dataclass(frozen=True, slots=True)
class Desk:
    """The state before a switch; ``owner`` is who answers to ``alias``.

    ``models`` are those of the file, or the starters where it names none.
    """

    alias: str
    file: ConfigFile
    text: str | None
    settings: Settings
    models: Models
    owner: ModelSettings | None
    history: History
    server: RunningServer | None
    served: dict[str, ServedName]
    notify: Notify

    @property
    def line(self) -> Line:
        return self.history.line(self.alias)

    def settle(self) -> Event | None:
        """Write down how a switch ended whose command was killed. Returns it where it had moved the alias."""
        pending = self.line.pending
        if pending is None:
            return None
        what = "rollback" if pending.back else "promotion"
        if self.owner is not None and self.owner.name == pending.model.name:
            ended = replace(pending, step="rolled back" if pending.back else "promoted")
            self.history.add(ended)
            self.notify(f"the {what} to {pending.model.name} of {pending.at} was interrupted; it is completed now")
            return ended
        self.history.add(replace(pending, step="given up", reason="interrupted before the file was changed"))
        self.notify(
            f"the {what} to {pending.model.name} of {pending.at} was interrupted before it changed anything"
        )
        return None


@contextmanager
def open_desk(alias: str, place: Place, *, notify: Notify, write: bool = True) -> Iterator[Desk]:
    """Lock the file and look at everything. Raises `ConfigError`, `StoreError`, and as `RunningServer`.

    Without ``write``, nothing is locked, and no server is told to reload.
    """
    file = ConfigFile(place.config)
    with ExitStack() as stack:
        if write:
            file.check_writable()
            stack.enter_context(file.lock())
        text = file.read()
        settings = file.parse(text)
        server = _find_server(place, settings, stack, notify=notify)
        served: dict[str, ServedName] = {}
        if server is not None:
            served = server.served()
            if write:  # what it may do, and what of the file it does not serve yet, is told before the file changes
                server.reload()
                served = server.served()
        models = explicit_models(settings, served)
        owner = _owner(alias, settings, models, served)
        desk = Desk(alias, file, text, settings, models, owner, History(file.path), server, served, notify)
        _check_reads(desk)
        yield desk


def _find_server(place: Place, settings: Settings, stack: ExitStack, *, notify: Notify) -> RunningServer | None:
    if place.file_only:
        return None
    root = place.base_url or root_of(settings.server)
    if root is None:
        raise ConfigError(
            f"{place.config}: the server takes any free port (server.port is 0); name its address with --base-url, "
            "or change the file alone with --file-only"
        )
    if place.base_url is None and not is_here(settings.server):
        # The key in the environment is for the user's own server, and not for whatever a file may name.
        raise ConfigError(
            f"{place.config}: server.host '{settings.server.host}' is no address of this machine; if the server "
            "runs on another one, name it with --base-url, or change the file alone with --file-only"
        )
    server = stack.enter_context(RunningServer(root, api_key=api_key()))
    if server.runs():
        return server
    if place.base_url is not None:
        raise UpstreamError(f"{server.root}: no server answers there; start it, or use --file-only")
    notify(f"no server runs at {server.root}, so only {place.config} is changed")
    return None


def _owner(alias: str, settings: Settings, models: Models, served: dict[str, ServedName]) -> ModelSettings | None:
    """By the file; a name that it does not spell out, as those of OpenAI on the default model, by the server."""
    if (owner := find_owner(models, alias)) is not None:
        return owner
    if served:
        name = served[alias].model if alias in served else None
    else:
        implied = find_owner(settings.with_defaults().models, alias)
        name = implied.name if implied is not None else None
    return next((model for model in models if model.name == name), None)


def _check_reads(desk: Desk) -> None:
    """Raises `ConfigError` unless the server, where there is one, serves what the file says."""
    if desk.server is None:
        return
    running = {entry.model for entry in desk.served.values()}
    missing = [model.name for model in desk.models if model.name not in running]
    if missing:
        raise reads_another(desk.server, desk.file, f"the file names {missing[0]}, which the server does not serve")
    entry = desk.served.get(desk.alias)
    answering = entry.model if entry is not None else None
    if answering != (desk.owner.name if desk.owner is not None else None):
        said = desk.owner.name if desk.owner is not None else "no model"
        raise reads_another(
            desk.server, desk.file, f"{desk.alias} is {said} in the file, and {answering or 'nothing'} there"
        )


def reads_another(server: RunningServer, file: ConfigFile, why: str) -> ConfigError:
    return ConfigError(
        f"{server.root} does not serve what {file.shown} says: {why}. Was it started with another --config, "
        "without one, or with names of models? Name its file with --config or its address with --base-url, or "
        "change the file alone with --file-only and start the server with it"
    )
