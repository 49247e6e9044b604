"""The packages of the ``documents`` extra, asked for at their first use."""

from __future__ import annotations

from typing import Any, Final

from umekomi.extras import is_installed, require

_MODULES: Final = ("pypdfium2", "docx", "pptx", "openpyxl", "lxml", "sentencex")


def load(module: str) -> Any:
    """The module, untyped. Raises `MissingExtra` with the install line where it is not installed."""
    return require(module, extra="documents")


def check_installed(*, layout: bool = False) -> None:
    """Raises `MissingExtra` before any work, rather than once for each file."""
    for module in _MODULES:
        if not is_installed(module):
            load(module)
    if layout and not is_installed("docling"):
        require("docling", extra="layout")
