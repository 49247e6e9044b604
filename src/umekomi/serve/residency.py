"""Which models are in memory: names to settings, settings to open embedders, each loaded once.

Belongs to one event loop; only the loading itself happens in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from umekomi.config import ModelSettings
from umekomi.embedding.embedder import Embedder, open_embedder
from umekomi.errors import EngineError, UmekomiError, Unavailable, UnknownModel

LOAD_RETRY_S = 10.0
"""How long a failed load is not tried again."""

State: TypeAlias = Literal["unloaded", "loading", "loaded", "failed"]
OpenModel: TypeAlias = Callable[[ModelSettings], Embedder]

_LOAD_THREAD = "umekomi-load"

_log = logging.getLogger("umekomi.serve")


@dataclass(slots=True)
class Resident:
    """One served model and what is known of its loading. ``failed_at`` is on the monotonic clock."""

    settings: ModelSettings
    embedder: Embedder | None = None
    loading: asyncio.Task[Embedder] | None = None
    failure: UmekomiError | None = None
    failed_at: float = 0.0
    load_seconds: float | None = None
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.names = (self.settings.name, *self.settings.aliases)

    @property
    def state(self) -> State:
        if self.embedder is not None:
            return "loaded"
        if self.loading is not None:
            return "loading"
        return "failed" if self.failure is not None else "unloaded"


class Residency:
    """The served models. `resolve` is quick and starts nothing; `lease` opens a model at its first use."""

    def __init__(self, models: Iterable[ModelSettings], *, open_model: OpenModel) -> None:
        self._residents = [Resident(settings) for settings in models]
        self._by_name = {name: resident for resident in self._residents for name in resident.names}
        self._open_model = open_model
        self._closed = False

    @property
    def residents(self) -> tuple[Resident, ...]:
        """In the order of the configuration."""
        return tuple(self._residents)

    @property
    def names(self) -> Mapping[str, Resident]:
        """Every name and alias that clients may ask for."""
        return self._by_name

    def resolve(self, name: str) -> Resident:
        """The model behind a name or an alias. Raises `UnknownModel` in OpenAI's words."""
        resident = self._by_name.get(name)
        if resident is None:
            raise UnknownModel(f"The model `{name}` does not exist or you do not have access to it.")
        return resident

    @asynccontextmanager
    async def lease(self, resident: Resident) -> AsyncIterator[Embedder]:
        """The open model for as long as the block runs; opens it first where it is not in memory.

        Everyone who asks while it loads waits for the same load. Raises `Unavailable` where loading failed, at once
        if that was less than `LOAD_RETRY_S` ago.
        """
        yield resident.embedder or await self._opened(resident)

    async def preload(self) -> None:
        """Open every model with ``preload``. Raises the first failure where none of them could be opened."""
        wanted = [resident for resident in self._residents if resident.settings.preload]
        for resident in wanted:  # one after the other: two loads at once take as long and more memory
            with contextlib.suppress(Unavailable):
                await self._opened(resident)
        failures = [resident.failure for resident in wanted if resident.failure is not None]
        if failures and len(failures) == len(wanted):
            raise failures[0]

    async def close(self) -> None:
        """Give back every model. A load still running is left to its thread, which closes what it opened."""
        self._closed = True
        for resident in self._residents:
            if resident.loading is not None:
                resident.loading.cancel()
            if resident.embedder is not None:
                embedder, resident.embedder = resident.embedder, None
                await asyncio.to_thread(embedder.close)

    async def _opened(self, resident: Resident) -> Embedder:
        if self._closed:
            raise Unavailable("The server is shutting down; try again on another or later.")
        if resident.loading is None:
            self._refuse_during_cooldown(resident)
            resident.loading = asyncio.create_task(self._load(resident))
            resident.loading.add_done_callback(_retrieve)
        # Shielded: a client that goes away while it waits must not stop the load for the others.
        return await asyncio.shield(resident.loading)

    def _refuse_during_cooldown(self, resident: Resident) -> None:
        left = resident.failed_at + LOAD_RETRY_S - time.monotonic()
        if resident.failure is not None and left > 0:
            raise _unavailable(resident, left) from resident.failure

    async def _load(self, resident: Resident) -> Embedder:
        name = resident.settings.name
        _log.info("loading model=%s precision=%s", name, resident.settings.precision)
        started = time.monotonic()
        try:
            embedder = await _in_daemon_thread(lambda: self._open_model(resident.settings))
        except Exception as error:
            failure = (
                error if isinstance(error, UmekomiError) else EngineError(f"{name}: loading failed: {error!r}")
            )
            resident.failure, resident.failed_at = failure, time.monotonic()
            unexpected = None if isinstance(error, UmekomiError) else error
            _log.error("load failed model=%s: %s", name, failure, exc_info=unexpected)
            raise _unavailable(resident, LOAD_RETRY_S) from failure
        finally:
            resident.loading = None
        resident.embedder, resident.failure = embedder, None
        resident.load_seconds = time.monotonic() - started
        _log.info(
            "loaded model=%s seconds=%.2f fingerprint=%s", name, resident.load_seconds, embedder.card.fingerprint
        )
        return embedder


def open_from_settings(settings: ModelSettings, *, threads: int | None) -> Embedder:
    """The embedder that ``settings`` describe. Raises what `open_embedder` raises."""
    return open_embedder(
        settings.open_name,
        precision=settings.precision,
        threads=threads,
        prompts=dict[str, str](settings.prompts.items()) or None,
        engine=settings.engine,
        notify=lambda message: _log.warning("model=%s: %s", settings.name, message),
    )


def is_loading() -> bool:
    """Whether a load is running in this process, perhaps one that nobody waits for any more."""
    return any(thread.name == _LOAD_THREAD for thread in threading.enumerate())


def _unavailable(resident: Resident, retry_after_s: float) -> Unavailable:
    return Unavailable(
        f"The model `{resident.settings.name}` could not be loaded; the server's log tells why.",
        retry_after_s=retry_after_s,
    )


def _retrieve(task: asyncio.Task[Embedder]) -> None:
    """Mark a failed load's error as seen: all who waited for it may have gone."""
    if not task.cancelled():
        task.exception()


async def _in_daemon_thread(open_model: Callable[[], Embedder]) -> Embedder:
    """``open_model()`` in a thread of its own, which does not keep a stopping process alive as a pool's would.

    Cancelling waits for nothing; what the thread opens afterwards it closes again.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Embedder] = loop.create_future()

    def deliver(embedder: Embedder | None, error: BaseException | None) -> None:
        if outcome.done():
            if embedder is not None:
                threading.Thread(target=embedder.close, daemon=True).start()
        elif embedder is not None:
            outcome.set_result(embedder)
        else:
            outcome.set_exception(error or RuntimeError("nothing was opened"))

    def work() -> None:
        embedder: Embedder | None = None
        failure: BaseException | None = None
        try:
            embedder = open_model()
        except BaseException as error:
            failure = error
        try:
            loop.call_soon_threadsafe(deliver, embedder, failure)
        except RuntimeError:  # the loop has been closed: the server is gone
            if embedder is not None:
                embedder.close()

    threading.Thread(target=work, name=_LOAD_THREAD, daemon=True).start()
    return await outcome
