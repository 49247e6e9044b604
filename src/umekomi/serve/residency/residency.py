"""`Residency`: names to models, models into memory at their first use and out of it again.

Belongs to one event loop; only opening and closing happen in threads. Time comes from a monotonic clock that tests
replace.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from umekomi.config import ModelSettings
from umekomi.errors import EngineError, UmekomiError, Unavailable, UnknownModel
from umekomi.serve.residency.changes import Changes, opens_alike, plan_changes
from umekomi.serve.residency.eviction import Policy, plan_idle, plan_room, plan_trim
from umekomi.serve.residency.loading import close_in_thread, memory_in_use_bytes, open_in_thread, return_free_memory
from umekomi.serve.residency.resident import OpenedModel, OpenModel, Resident

BUSY_S = 600.0
"""A model on which requests run and none has finished for this long is reported as stuck."""

ROOM_WAIT_S = 30.0
"""How long a load waits for requests on other models to end, where those have to make room."""

ROOM_RETRY_S = 5.0
SWEEP_S = 1.0
LET_GO_S = 0.05
"""The thread that closed a model lets go of it a moment after it has said so."""

CLOSE_WAIT_S = 10.0
"""How long a stopping server waits for its models to close."""

_log = logging.getLogger("umekomi.serve")


class Residency:
    """The served models. `resolve` is quick and starts nothing; `lease` opens a model at its first use."""

    def __init__(
        self,
        models: Iterable[ModelSettings],
        *,
        open_model: OpenModel,
        policy: Policy | None = None,
        clock: Callable[[], float] = time.monotonic,
        memory_bytes: Callable[[], int] = memory_in_use_bytes,
    ) -> None:
        self._residents = [Resident(settings) for settings in models]
        self._retired: list[Resident] = []
        self._by_name = _by_name(self._residents)
        self._open_model = open_model
        self._policy = policy or Policy()
        self._clock = clock
        self._memory_bytes = memory_bytes
        self._changed = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._closed = False
        self._last_hope: Resident | None = None

    @property
    def residents(self) -> tuple[Resident, ...]:
        """In the order of the configuration."""
        return tuple(self._residents)

    @property
    def names(self) -> Mapping[str, Resident]:
        """Every name and alias that clients may ask for."""
        return self._by_name

    @property
    def stuck(self) -> tuple[Resident, ...]:
        """Models on which requests run and none has finished for `BUSY_S`, those no longer served included.

        Never a remote one: its time limits end what gets nowhere, and another server's trouble is not this one's.
        """
        return tuple(resident for resident in self._all() if self._is_stuck(resident))

    def busy_s(self, resident: Resident) -> float:
        """Seconds for which requests have run on a model without any of them finishing."""
        return resident.uses.busy_s(self._clock())

    def _is_stuck(self, resident: Resident) -> bool:
        return not resident.is_remote and self.busy_s(resident) >= BUSY_S

    def resolve(self, name: str) -> Resident:
        """The model behind a name or an alias. Raises `UnknownModel` in OpenAI's words."""
        resident = self._by_name.get(name)
        if resident is None:
            raise UnknownModel(f"The model `{name}` does not exist or you do not have access to it.")
        return resident

    @asynccontextmanager
    async def lease(self, resident: Resident) -> AsyncIterator[OpenedModel]:
        """The open model for as long as the block runs; opens it first where it is not in memory.

        Everyone who asks while it loads waits for the same load. Until the block has ended, the model is not
        unloaded. Raises `Unavailable` where loading failed, at once if that was a moment ago, and where the models
        that would have to make room are in use for longer than `ROOM_WAIT_S`.
        """
        try:
            with resident.uses.hold(self._clock):
                model = resident.model or await self._opened(resident)
                with resident.uses.run(self._clock):
                    yield model
        finally:
            self._settle(resident)

    async def preload(self) -> None:
        """Open the models with ``preload``, as many as may be in memory together; the others wait for their use.

        Raises the last failure where none of them could be opened; that one is left to the caller to tell.
        """
        wanted = [resident for resident in self._residents if resident.settings.preload]
        for resident in wanted:  # one after the other: two loads at once take as long and more memory
            if resident.retired:  # by a reload in the meantime
                continue
            if self._fits_beside_others(resident):
                none_open = not any(other.model for other in wanted)
                self._last_hope = resident if none_open and resident is wanted[-1] else None
                with contextlib.suppress(Unavailable):
                    await self._opened(resident)
                self._last_hope = None
            else:
                _log.info("not loaded at start, to keep to the memory set: model=%s", resident.settings.name)
        failures = [failure for resident in wanted if (failure := resident.cooldown.failure) is not None]
        if failures and not any(resident.model for resident in wanted):
            raise failures[-1]

    def replace(self, models: Iterable[ModelSettings], *, policy: Policy, reopen: bool = False) -> Changes:
        """Serve other models from now on. Returns what changed.

        A model that would be opened as before stays in memory, unless ``reopen``; one that would not is opened anew
        at its next use. What is no longer served is closed when the last request on it has ended. Failures are
        forgotten: whoever reloads may have mended something.
        """
        models = tuple(models)
        changes = plan_changes(self._residents, models)
        old = {resident.settings.name: resident for resident in self._residents}
        self._residents = []
        for settings in models:
            kept = old.get(settings.name)
            if kept is not None and not reopen and opens_alike(kept.settings, settings):
                kept.settings = settings
                kept.cooldown.clear()
                self._residents.append(old.pop(settings.name))
            else:
                self._residents.append(Resident(settings))
        self._by_name = _by_name(self._residents)
        self._policy = policy
        for resident in old.values():
            resident.retired = True
            self._retired.append(resident)
            self._settle(resident)
        self._trim()
        return changes

    def sweep(self) -> None:
        """Unload what is idle and report what is stuck. Called every `SWEEP_S` from the first load on."""
        for resident in plan_idle(self._all(), now=self._clock()):
            self._unload(resident, "idle")
        for resident in self._all():
            self._report(resident)
        self._notify()

    async def close(self) -> None:
        """Give back every model. A load still running is left to its thread, which closes what it opened."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        for resident in self._all():
            if resident.loading is not None:
                resident.loading.cancel()
            if resident.model is not None:
                self._unload(resident, "stopping")
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_WAIT_S)

    def _all(self) -> tuple[Resident, ...]:
        return (*self._residents, *self._retired)

    async def _opened(self, resident: Resident) -> OpenedModel:
        if self._closed:
            raise Unavailable("The server is shutting down; try again on another or later.")
        if self._watch is None:
            self._watch = asyncio.create_task(self._keep_watch())
        if resident.loading is None:
            left = resident.cooldown.left_s(self._clock())
            if left > 0:
                raise _unavailable(resident, left) from resident.cooldown.failure
            resident.loading = asyncio.create_task(self._load(resident))
            resident.loading.add_done_callback(_retrieve)
        # Shielded: a client that goes away while it waits must not stop the load for the others.
        return await asyncio.shield(resident.loading)

    async def _load(self, resident: Resident) -> OpenedModel:
        try:
            await self._make_room(resident)
            resident.opening = True
            return await self._open(resident)
        finally:
            resident.opening = False
            resident.loading = None
            self._settle(resident)

    async def _open(self, resident: Resident) -> OpenedModel:
        name = resident.settings.name
        _log.info("loading model=%s precision=%s", name, resident.settings.precision)
        started, before = self._clock(), self._memory_bytes()
        try:
            model = await open_in_thread(lambda: self._open_model(resident.settings))
        except Exception as error:
            raise self._failed(resident, error) from resident.cooldown.failure
        resident.model = model
        resident.cooldown.clear()
        resident.uses.last_used = self._clock()
        resident.load_seconds = self._clock() - started
        # The most of all loads: memory that an earlier model left to the allocator hides a part of what one takes.
        if not resident.is_remote:
            resident.memory_bytes = max(resident.memory_bytes, self._memory_bytes() - before)
        _log.info(
            "loaded model=%s seconds=%.2f memory_mb=%d fingerprint=%s",
            name,
            resident.load_seconds,
            resident.memory_bytes // 1_000_000,
            model.card.fingerprint,
        )
        return model

    def _failed(self, resident: Resident, error: Exception) -> Unavailable:
        """Take note of a failed load. Returns what those who wait for it are told."""
        name = resident.settings.name
        expected = isinstance(error, UmekomiError)
        failure = error if isinstance(error, UmekomiError) else EngineError(f"{name}: loading failed: {error!r}")
        seconds = resident.cooldown.fail(failure, now=self._clock())
        if resident is not self._last_hope or not expected:
            _log.error(
                "load failed model=%s next_try_s=%g: %s",
                name,
                seconds,
                failure,
                exc_info=None if expected else error,
            )
        return _unavailable(resident, seconds)

    async def _make_room(self, resident: Resident) -> None:
        """Unload others as the policy asks. Raises `Unavailable` where they are in use for too long."""
        if resident.is_remote:
            return
        deadline = self._clock() + ROOM_WAIT_S
        while True:
            room = plan_room(self._all(), resident, self._policy)
            for other in room.unload:
                self._unload(other, f"making room for {resident.settings.name}")
            if not room.wait:
                return
            if self._clock() >= deadline:
                raise Unavailable(
                    f"The model `{resident.settings.name}` has to wait for others to leave memory, and they are in "
                    "use; try again in a moment.",
                    retry_after_s=ROOM_RETRY_S,
                )
            await self._changed.wait()

    def _fits_beside_others(self, resident: Resident) -> bool:
        if resident.is_remote:
            return True
        loaded = [other for other in self._residents if other.model is not None and other is not resident]
        room = plan_room(loaded, resident, self._policy)
        budget = self._policy.memory_budget_bytes
        full = budget is not None and sum(other.memory_bytes for other in loaded) >= budget
        return not full and not room.wait

    def _settle(self, resident: Resident) -> None:
        """What a load or a request that has ended makes possible for this model and for the others."""
        if resident.may_unload:
            if resident.retired:
                self._unload(resident, "no longer served")
            elif resident.settings.keep_alive_s == 0 and resident.loading is None:
                self._unload(resident, "used")
        self._trim(keep=resident if resident.model is not None else None)
        self._forget_retired()
        self._notify()

    def _trim(self, *, keep: Resident | None = None) -> None:
        for resident in plan_trim(self._all(), self._policy, keep=keep):
            self._unload(resident, "over the memory budget")

    def _unload(self, resident: Resident, reason: str) -> None:
        """Take the model out of memory; from here on it is not leased any more."""
        model, resident.model = resident.model, None
        if model is None:
            return
        _log.info("unloading model=%s: %s", resident.settings.name, reason)
        resident.closing += 1
        task = asyncio.create_task(self._close_model(resident, model))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_model(self, resident: Resident, model: OpenedModel) -> None:
        try:
            await close_in_thread(model)
            del model
            await asyncio.sleep(LET_GO_S)
            await return_free_memory()
        except Exception:
            _log.exception("closing failed model=%s", resident.settings.name)
        finally:
            resident.closing -= 1
            self._forget_retired()
            self._notify()

    def _forget_retired(self) -> None:
        self._retired = [
            resident
            for resident in self._retired
            if resident.takes_memory or resident.loading is not None or resident.uses.held
        ]

    def _notify(self) -> None:
        """Wake the loads that wait for room."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _report(self, resident: Resident) -> None:
        busy_s = self.busy_s(resident)
        stuck = self._is_stuck(resident)
        if stuck and not resident.stuck:
            _log.error(
                "stuck model=%s: requests run, and none has finished for %d s", resident.settings.name, busy_s
            )
        elif resident.stuck and not stuck:
            _log.info("no longer stuck model=%s", resident.settings.name)
        resident.stuck = stuck

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                self.sweep()
            except Exception:  # a mistake here must not end the watch
                _log.exception("watching over the models failed")


def _by_name(residents: Iterable[Resident]) -> dict[str, Resident]:
    return {name: resident for resident in residents for name in resident.names}


def _unavailable(resident: Resident, retry_after_s: float) -> Unavailable:
    return Unavailable(
        f"The model `{resident.settings.name}` could not be loaded; the server's log tells why.",
        retry_after_s=retry_after_s,
    )


def _retrieve(task: asyncio.Task[OpenedModel]) -> None:
    """Mark a failed load's error as seen: all who waited for it may have gone."""
    if not task.cancelled():
        task.exception()
