"""umekomi.yaml as the text that it is: locked, read, and replaced in one step where it is still what was read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from umekomi.config import Settings, parse_settings
from umekomi.errors import ConfigError, StoreError
from umekomi.writing import replacing


class ConfigFile:
    """A configuration that may not be there yet. Behind a link, the file is changed and the link stays.

    ``shown`` is how the user named it, ``path`` where it really is.
    """

    def __init__(self, named: Path) -> None:
        self.shown = named
        self.path = named.expanduser().resolve()

    def read(self) -> str | None:
        """The text with its line ends as they are; None where there is no file. Raises `ConfigError`."""
        try:
            return self.path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{self.shown}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
        except OSError as error:
            raise ConfigError(f"{self.shown}: cannot be read: {error.strerror or error}") from None

    def parse(self, text: str | None) -> Settings:
        """What ``text`` says. Raises `ConfigError`."""
        return parse_settings(text or "", self.shown)

    def check_writable(self) -> None:
        """Raises `ConfigError` where somebody has made the file read-only: a rename would not ask."""
        if not self.path.parent.is_dir():
            raise ConfigError(f"{self.shown}: the folder {self.path.parent} does not exist")
        if not self.path.exists():
            return
        if not self.path.stat().st_mode & 0o222 or not os.access(self.path, os.W_OK):
            raise ConfigError(f"{self.shown}: is read-only; make it writable, or change it where it comes from")

    def write(self, text: str, *, over: str | None) -> None:
        """Replace ``over``, what the file said when it was read, by ``text``; mode and owner stay.

        Raises `ConfigError` where it says something else by now: nobody's edit is lost. `StoreError` where it
        cannot be written.
        """
        self._refuse_foreign(over)
        with replacing(self.path) as file:
            file.write(text.encode("utf-8"))
            with suppress(OSError, AttributeError):  # a new file keeps the mode that this process gives it
                found = self.path.stat()
                os.fchmod(file.fileno(), found.st_mode & 0o7777)
                os.fchown(file.fileno(), found.st_uid, found.st_gid)
        _sync(self.path.parent)

    def restore(self, original: str | None, *, over: str | None) -> None:
        """As `write`; None takes the file away again. What it says already is left alone."""
        if self.read() == original:
            return
        if original is not None:
            self.write(original, over=over)
            return
        self._refuse_foreign(over)
        self.path.unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second promotion from the file. Raises `StoreError` where one is at work."""
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise StoreError(
                f"{self.shown}: another promotion or rollback is at work on it; wait until it has ended"
            ) from None
        except OSError as error:
            raise StoreError(f"{self.path.parent}: cannot be written: {error.strerror or error}") from None
        try:
            yield
        finally:
            lock.release()

    def _refuse_foreign(self, expected: str | None) -> None:
        if self.read() != expected:
            raise ConfigError(f"{self.shown}: somebody has changed it in the meantime; look at it, then try again")


def _sync(folder: Path) -> None:
    """Write a rename through to the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
