"""Fonts for pictures: which have the characters of a text, and what to do about those that none has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from umekomi.extras import require

PACKAGE = "matplotlib_fontja"
"""A package with the file of IPAex Gothic. Only that file is used: its code would change matplotlib's settings."""

LATIN = "DejaVu Sans"
JAPANESE = (
    *("IPAexGothic", "Noto Sans CJK JP", "Noto Sans JP", "Hiragino Sans", "Yu Gothic", "Meiryo", "MS Gothic"),
    *("TakaoGothic", "VL Gothic"),
)
"""Families by the names that matplotlib has for them; the first that is there is used."""

SHOWN = 12


@dataclass(frozen=True, slots=True)
class Fonts:
    """``families`` to ask matplotlib for, and the characters that are in none of them."""

    families: list[str]
    missing: frozenset[str]

    def writable(self, text: str) -> str:
        return "".join("?" if character in self.missing else character for character in text)


def load_fonts(texts: Iterable[str], *, notify: Callable[[str], None]) -> Fonts:
    """Fonts for ``texts``. What no font at hand has is told to ``notify``: it must not become boxes unseen."""
    characters = {character for text in texts for character in text}
    families = [LATIN]
    missing = _missing(characters, families)
    if missing and (family := _japanese_family()):
        families.append(family)
        missing = _missing(missing, [family])
    if missing:
        notify(_message(sorted(missing), families))
    return Fonts(families, frozenset(missing))


def _message(missing: Sequence[str], families: Sequence[str]) -> str:
    shown = " ".join(
        character if character.isprintable() else f"U+{ord(character):04X}" for character in missing[:SHOWN]
    )
    shown += " …" if len(missing) > SHOWN else ""
    cure = "" if len(families) > 1 else "; pip install 'umekomi[evaluate]' brings a Japanese font"
    count = f"{len(missing)} character" + ("s" if len(missing) > 1 else "")
    return f"{count} shown as '?' in the picture, because no font at hand has them: {shown}{cure}"


def _missing(characters: Iterable[str], families: Sequence[str]) -> set[str]:
    manager = require("matplotlib.font_manager", extra="evaluate")
    font = require("matplotlib.ft2font", extra="evaluate").FT2Font
    known: set[int] = set()
    for family in families:
        known |= set(font(manager.findfont(family, fallback_to_default=False)).get_charmap())
    return {character for character in characters if ord(character) not in known}


def _japanese_family() -> str | None:
    """The packaged font, made known to matplotlib for this process; else one of the system's; else None."""
    manager = require("matplotlib.font_manager", extra="evaluate").fontManager
    known = {entry.name for entry in manager.ttflist}
    package = find_spec(PACKAGE)
    if JAPANESE[0] not in known and package is not None and package.origin is not None:
        file = Path(package.origin).parent / "fonts" / "ipaexg.ttf"
        if file.is_file():
            manager.addfont(str(file))
            known.add(JAPANESE[0])
    return next((family for family in JAPANESE if family in known), None)
