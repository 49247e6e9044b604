"""Which models are on this machine, how to check them, and how to take them away: the store and the hub's cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from umekomi import config
from umekomi.errors import BrokenModel, StoreError, UnknownModel, UnsupportedModel
from umekomi.models.bundle import Bundle
from umekomi.models.digests import sha256_of_file
from umekomi.models.names import MAIN, nearest_names
from umekomi.models.sources.hub import Hub, forget_snapshots
from umekomi.models.sources.hub_files import choose_weights, prefers_onnx
from umekomi.models.starters import find_starter
from umekomi.models.store import Entry, Store

Place: TypeAlias = Literal["store", "converted", "hub cache"]


@dataclass(frozen=True, slots=True)
class Installed:
    """A model on this machine. ``source`` as `ModelCard.source`; ``entry`` where the store holds it."""

    name: str
    place: Place
    source: str
    size_bytes: int
    folder: Path
    notice: str | None = None
    entry: Entry | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """``problems``: a line for each file that is not what was fetched; ``unknown``: files without a checksum."""

    files: int
    unknown: int
    problems: tuple[str, ...]


def list_models(store: Store, hub: Hub | None = None) -> list[Installed]:
    """Every model that can be opened without a network, by name. Raises `StoreError`."""
    models = [_installed(entry, "store") for entry in store.entries("models")]
    models += [_installed(entry, "converted") for entry in store.entries("converted")]
    models += _cached_models(hub or Hub())
    return sorted(models, key=lambda model: (model.name.casefold(), model.place))


def find_models(name: str, store: Store, hub: Hub | None = None) -> list[Installed]:
    """What is on this machine under ``name``: a starter's name or a hub id, with or without a revision.

    Raises `UnknownModel` where there is nothing, naming what there is.
    """
    installed = list_models(store, hub)
    starter = find_starter(name)
    wanted = {name.casefold(), name.removesuffix(f"@{MAIN}").casefold()}
    if starter and "/" not in name:
        wanted.add(starter.name.casefold())
    found = [model for model in installed if not wanted.isdisjoint(_spellings(model))]
    if not found:
        names = list(dict.fromkeys(model.name for model in installed))
        near = [each for each in nearest_names(name) if each in names] or names[:5]
        hint = f"there is {', '.join(near)}" if near else "there are none; fetch one: umekomi models pull NAME"
        raise UnknownModel(f"no model called {name!r} is kept on this machine; {hint}")
    return found


def remove_model(model: Installed, store: Store, hub: Hub | None = None) -> None:
    """Take the model's files away. Raises `StoreError`."""
    if model.entry:
        store.remove(model.entry.kind, model.entry.key)
    elif model.commit:
        try:
            _scan(hub or Hub()).delete_revisions(model.commit).execute()
        except OSError as error:
            raise StoreError(f"{error.filename or model.folder}: cannot be removed: {error.strerror}") from None
        forget_snapshots(model.commit, store)


def verify_model(
    model: Installed, store: Store, *, progress: Callable[[int], None] = lambda _size: None
) -> Verification:
    """Read every file of the model again and compare it with the checksum it came with."""
    if model.entry:
        problems = store.verify(model.entry, progress=progress)
        return Verification(len(model.entry.digests), 0, tuple(problems))
    return _verify_cached(model.folder, progress)


def bundle_files(bundle: Bundle) -> dict[str, int]:
    """Size by path of an opened model's files; a GGUF file is a whole model, whatever lies beside it."""
    if bundle.card.format == "gguf":
        return {path.name: path.stat().st_size for path in bundle.weights}
    return _files(bundle.folder)


def _files(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _spellings(model: Installed) -> set[str]:
    spellings = {model.name.casefold()}
    if model.commit:
        spellings.add(f"{model.name.partition('@')[0]}@{model.commit}".casefold())
    return spellings


def _installed(entry: Entry, place: Place) -> Installed:
    notice = entry.about.get("notice")
    return Installed(
        name=str(entry.about.get("name", entry.key)),
        place=place,
        source=str(entry.about.get("source", entry.key)),
        size_bytes=entry.size_bytes,
        folder=entry.files,
        notice=str(notice) if notice else None,
        entry=entry,
    )


def _scan(hub: Hub) -> Any:
    config.disable_hub_telemetry()
    from huggingface_hub import constants, scan_cache_dir

    return scan_cache_dir(hub.cache or constants.HF_HUB_CACHE)


def _cached_models(hub: Hub) -> Iterable[Installed]:
    """Models in the hub's cache that have a config.json and weights that may be loaded."""
    config.disable_hub_telemetry()
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = _scan(hub).repos
    except CacheNotFound:
        return
    except OSError as error:
        raise StoreError(f"the hub's cache cannot be read: {error.filename}: {error.strerror}") from None
    for repository in repositories:
        for revision in repository.revisions if repository.repo_type == "model" else ():
            files = _files(revision.snapshot_path)
            if "config.json" not in files or not _is_usable(revision.snapshot_path, files):
                continue
            suffix = "" if MAIN in revision.refs else f"@{revision.commit_hash}"
            yield Installed(
                name=f"{repository.repo_id}{suffix}",
                place="hub cache",
                source=f"hub:{repository.repo_id}@{revision.commit_hash}",
                size_bytes=sum(files.values()),
                folder=revision.snapshot_path,
                commit=revision.commit_hash,
            )


def _is_usable(folder: Path, files: Iterable[str]) -> bool:
    try:
        return bool(choose_weights(files, onnx_first=prefers_onnx(folder)))
    except (BrokenModel, UnsupportedModel):
        return False


def _verify_cached(folder: Path, progress: Callable[[int], None]) -> Verification:
    """The hub's cache names each blob by its checksum: sha256 for large files, git's for small ones."""
    problems: list[str] = []
    unknown = 0
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        blob = path.resolve()
        found = {64: sha256_of_file, 40: _git_sha1}.get(len(blob.name))
        if found is None or not path.is_symlink():
            unknown += 1
        elif found(blob) != blob.name:
            problems.append(f"{path}: content differs from what was fetched")
        progress(blob.stat().st_size)
    return Verification(len(files), unknown, tuple(problems))


def _git_sha1(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
