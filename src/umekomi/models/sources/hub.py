"""Models from the Hugging Face hub, kept in the hub client's own cache: only the files that are needed, resumable.

What was pulled once is opened again without a request; a pull asks for a newer commit. The hub client's own
switches hold: ``HF_HOME``, ``HF_HUB_CACHE``, ``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HUB_OFFLINE``.
"""

from __future__ import annotations

import glob
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from umekomi import __version__, config
from umekomi.errors import SourceUnavailable, UmekomiError
from umekomi.models.bundle import TOKENIZER_FILES
from umekomi.models.catalog import find_entry
from umekomi.models.layout import MODULES
from umekomi.models.names import HubName
from umekomi.models.sources.hub_errors import explain
from umekomi.models.sources.hub_files import (
    choose_all_weights,
    choose_pickles,
    choose_settings,
    choose_weights,
    prefers_onnx,
)
from umekomi.models.sources.progress import Progress
from umekomi.models.store import Store

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_TIMEOUT_S = 10.0
"""For the questions to the hub; downloads have the client's own limits."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository's files at a commit. ``pickled``: for a part of it there are pickled weights only."""

    folder: Path
    commit: str
    pickled: bool


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub and its cache; by default those of the hub client's own settings."""

    endpoint: str | None = None
    cache: Path | None = None

    def fetch(
        self,
        name: HubName,
        store: Store,
        *,
        refresh: bool = False,
        pickles: bool = False,
        progress: Progress | None = None,
        notify: Callable[[str], None] = lambda _message: None,
    ) -> Snapshot:
        """The files of ``name``, from the cache where they were pulled before.

        refresh  ask the hub for the newest commit of the revision even so
        pickles  fetch pickled weights too, to convert them

        Raises `SourceUnavailable` where the hub is needed and cannot be reached, `UnknownModel` for a repository or
        revision that is not there or needs a login, `StoreError` where the cache cannot be written.
        """
        known = self._recall(name, store)
        if known and not (refresh or pickles):
            return known
        try:
            if config.hub_offline():
                raise SourceUnavailable(f"{name.text}: HF_HUB_OFFLINE forbids asking the hub, and no copy is here")
            return self._download(name, store, pickles=pickles, progress=progress)
        except SourceUnavailable as error:
            if known and not pickles:
                notify(f"{name.text}: the hub could not be asked for a newer commit; {known.commit[:12]} is kept")
                return known
            if foreign := self._find_foreign(name, pickles=pickles):
                notify(
                    f"{name.text}: used as another program left it in the hub's cache; the hub could not be asked"
                )
                return foreign
            raise error

    def _download(self, name: HubName, store: Store, *, pickles: bool, progress: Progress | None) -> Snapshot:
        config.disable_hub_telemetry()
        try:
            info = self._ask(name)
            sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
            settings = choose_settings(sizes, name)
            self._get(name, name.revision, settings, None)  # notes in the cache what the revision stands for now
            folder = self._get(name, str(info.sha), settings, None)
            weights, pickled = choose_all_weights(sizes, folder, name)
            wanted = [*weights, *pickled] if pickles else weights
            if wanted:
                self._get(name, str(info.sha), {file: sizes[file] for file in wanted}, progress)
        except UmekomiError:
            raise
        except Exception as error:
            raise explain(error, name) from error
        snapshot = Snapshot(folder, str(info.sha), bool(pickled))
        _note(name, snapshot, [*settings, *weights], store)
        return snapshot

    def _ask(self, name: HubName) -> ModelInfo:
        """Commit and files of the revision, as the hub has them now."""
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint, library_name="umekomi", library_version=__version__)
        return api.model_info(name.hub_id, revision=name.revision, files_metadata=True, timeout=_TIMEOUT_S)

    def _get(self, name: HubName, revision: str, sizes: Mapping[str, int], progress: Progress | None) -> Path:
        """Folder of the snapshot, with exactly these files made sure of; the client resumes what was cut."""
        from huggingface_hub import snapshot_download

        folder = snapshot_download(
            name.hub_id,
            revision=revision,
            endpoint=self.endpoint,
            cache_dir=self.cache,
            library_name="umekomi",
            library_version=__version__,
            allow_patterns=[glob.escape(file) for file in sizes],
            tqdm_class=_bars(name.text, sum(sizes.values()), progress),
            max_workers=4,
        )
        return Path(str(folder))

    def _cached(self, name: HubName, revision: str) -> Path | None:
        """Folder of the revision's snapshot in the cache, without a request."""
        config.disable_hub_telemetry()
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(name.hub_id, "config.json", cache_dir=self.cache, revision=revision)
        return Path(path).parent if isinstance(path, str) else None

    def _recall(self, name: HubName, store: Store) -> Snapshot | None:
        """What an earlier pull noted, where every file of it is still there."""
        try:
            noted = json.loads(_note_path(name, store).read_text(encoding="utf-8"))
            commit, files, pickled = str(noted["commit"]), list(noted["files"]), bool(noted["pickled"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        folder = self._cached(name, commit)
        if folder is None or not all((folder / file).is_file() for file in files):
            return None
        return Snapshot(folder, commit, pickled)

    def _find_foreign(self, name: HubName, *, pickles: bool) -> Snapshot | None:
        """What another program left in the cache, where it looks whole: weights, a tokenizer, and the pooling.

        A program that needs less leaves less, and without a listing nobody can tell what is missing: what is
        in doubt is not used.
        """
        folder = self._cached(name, name.revision)
        if folder is None or not ((folder / MODULES).is_file() or find_entry(name.hub_id)):
            return None
        present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        weights = choose_weights(present, onnx_first=prefers_onnx(folder))
        pickled = choose_pickles(present, weights)
        if present.isdisjoint(TOKENIZER_FILES) or not (pickled if pickles else weights or pickled):
            return None
        return Snapshot(folder, folder.name, bool(pickled))


def forget_snapshots(commit: str, store: Store) -> None:
    """Drop the notes on pulls of ``commit``, whose files were removed."""
    for path in store.snapshots.glob("*.json"):
        with suppress(OSError, ValueError, AttributeError):
            if json.loads(path.read_text(encoding="utf-8")).get("commit") == commit:
                path.unlink()


def _bars(what: str, total: int, progress: Progress | None) -> type[Any]:
    """A silent stand-in for the client's progress bars, which passes bytes on to ``progress``."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    class Bar(tqdm):
        def __init__(self, *args: Any, **settings: Any) -> None:
            self._bytes = settings.get("unit") == "B"
            super().__init__(*args, **{**settings, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if self._bytes and progress:
                progress(what, min(int(self.n), total), total)

    return Bar


def _note_path(name: HubName, store: Store) -> Path:
    return store.snapshots / f"{quote(f'{name.hub_id}@{name.revision}', safe='@')}.json"


def _note(name: HubName, snapshot: Snapshot, files: list[str], store: Store) -> None:
    """Remember a whole pull. Where that cannot be written the next start asks the hub again, no more."""
    path = _note_path(name, store)
    content = {"commit": snapshot.commit, "pickled": snapshot.pickled, "files": sorted(files)}
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
        Path(temporary).replace(path)
