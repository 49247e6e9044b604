"""CSV and TSV: rows of a table under its header, as a stream."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from typing import Final

from umekomi.documents.cleaning.passages import Passage, RawText, Reading, row_line
from umekomi.documents.document import Quarantined
from umekomi.documents.encodings import open_text
from umekomi.documents.rows import MAX_FIELD_CHARACTERS
from umekomi.errors import InvalidInput

ROWS_A_PASSAGE: Final = 200
_DELIMITERS: Final = ",\t;|"
_SAMPLE_CHARACTERS: Final = 32_768


def read(reading: Reading) -> Iterator[Passage]:
    """The rows of a CSV or TSV file. Raises `Quarantined` where its encoding cannot be told or it is no CSV."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        with open_text(reading.path, encoding=reading.encoding, newline="", name="its text") as (file, encoding):
            reading.found_encoding = encoding.name
            start = file.tell()
            sample = file.read(_SAMPLE_CHARACTERS)
            file.seek(start)
            rows = csv.reader(file, delimiter=_delimiter(sample, reading.path.suffix), strict=True)
            yield from _tables((row for row in rows if any(cell.strip() for cell in row)), reading)
    except InvalidInput as error:
        raise Quarantined(f"encoding: {error}") from None
    except UnicodeDecodeError as error:
        raise Quarantined(f"encoding: not {reading.encoding} ({error.reason})") from None
    except csv.Error as error:
        raise Quarantined(f"not valid CSV: {error}") from None


def _tables(rows: Iterator[list[str]], reading: Reading) -> Iterator[Passage]:
    raw = RawText()
    header = next(rows, None)
    if header is None:
        return
    some = [header, *islice(rows, ROWS_A_PASSAGE)]
    yield raw.rows(some, header_rows=1 if len(some) > 1 else 0)
    while some := list(islice(rows, ROWS_A_PASSAGE)):
        reading.beat()
        yield raw.rows(some, header=row_line(header))


def _delimiter(sample: str, suffix: str) -> str:
    """The delimiter that stands most often in the header; a comma where none does."""
    if suffix.lower() == ".tsv":
        return "\t"
    header = next((line for line in sample.splitlines() if line.strip()), "")
    return max(_DELIMITERS, key=header.count)
