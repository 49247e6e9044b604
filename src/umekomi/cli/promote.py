"""``umekomi promote``, ``rollback`` and ``history``: which model answers to a name, switched under traffic."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options
from umekomi.errors import ConfigError, StoreError
from umekomi.types import Precision

if TYPE_CHECKING:
    from umekomi.config import Settings
    from umekomi.promote.desk import Place
    from umekomi.promote.promoting import Outcome
    from umekomi.promote.records.past import Period

DEFAULT_CONFIG = Path("umekomi.yaml")

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="umekomi.yaml; else $UMEKOMI_CONFIG, else the one in this folder."),
]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", help="The server that reads the file; else where the file says that it listens."),
]
FileOnly = Annotated[
    bool, typer.Option("--file-only", help="Ask no server: the change takes effect at its next start or reload.")
]
Indexes = Annotated[
    list[Path] | None,
    typer.Option(
        "--indexes",
        help="Folder in which to look for vectors of the model before; repeat it. This folder by default.",
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name that clients ask for.")]


def promote(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="What umekomi train has written.")],
    alias: Annotated[str, typer.Option("--alias", "-a", help="The name that clients ask for; a new one is made.")],
    config: Config = None,
    force: Annotated[
        str | None,
        typer.Option(
            "--force", metavar="REASON", help="Promote without the verdict IMPROVED; the reason is recorded."
        ),
    ] = None,
    base_url: BaseUrl = None,
    file_only: FileOnly = False,
    precision: Annotated[
        Precision | None, typer.Option("--precision", help="Of the served model; as the name has it by default.")
    ] = None,
    indexes: Indexes = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change in the file, and change nothing.")
    ] = False,
) -> None:
    """Serve a trained model under a name, in one step under traffic; undone where anything is wrong.

    Standard output gets the commands that embed anew what the model before has embedded.
    """
    from umekomi.promote.promoting import promote as promote_model

    place = _place(config, base_url, file_only)
    outcome = promote_model(
        folder,
        alias,
        place,
        force=force,
        precision=precision,
        trial=dry_run,
        foresee=_tell_keys,
        notify=options.notify,
    )
    if outcome.diff is not None:
        for line in outcome.diff.split("\n"):
            typer.echo(options.printable(line), err=True)
        options.notify("nothing was changed")
    else:
        _tell(outcome, place)
    _tell_stale(outcome, indexes)


def rollback(
    alias: Name,
    config: Config = None,
    base_url: BaseUrl = None,
    file_only: FileOnly = False,
    indexes: Indexes = None,
) -> None:
    """Serve the model again that answered to a name before the last promotion."""
    from umekomi.promote.promoting import rollback as roll_back

    place = _place(config, base_url, file_only)
    outcome = roll_back(alias, place, foresee=_tell_keys, notify=options.notify)
    _tell(outcome, place)
    _tell_stale(outcome, indexes)


def history(
    alias: Name,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines instead of a table.")] = False,
) -> None:
    """Show which model answered to a name and when, with the verdicts, and what the file says now."""
    from umekomi.promote.records.past import read_past

    past = read_past(alias, _place(config, None, True).config)
    if past.unread:
        options.notify(f"{past.unread} lines of {past.path} cannot be read, and are left out")
    if as_json:
        for period in past.periods:
            sys.stdout.write(json.dumps(period.as_json(), ensure_ascii=False) + "\n")
    else:
        _print_table(past.periods)
    for finding in past.findings:
        options.notify(finding)


def _place(config: Path | None, base_url: str | None, file_only: bool) -> Place:
    from umekomi.config import named_config
    from umekomi.promote.desk import Place

    if base_url is not None and file_only:
        raise ConfigError("--base-url names a server and --file-only asks none; use one of them")
    return Place(config=config or named_config() or DEFAULT_CONFIG, base_url=base_url, file_only=file_only)


def _tell_keys(before: Settings, after: Settings) -> None:
    """Say which keys lose a name with the switch: a key for one name of a model may ask for all of them."""
    from umekomi.serve.access.keys import KeyStore

    database = before.keys.database
    if not database.exists():
        return
    try:
        with KeyStore(database) as store:
            keys = store.list()
    except StoreError as error:  # as where the server runs as somebody else: no reason not to switch
        options.notify(f"nobody looked whether a key loses a name: {error}")
        return
    for key in keys:
        if key.models is None or key.state(datetime.now(UTC)) != "active":
            continue
        kept = {name for names in _names(after) if key.allows(*names) for name in names}
        lost = {name for names in _names(before) if key.allows(*names) for name in names} - kept
        if lost:
            options.notify(
                f"the key '{key.name}' ({key.prefix}) is for {', '.join(key.models or ())}, and may not ask for "
                f"{', '.join(sorted(lost))} from the switch on; make one that may: umekomi keys create --models"
            )


def _names(settings: Settings) -> Iterable[tuple[str, ...]]:
    return ((model.name, *model.aliases) for model in settings.with_defaults().models)


def _tell(outcome: Outcome, place: Place) -> None:
    name, model = outcome.alias, outcome.model.name
    if outcome.already:
        options.notify(f"{name} answers from {model} already; nothing was to do")
    elif outcome.server is not None:
        options.notify(f"{name} answers from {model} now, at {outcome.server}")
    else:
        options.notify(
            f"{place.config}: {name} is {model} now; it takes effect at the server's next start or reload"
        )
    if outcome.before is None or outcome.already:
        return
    if outcome.cold:
        options.notify(f"the memory set does not hold both: {outcome.before} is loaded again when it is asked for")
    command = shlex.join(["umekomi", "rollback", name, "--config", str(place.config)])
    back = "" if outcome.back else f"; back to it: {command}"
    options.notify(f"before, it was {outcome.before}, which is served under that name{back}")


def _tell_stale(outcome: Outcome, indexes: list[Path] | None) -> None:
    from umekomi.promote.indexes import find_stale

    if outcome.before is None and not outcome.stale:
        return
    if not outcome.stale:
        options.notify(f"the fingerprint of {outcome.before} is not known; embed anew what it has embedded")
        return
    search = find_stale(indexes or [Path()], outcome.stale, outcome.model)
    where = ", ".join(str(folder.resolve()) for folder in search.folders)
    if not search.whole:
        options.notify(f"too many files below {where}: not all were looked at; name smaller folders with --indexes")
    if not search.stale:
        options.notify(
            f"no vectors of another model of {outcome.alias} lie below {where} (look elsewhere: --indexes)"
        )
        return
    options.notify("made by another model, and not comparable with what is served now:")
    for each in search.stale:
        count = f" ({each.count} texts)" if each.count is not None else ""
        options.notify(
            f"  {each.path}{count}" + ("" if each.command else ": its texts were not noted; embed them anew")
        )
    for each in search.stale:
        if each.command:
            typer.echo(options.printable(each.command))


def _print_table(periods: tuple[Period, ...]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading, whole in (("from", True), ("until", True), ("model", False), ("verdict", True), ("how", False)):
        table.add_column(heading, no_wrap=whole, overflow="fold")
    for period in periods:
        cells = (_minute(period.since), _minute(period.until), period.model, period.verdict or "", period.how)
        table.add_row(*(Text(options.printable(cell)) for cell in cells))
    Console().print(table)


def _minute(at: str | None) -> str:
    """A time of the history on this machine's clock."""
    try:
        return f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M}" if at else ""
    except ValueError:
        return str(at)
