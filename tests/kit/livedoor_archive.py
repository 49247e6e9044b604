"""An archive in the layout of the livedoor news corpus, with texts of our own."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable

from umekomi.evaluate.datasets.livedoor import CATEGORIES


def article(category: str, number: int) -> str:
    """An article as its file holds it: URL, date and title, then lines of the body, some blank or indented."""
    head = f"http://example.com/{category}/{number}/\n2012-09-0{number % 9 + 1}T10:00:00+0900\n題 {number}\n"
    return head + f"　{category} の {number} 番目の記事です。\n\n\t二行目は長い。" + "あ" * 600 + " \n最後の行\n"


def livedoor_archive(
    numbers: Iterable[int] = range(5),
    *,
    write: Callable[[str, int], str] = article,
    categories: Iterable[str] = CATEGORIES,
    extra: dict[str, bytes] | None = None,
) -> bytes:
    """A .tar.gz with an article for each category and number, in that order, and the notices beside them."""
    numbers = list(numbers)
    files = {"text/README.txt": b"about", "text/CHANGES.txt": b"none"}
    for category in categories:
        files[f"text/{category}/LICENSE.txt"] = f"notice of {category}".encode()
        for number in numbers:
            files[f"text/{category}/{category}-{number:07}.txt"] = write(category, number).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in (files | (extra or {})).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()
