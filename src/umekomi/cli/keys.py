"""``umekomi keys``: make, list and revoke the API keys of a server on this machine, running or not."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from umekomi.cli import options
from umekomi.errors import InvalidInput

if TYPE_CHECKING:
    from umekomi.config import Settings
    from umekomi.serve.access.keys import Key, KeyStore

keys_app = typer.Typer(
    help="Make, list and revoke API keys. With the first key, every request needs one.", no_args_is_help=True
)

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="umekomi.yaml; else $UMEKOMI_CONFIG, else the defaults.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON Lines instead of a table.")]


@keys_app.command()
def create(
    name: Annotated[
        str, typer.Option("--name", "-n", help="Whom or what the key is for; shown in lists and logs.")
    ],
    models: Annotated[
        str | None, typer.Option("--models", help="Models that it may use, separated by commas; else all.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option("--requests-per-minute", min=1, help="Requests a minute; else no limit.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option("--tokens-per-minute", min=1, help="Tokens a minute; else no limit.")
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", help="How long it is valid (30d, 12h, 90m, 2w), or from which date no longer."),
    ] = None,
    config: Config = None,
) -> None:
    """Make a key and print it. It is shown this once; only its hash is kept."""
    expires_at = _expiry(expires, datetime.now(UTC)) if expires else None
    allowed = [model.strip() for model in models.split(",")] if models is not None else None
    store, settings = _open(config)
    with store:
        new = store.create(
            name,
            models=allowed,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            expires_at=expires_at,
        )
    served = {each for model in settings.with_defaults().models for each in (model.name, *model.aliases)}
    for unknown in set(allowed or ()) - served:
        options.notify(f"note: no model of this configuration is called '{unknown}'")
    options.notify(
        f"'{name}' may use {models or 'every model'}{_until(new.key)}; keep the key, it is not shown again"
    )
    sys.stdout.write(new.secret + "\n")


@keys_app.command("list")
def list_keys(config: Config = None, as_json: AsJson = False) -> None:
    """Show every key by its prefix, revoked and expired ones too."""
    now = datetime.now(UTC)
    with _open(config)[0] as store:
        keys = store.list()
    if as_json:
        for key in keys:
            sys.stdout.write(json.dumps(_record(key, now), ensure_ascii=False) + "\n")
    else:
        _print_table(keys, now)


@keys_app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Name, prefix or the key itself.")], config: Config = None
) -> None:
    """Revoke a key. A running server refuses it from its next request on."""
    with _open(config)[0] as store:
        revoked = store.revoke(key)
    options.notify(f"revoked '{revoked.name}' ({revoked.prefix})")


def _open(config: Path | None) -> tuple[KeyStore, Settings]:
    from umekomi.config import load_settings
    from umekomi.serve.access.keys import KeyStore

    settings = load_settings(config)
    return KeyStore(settings.keys.database), settings


def _expiry(text: str, now: datetime) -> datetime:
    """The time that ``30d`` or ``2027-04-01`` means; a date without a zone is in this machine's."""
    try:
        if (span := options.span(text)) is not None:
            return now + span
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"--expires {text}: neither a span such as 30d, 12h, 90m or 2w, nor a date such as 2027-04-01",
            param="expires",
        ) from None


def _until(key: Key) -> str:
    return f" until {key.expires_at.astimezone():%Y-%m-%d %H:%M %Z}" if key.expires_at else ""


def _record(key: Key, now: datetime) -> dict[str, object]:
    return {
        "name": key.name,
        "prefix": key.prefix,
        "state": key.state(now),
        "models": key.models,
        "requests_per_minute": key.requests_per_minute,
        "tokens_per_minute": key.tokens_per_minute,
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "expires_at": key.expires_at and key.expires_at.isoformat(timespec="seconds"),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(timespec="seconds"),
    }


def _print_table(keys: tuple[Key, ...], now: datetime) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("name", "prefix", "state", "models", "requests/min", "tokens/min", "expires")
    for key in keys:
        cells = (
            key.name,
            key.prefix,
            key.state(now),
            "all" if key.models is None else ", ".join(key.models),
            str(key.requests_per_minute or "–"),
            str(key.tokens_per_minute or "–"),
            f"{key.expires_at.astimezone():%Y-%m-%d %H:%M}" if key.expires_at else "never",
        )
        table.add_row(*map(Text, cells))
    Console().print(table)
