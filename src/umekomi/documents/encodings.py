"""Which encoding a text's bytes are in: a strict ladder that names one, or says that it cannot tell.

Byte order mark → NUL bytes, which mean UTF-16 → the escapes of ISO-2022-JP → UTF-8 → CP932, EUC-JP and UTF-16 by
likelihood. Every step decodes strictly and to the last byte, so a long ASCII head hides nothing. Where two readings
stay possible the ladder refuses: a wrong text that looks right is the one result that it must not give.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeAlias

from umekomi.documents.likelihood import CharacterCounts, Weight
from umekomi.errors import InvalidInput

BLOCK_BYTES: Final = 1 << 20

Blocks: TypeAlias = Callable[[], Iterable[bytes]]
"""Gives the data from its start, in blocks of up to `BLOCK_BYTES`; called once for each pass."""

_BOMS: Final = (  # the longer first: UTF-32-LE begins like UTF-16-LE
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_JIS_ESCAPE: Final = re.compile(rb"\x1b(?:\$[@B]|\$\([@BDOPQ]|\([BJI])")
_JIS: Final = ("iso2022_jp", "iso2022_jp_1", "iso2022_jp_ext")
_LEGACY: Final = ("cp932", "euc_jp")
_WIDE: Final = ("utf-16-le", "utf-16-be")

_NOT_IN_CP932: Final = re.compile("[\x80\xa0\uf8f0-\uf8f3]")
"""What Python reads bytes 80, A0 and FD to FF as; the encoding has no characters there."""

_WEIGHED_BYTES: Final = 4 * BLOCK_BYTES
"""How much is weighed, from the first block with more than ASCII; all is decoded."""

_MARGIN: Final = 9.0
"""Nats by which the likelier reading must win: odds of about 8,000 to 1."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """``codec`` as Python names it; ``mark_bytes``: length of the byte order mark, which is no part of the text."""

    codec: str
    mark_bytes: int = 0

    @property
    def name(self) -> str:
        """For a person: ``utf-8``, ``utf-8 with a byte order mark``, ``cp932`` …"""
        return f"{self.codec} with a byte order mark" if self.mark_bytes else self.codec


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text, line ends as they were, and the encoding that its bytes were in."""

    text: str
    encoding: Encoding


def decode_text(data: bytes, *, encoding: str | None = None, name: str = "text") -> Decoded:
    """The text of ``data``.

    encoding  a codec to use instead of the ladder; still strict
    name      what a message calls the data

    Raises `InvalidInput` where the bytes are in no encoding of the ladder, or may be in more than one. Bytes that
    are valid UTF-8 are UTF-8, although a few kana in UTF-16 without mark or line break look like ASCII letters.
    """
    found = detect_encoding(lambda: [data], encoding=encoding, name=name)
    try:
        return Decoded(data[found.mark_bytes :].decode(found.codec), found)
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{name}: not {found.codec} at byte {error.start + found.mark_bytes}; check the encoding that was given"
        ) from None


def detect_encoding(blocks: Blocks, *, encoding: str | None = None, name: str = "text") -> Encoding:
    """The encoding of data of any size, in memory for a block of it. Raises as `decode_text` does.

    With ``encoding`` only a byte order mark is looked for; whether the data fit shows in decoding.
    """
    if encoding is not None:
        return _given_encoding(encoding, blocks)
    reason = _Undecided("")
    for step in (_by_mark_or_utf8, _by_escapes, _by_likelihood):
        found = step(blocks, reason)
        if isinstance(found, Encoding):
            return found
        reason = found
        if reason.final:
            break
    raise InvalidInput(f"{name}: {reason.why}; name its encoding, or convert it to UTF-8")


@contextmanager
def open_text(
    source: Path | IO[bytes], *, encoding: str | None = None, newline: str | None = None, name: str | None = None
) -> Iterator[tuple[io.TextIOWrapper, Encoding]]:
    """A file opened for strict reading, and its encoding, found in a first pass over the whole of it.

    source   a path, or an open file that can seek; it is closed at the end either way
    newline  as for `open`

    Raises `InvalidInput` as `decode_text` does, `OSError` where the file cannot be read. Under a given ``encoding``
    that does not fit, reading raises `UnicodeDecodeError`.
    """
    with source.open("rb") if isinstance(source, Path) else source as file:

        def blocks() -> Iterator[bytes]:
            file.seek(0)
            while block := file.read(BLOCK_BYTES):
                yield block

        found = detect_encoding(blocks, encoding=encoding, name=name or str(source))
        file.seek(found.mark_bytes)
        with io.TextIOWrapper(file, encoding=found.codec, errors="strict", newline=newline) as text:
            yield text, found


@dataclass(frozen=True, slots=True)
class _Undecided:
    """Why a step of the ladder named no encoding; ``final``: no further step can."""

    why: str
    final: bool = False
    has_nul: bool = False
    has_escapes: bool = False


