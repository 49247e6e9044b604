"""One file from a web server: resumed where it was cut, checked before it takes its name, shared by processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
from filelock import FileLock

from umekomi.errors import InvalidInput, SourceUnavailable, StoreError
from umekomi.models.sources.progress import Progress

_TIMEOUT_S = 30.0


def fetch(
    url: str, target: Path, *, max_bytes: int, check: Callable[[Path], object], progress: Progress | None = None
) -> Path:
    """``target``, fetched from ``url`` unless it is there already.

    A cut download is kept as ``.NAME.partial`` and resumed, if the server still has the same file.

    check  reads the file; an `InvalidInput` from it means that the file is broken, and it is removed

    Raises `SourceUnavailable` where the server cannot be reached, refuses, or sends something else or too much;
    `StoreError` where ``target`` cannot be written.
    """
    if target.exists():
        return target
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock")):
            if not target.exists():
                _download(url, partial, max_bytes=max_bytes, progress=progress)
                _checked(url, partial, check).replace(target)
                _mark(partial).unlink(missing_ok=True)
    except httpx.HTTPError as error:
        raise SourceUnavailable(f"{url}: {_reason(error)}") from None
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror or error}") from None
    return target


def _download(url: str, partial: Path, *, max_bytes: int, progress: Progress | None) -> None:
    """Bring ``partial`` to the full length that the server states."""
    stream = httpx.stream("GET", url, headers=_range(partial), follow_redirects=True, timeout=_TIMEOUT_S)
    with stream as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if response.headers.get("content-range") == f"bytes */{partial.stat().st_size}":
                return  # all of it came before, and the process ended before it was checked
            partial.unlink()
            raise httpx.TransportError("the file changed on the server; try again")
        response.raise_for_status()
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        done = partial.stat().st_size if resumed else 0
        length = response.headers.get("content-length")
        total = done + int(length) if length and length.isdigit() else None
        _note_mark(partial, response)
        with partial.open("ab" if resumed else "wb") as out:
            for block in response.iter_raw():
                done += len(block)
                if done > max_bytes:
                    raise httpx.TransportError(f"more than {max_bytes} bytes; this is not the file")
                out.write(block)
                if progress:
                    progress(url.rpartition("/")[2], done, total)
    if total is not None and done != total:
        raise httpx.TransportError(f"{done} of {total} bytes came; try again, and it goes on from there")


def _range(partial: Path) -> dict[str, str]:
    """Headers that ask for the rest, if the server still has the file that the beginning is of."""
    headers = {"accept-encoding": "identity"}
    mark = _mark(partial)
    if partial.exists() and partial.stat().st_size and mark.exists():
        headers |= {"range": f"bytes={partial.stat().st_size}-", "if-range": mark.read_text("ascii")}
    return headers


def _mark(partial: Path) -> Path:
    """Where the server's mark of the file's version is kept."""
    return partial.with_suffix(".version")


def _note_mark(partial: Path, response: httpx.Response) -> None:
    etag = response.headers.get("etag", "")
    version = etag if etag and not etag.startswith("W/") else response.headers.get("last-modified", "")
    if version.isascii() and version:
        _mark(partial).write_text(version, "ascii")
    else:
        _mark(partial).unlink(missing_ok=True)


def _checked(url: str, partial: Path, check: Callable[[Path], object]) -> Path:
    try:
        check(partial)
    except InvalidInput as error:
        partial.unlink()
        raise SourceUnavailable(f"{url}: what came is broken and was removed: {error}") from None
    return partial


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"the server answered {error.response.status_code} {error.response.reason_phrase}"
    return f"could not be fetched: {error or type(error).__name__}"
