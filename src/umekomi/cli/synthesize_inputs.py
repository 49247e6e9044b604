"""The files and lists that options of ``umekomi synthesize`` name, read and checked before any call."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from umekomi.cli import options
from umekomi.errors import ConfigError, InvalidInput

if TYPE_CHECKING:
    from umekomi.synthesize.pairs import Split, Style
    from umekomi.synthesize.selection import Eligibility

LANGUAGES_AUTO = "auto"

EXAMPLES_SHOWN = 20
EXAMPLE_CHARACTERS = 200
"""Of the queries that users wrote, in each prompt."""


def check_before(documents: list[Path], output: Path, prompts: Path | None) -> None:
    """What would end the run only after hours of calls, or spoil the next one."""
    from umekomi.extras import require
    from umekomi.synthesize.prompts import check_prompts

    require("openpyxl", extra="documents")
    require("bm25s", extra="search")
    if prompts is not None:
        check_prompts(prompts)
    inside = next(
        (path for path in documents if path.is_dir() and output.resolve().is_relative_to(path.resolve())), None
    )
    if inside is not None:
        raise ConfigError(
            f"--output {output} lies in {inside}: a later run would read its own files as documents; "
            "choose a folder elsewhere"
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--output {output}: cannot be made: {error.strerror or error}") from None


def read_queries(path: Path) -> list[str]:
    from umekomi.documents.rows import iter_rows

    def notify(found: str) -> None:  # which names a flag that this command does not have
        options.notify(f"--queries {found.partition(';')[0]}; if that is wrong, save it as UTF-8")

    rows = iter_rows(path, usual=("query", "text"), notify=notify)
    found = list(dict.fromkeys(text for row in rows if (text := " ".join(row.text.split()))))
    if not found:
        raise InvalidInput(f"--queries {path}: no query in it")
    return found


def parse_styles(text: str) -> tuple[Style, ...]:
    from umekomi.synthesize.pairs import STYLES

    named = tuple(part.strip() for part in text.split(",") if part.strip())
    if not named or (unknown := [part for part in named if part not in STYLES]):
        wrong = unknown[0] if named else text
        raise ConfigError(f"--styles: '{wrong}' is no style; use some of {','.join(STYLES)}")
    return cast("tuple[Style, ...]", tuple(dict.fromkeys(named)))


def build_eligibility(languages: str, keywords: Path | None, min_chars: int, max_chars: int | None) -> Eligibility:
    from umekomi.synthesize.prompts import LANGUAGES
    from umekomi.synthesize.selection import Eligibility

    named = LANGUAGES if languages == LANGUAGES_AUTO else tuple(part.strip() for part in languages.split(","))
    if unknown := [part for part in named if part not in LANGUAGES]:
        raise ConfigError(
            f"--languages: there are no prompts for '{unknown[0]}'; use some of {','.join(LANGUAGES)}"
        )
    if max_chars is not None and max_chars < min_chars:
        raise ConfigError(f"--max-chars {max_chars} is less than --min-chars {min_chars}: no chunk could be both")
    return Eligibility(min_chars, max_chars, tuple(read_lines(keywords)) if keywords else (), named)


def read_examples(path: Path) -> tuple[str, ...]:
    """Some of the real queries, evenly over the file: all of a search log would fill every prompt."""
    found = list(dict.fromkeys(read_lines(path)))
    count = min(len(found), EXAMPLES_SHOWN)
    if count < len(found):
        options.notify(f"--examples {path}: {count} of its {len(found)} queries are shown to the LLM")
    return tuple(found[place * len(found) // count][:EXAMPLE_CHARACTERS] for place in range(count))


def read_lines(path: Path) -> list[str]:
    from umekomi.documents.rows import iter_rows

    lines = [row.text.strip() for row in iter_rows(path, row_format="lines")]
    if not lines:
        raise InvalidInput(f"{path}: no line with text in it")
    return lines


def read_splits(path: Path) -> dict[str, Split]:
    from umekomi.documents import decode_text
    from umekomi.synthesize.pairs import Split

    try:
        text = decode_text(path.read_bytes()).text
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror or error}") from None
    try:
        rows = list(csv.DictReader(io.StringIO(text)))
    except csv.Error as error:
        raise InvalidInput(f"{path}: no CSV: {error}") from None
    found: dict[str, Split] = {}
    for number, row in enumerate(rows, start=2):
        source, split = row.get("source"), (row.get("split") or "").strip()
        if source is None or split not in get_args(Split):
            raise InvalidInput(
                f"{path}, line {number}: needs the columns source and split; a split is one of "
                f"{', '.join(get_args(Split))}"
            )
        if found.setdefault(source, cast("Split", split)) != split:
            raise InvalidInput(f"{path}, line {number}: '{source}' is in {found[source]} already")
    return found