def _given_encoding(codec: str, blocks: Blocks) -> Encoding:
    try:
        known = codecs.lookup(codec).name
        b"a".decode(codec)
    except UnicodeError:
        pass
    except (LookupError, ValueError):  # ValueError: NUL in the name
        raise InvalidInput(
            f"encoding {codec!r} is none of texts; use for example utf-8, cp932, euc_jp, iso2022_jp or utf-16-le",
            param="encoding",
        ) from None
    head = next(iter(blocks()), b"")
    wanted = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(known, known)
    if known in ("utf-16", "utf-32") and head.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        wanted = f"{known}-be"
    mark = next((mark for mark, name in _BOMS if name == wanted and head.startswith(mark)), b"")
    return Encoding(wanted, len(mark))


def _by_mark_or_utf8(blocks: Blocks, _before: _Undecided) -> Encoding | _Undecided:
    """A byte order mark counts; without one, valid UTF-8 does where nothing speaks of another encoding."""
    reading = _Reading("utf-8")
    has_nul = has_escapes = False
    is_ascii = True
    tail = b""
    for number, block in enumerate(blocks()):
        if number == 0 and (mark := next((each for each in _BOMS if block.startswith(each[0])), None)):
            reading = _Reading(mark[1], mark_bytes=len(mark[0]))
        reading.feed(block[reading.mark_bytes :] if number == 0 else block)
        if not reading.mark_bytes:
            has_nul = has_nul or b"\0" in block
            is_ascii = is_ascii and block.isascii()
            has_escapes = has_escapes or (is_ascii and _JIS_ESCAPE.search(tail + block) is not None)
            tail = block[-3:]
    reading.finish()
    if reading.mark_bytes:
        if reading.failed_at is None:
            return Encoding(reading.codec, reading.mark_bytes)
        why = f"begins with a byte order mark, but is not {reading.codec.upper()} at byte {reading.failed_at}"
        return _Undecided(why, final=True)
    has_escapes = has_escapes and is_ascii
    if reading.failed_at is None and not has_nul and not has_escapes:
        return Encoding("utf-8")
    why = "holds NUL bytes" if has_nul else f"not UTF-8 at byte {reading.failed_at}"
    return _Undecided(why, has_nul=has_nul, has_escapes=has_escapes)


def _by_escapes(blocks: Blocks, before: _Undecided) -> Encoding | _Undecided:
    if not before.has_escapes or before.has_nul:
        return before
    for reading in _read_in(_JIS, blocks):
        return Encoding(reading.codec)
    return _Undecided("holds escapes of ISO-2022-JP, but is not valid ISO-2022-JP", final=True)


def _by_likelihood(blocks: Blocks, before: _Undecided) -> Encoding | _Undecided:
    """The one reading that is plausible and clearly likelier than the others."""
    readings = _read_in(_WIDE if before.has_nul else (*_LEGACY, *_WIDE), blocks)
    weights = {reading.codec: reading.counts.weigh(reading.codec, wide=before.has_nul) for reading in readings}
    plausible = [codec for codec, weight in weights.items() if weight.is_plausible]
    if not plausible:
        tried = "UTF-16" if before.has_nul else "CP932, EUC-JP or UTF-16"
        return _Undecided(f"{before.why}, and no text in {tried}", final=True)
    best = max(plausible, key=lambda codec: weights[codec].nats)
    rivals = [codec for codec in weights if codec != best and not _beats(weights[best], weights[codec])]
    if rivals:
        return _Undecided(f"{before.why}; may be {' or '.join((best, *rivals))}", final=True)
    return Encoding(best)


def _beats(winner: Weight, loser: Weight) -> bool:
    """Data of half-width kana lose to nothing: every even number of them is valid EUC-JP as well."""
    return winner.nats - loser.nats >= _MARGIN and not loser.is_half_width


def _read_in(names: Iterable[str], blocks: Blocks) -> list[_Reading]:
    """The readings of the data, in the codecs of that name, that hold to the last byte."""
    readings = [_Reading(codec) for codec in names]
    weighed = 0
    for block in blocks():
        weigh = weighed < _WEIGHED_BYTES and (weighed > 0 or b"\0" in block or not block.isascii())
        weighed += len(block) if weigh else 0
        for reading in readings:
            reading.feed(block, weigh=weigh)
    for reading in readings:
        reading.finish()
    return [reading for reading in readings if reading.failed_at is None]


class _Reading:
    """The data read in one codec: where that fails, and which characters it gives."""

    def __init__(self, codec: str, *, mark_bytes: int = 0) -> None:
        self.codec = codec
        self.mark_bytes = mark_bytes
        self.failed_at: int | None = None
        self.counts = CharacterCounts()
        self._decoder = codecs.getincrementaldecoder(codec)(errors="strict")
        self._read_bytes = mark_bytes

    def feed(self, block: bytes, *, weigh: bool = False, final: bool = False) -> None:
        if self.failed_at is not None:
            return
        try:
            text = self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            # The decoder puts what it kept of the block before in front.
            self.failed_at = self._read_bytes - (len(error.object) - len(block)) + error.start
            return
        if self.codec == "cp932" and _NOT_IN_CP932.search(text):
            self.failed_at = self._read_bytes
        self._read_bytes += len(block)
        if weigh:
            self.counts.add(text)

    def finish(self) -> None:
        self.feed(b"", final=True)
