"""How a download tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what is fetched, the bytes so far, and the bytes in all where they are known. From any thread."""
