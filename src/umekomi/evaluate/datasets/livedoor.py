"""The livedoor news corpus as people measure embedding models on it: some articles a category, cut to one length.

The recipe is that of the published scores (github.com/okitalabs/Embeddings, which reads the corpus through the
hub's shunk031/livedoor-news-corpus): articles in the order of the archive; of each the lines after the third,
stripped and joined by a space; its first 512 characters; of each category the first 300; categories in the order of
`CATEGORIES`.

The texts are under CC BY-ND 2.1 JP: what is built from them may be used, not passed on. None of them is in umekomi.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets.description import Description, write_description
from umekomi.writing import replacing

ARCHIVE = "ldcc-20140209.tar.gz"
ARCHIVE_URL = f"https://www.rondhuit.com/download/{ARCHIVE}"
LICENCE = "CC BY-ND 2.1 JP; parts of articles must not be passed on"
MAX_ARCHIVE_BYTES = 64 << 20

CATEGORIES = (
    "movie-enter",
    "it-life-hack",
    "kaden-channel",
    "topic-news",
    "livedoor-homme",
    "peachy",
    "sports-watch",
    "dokujo-tsushin",
    "smax",
)
"""In the order of the published file, whose ``category`` counts them from 0."""

ARTICLES = 7_367
"""Articles in the archive of 2014-02-09, by its publisher's counts."""

Order: TypeAlias = Literal["archive", "name"]
"""Which articles are the first: those of the archive, or those by file name, the same however it was packed."""

_MEMBER = re.compile(r"(?:\./)?text/(?P<category>[a-z-]+)/(?P<file>[A-Za-z0-9_.-]+\.txt)")
_LICENCE_FILE = "LICENSE.txt"
_HEAD_LINES = 3
_MAX_MEMBER_BYTES = 4 << 20
_MAX_UNPACKED_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Article:
    """``index`` counts the articles of the archive from 0; ``body`` is whole, its lines joined."""

    index: int
    category: str
    name: str
    body: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """What an archive holds. ``licences``: the publisher's notice for each category, as the archive has it."""

    articles: tuple[Article, ...]
    licences: dict[str, str]
    sha256: str


@dataclass(frozen=True, slots=True)
class Built:
    """What was written: rows for each category, and the SHA-256 of the CSV."""

    output: Path
    notice: Path
    rows: dict[str, int]
    csv_sha256: str
    archive_articles: int


def build_livedoor(
    archive: Path, output: Path, *, per_category: int = 300, characters: int = 512, order: Order = "archive"
) -> Built:
    """Write ``output`` (.csv, or .csv.zip), and a notice of its licence and making beside it.

    Equal archives and settings give equal bytes. Columns: ``index`` and ``category`` as in the published file,
    ``content512`` (or whatever the length is), and ``label``, the category's name. What `open_task` says of the
    licence and the preparation lies beside it too.

    Raises `InvalidInput` for an archive of another layout and for settings out of range, `StoreError`.
    """
    for name, number in (("per_category", per_category), ("characters", characters)):
        if number < 1:
            raise InvalidInput(f"{name} is {number}; it has to be 1 or more", param=name)
    if not output.name.lower().endswith((".csv", ".csv.zip")):
        raise InvalidInput(f"{output}: write a .csv or a .csv.zip file", param="output")
    corpus = read_archive(archive)
    chosen = choose(corpus.articles, per_category=per_category, order=order)
    data = _csv_bytes(chosen, characters)
    built = Built(
        output=output,
        notice=output.with_name(f"{output.name}.LICENCE.txt"),
        rows={category: sum(a.category == category for a in chosen) for category in CATEGORIES},
        csv_sha256=hashlib.sha256(data).hexdigest(),
        archive_articles=len(corpus.articles),
    )
    preparation = _preparation(per_category=per_category, characters=characters, order=order)
    with replacing(built.notice) as out:  # first, so that the texts never lie there without it
        out.write(_notice(corpus, built, preparation).encode())
    write_description(output, Description(LICENCE, "ja", preparation))
    with replacing(output) as out:
        out.write(_zipped(data, output.stem) if output.suffix.lower() == ".zip" else data)
    return built


