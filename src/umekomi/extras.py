"""Optional dependencies: import one, or say how to install it. A leaf."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from umekomi.errors import MissingExtra


def require(module: str, *, extra: str) -> ModuleType:
    """The imported ``module``. Raises `MissingExtra` with the install line where it is not installed.

    An error inside an installed module is not hidden: only its absence counts as a missing extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise _missing(error.name, extra) from None


def check_installed(*modules: str, extra: str) -> None:
    """Raise what `require` raises, before a long work that would meet it at its end; imports nothing."""
    for module in modules:
        if not is_installed(module):
            raise _missing(module, extra)


def is_installed(module: str) -> bool:
    """Whether the top-level ``module`` could be imported; imports nothing."""
    return importlib.util.find_spec(module) is not None


def _missing(module: str, extra: str) -> MissingExtra:
    return MissingExtra(
        f"this needs the Python package '{module}', which is not installed: pip install 'umekomi[{extra}]'"
    )
