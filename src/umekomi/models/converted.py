"""Models that were turned from pickles into safetensors once, and are found again under their own name.

Converting itself needs torch and is `umekomi.train.convert`'s job.
"""

from __future__ import annotations

from pathlib import Path

from umekomi.models.digests import DigestCache, combine
from umekomi.models.names import HubName
from umekomi.models.store import Entry, Store
from umekomi.models.weights import pickled_files


def folder_key(folder: Path, store: Store) -> str | None:
    """Key of a folder's conversion, by the content of its pickles; None where it has none to convert."""
    pickles = pickled_files(folder)
    if not pickles:
        return None
    digests = DigestCache(store.digests)
    config = [folder / "config.json"] if (folder / "config.json").is_file() else []
    return f"folder@{combine(digests.sha256(path) for path in [*config, *pickles])}"


def snapshot_key(hub_id: str, commit: str) -> str:
    """Key of the conversion of a repository's commit."""
    return f"{hub_id}@{commit}"


def find_converted_folder(folder: Path, store: Store) -> Path | None:
    """The converted copy of a folder that has pickled weights only; None where there is none."""
    key = folder_key(folder, store)
    entry = store.find("converted", key) if key else None
    return entry.files if entry else None


def find_converted_snapshot(name: HubName, store: Store, *, commit: str | None = None) -> Entry | None:
    """The converted copy of a repository at ``commit``, else of the revision as it was when it was converted."""
    if commit:
        return store.find("converted", snapshot_key(name.hub_id, commit))
    wanted = {"hub_id": name.hub_id, "revision": name.revision}
    return next((e for e in store.entries("converted") if wanted.items() <= e.about.items()), None)