def read_archive(archive: Path) -> Corpus:
    """All articles of ``archive``, read in memory. Raises `InvalidInput` where it is cut, broken or another."""
    articles: list[Article] = []
    licences: dict[str, str] = {}
    try:
        with archive.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        with tarfile.open(archive, "r|gz") as members:
            for category, name, data in _iter_files(members, archive):
                if name == _LICENCE_FILE:
                    licences[category] = data.decode()
                else:
                    articles.append(Article(len(articles), category, name, _body(data)))
    except (tarfile.TarError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InvalidInput(f"{archive}: cannot be read whole as {ARCHIVE}: {error}; fetch it again") from None
    except OSError as error:
        raise InvalidInput(f"{archive}: cannot be read: {error.strerror or error}", param="archive") from None
    missing = sorted(set(CATEGORIES) - {article.category for article in articles})
    if missing:
        raise InvalidInput(
            f"{archive}: no articles of {', '.join(missing)}; this is not the livedoor news corpus, {ARCHIVE}",
            param="archive",
        )
    return Corpus(tuple(articles), licences, sha256)


def choose(articles: Sequence[Article], *, per_category: int, order: Order) -> list[Article]:
    """The first articles of each category; all of a category that has fewer."""
    ordered = sorted(articles, key=lambda article: article.name) if order == "name" else articles
    return [
        article
        for category in CATEGORIES
        for article in [each for each in ordered if each.category == category][:per_category]
    ]


def _iter_files(members: tarfile.TarFile, archive: Path) -> Iterator[tuple[str, str, bytes]]:
    """Category, file name and content of the files below a category, in the order of the archive."""
    unpacked = 0
    for member in members:
        found = _MEMBER.fullmatch(member.name)
        unpacked += member.size
        if unpacked > _MAX_UNPACKED_BYTES or (found and member.size > _MAX_MEMBER_BYTES):
            raise InvalidInput(f"{archive}: {member.name} is too large for an article; this is not {ARCHIVE}")
        if found and found["category"] in CATEGORIES and member.isreg() and (stream := members.extractfile(member)):
            yield found["category"], found["file"], stream.read()


def _body(data: bytes) -> str:
    lines = data.split(b"\n")
    if not lines[-1]:  # nothing stands behind the last line end
        lines.pop()
    return " ".join(line.decode().strip() for line in lines[_HEAD_LINES:])


def _csv_bytes(articles: Sequence[Article], characters: int) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["index", "category", f"content{characters}", "label"])
    for article in articles:
        number = CATEGORIES.index(article.category)
        writer.writerow([article.index, number, article.body[:characters], article.category])
    return buffer.getvalue().encode()


def _zipped(data: bytes, name: str) -> bytes:
    """A ZIP archive of one file. Stored, not packed: packers differ in their bytes from one system to the next."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


def _preparation(*, per_category: int, characters: int, order: Order) -> tuple[str, ...]:
    return (
        f"articles in the order of {'the archive' if order == 'archive' else 'file names'}",
        f"the first {per_category} of each category",
        "lines after the third, stripped, joined by a space",
        f"first {characters} characters",
    )


def _notice(corpus: Corpus, built: Built, preparation: Sequence[str]) -> str:
    rows = "\n".join(f"  {category}: {count}" for category, count in built.rows.items())
    licences = "\n\n".join(f"[{category}]\n{text.strip()}" for category, text in sorted(corpus.licences.items()))
    return f"""\
{built.output.name} is made of the livedoor news corpus and must not be passed on.

The articles are (c) NHN Japan Corporation and their authors, under Creative Commons Attribution-NoDerivs 2.1 Japan
(CC BY-ND 2.1 JP, https://creativecommons.org/licenses/by-nd/2.1/jp/), collected by RONDHUIT Co., Ltd.
({ARCHIVE_URL}).
Whole, unchanged articles may be shared with their credit. This file holds parts of articles, which is a change: use
it yourself, and let others build it from the archive.
このファイルは記事の一部を切り出したもの（改変）です。再配布はできません。各自で元のアーカイブから作成してください。

Archive: SHA-256 {corpus.sha256}, {built.archive_articles} articles
Made by umekomi datasets build livedoor: {"; ".join(preparation)}
{rows}
CSV: SHA-256 {built.csv_sha256}

The publisher's notices in the archive:

{licences}
"""
