"""umekomi.yaml read again while the server runs: all of it or, where anything is wrong with it, nothing."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from umekomi.config import Settings
from umekomi.errors import ConfigError, UmekomiError
from umekomi.serve.residency import Changes, Policy
from umekomi.serve.service import Service

_FIXED = ("server", "keys", "request_log", "tracing")
"""Sections that take effect at start only: sockets and files that are open."""

_log = logging.getLogger("umekomi.serve")


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload has changed. ``restart_for`` names sections that differ and wait for the next start."""

    models: Changes
    restart_for: tuple[str, ...]


async def reload(service: Service) -> Reloaded:
    """Read the configuration again and serve what it says.

    Raises `ConfigError` where it is wrong; everything stays as it was then.
    """
    reread = service.reread
    if reread is None:
        raise ConfigError("this server was started without a configuration that could be read again")
    async with service.reloading:  # one at a time: what was read last counts
        try:
            new = await asyncio.to_thread(reread)
        except UmekomiError as error:
            _log.error("reload refused, the old configuration stays: %s", error)
            raise ConfigError(f"The old configuration stays: {error}") from error
        return _apply(service, new)


async def reload_and_log(service: Service) -> None:
    """As `reload`, for where nobody waits for the outcome: a wrong configuration has its line in the log."""
    try:
        await reload(service)
    except ConfigError as error:
        if service.reread is None:
            _log.error("reload refused: %s", error)
    except Exception:
        _log.exception("reload failed")


def _apply(service: Service, new: Settings) -> Reloaded:
    old = service.settings
    restart_for = tuple(section for section in _FIXED if getattr(new, section) != getattr(old, section))
    kept: dict[str, Any] = {section: getattr(old, section) for section in _FIXED}
    service.settings = new.model_copy(update=kept)
    changes = service.residency.replace(new.models, policy=Policy.of(new), reopen=new.threads != old.threads)
    _log.info(
        "reloaded: added=%s removed=%s changed=%s", *map(_names, (changes.added, changes.removed, changes.changed))
    )
    if restart_for:
        _log.warning("restart the server for the changes in: %s", ", ".join(restart_for))
    return Reloaded(changes, restart_for)


def _names(names: tuple[str, ...]) -> str:
    return ",".join(names) or "-"
