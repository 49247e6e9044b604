"""umekomi (埋め込み): serve, measure, search with and improve your own embedding models.

Importing this package loads no runtime; the public names below are loaded at their first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from umekomi.embedding.embedder import Embedder, open_embedder
    from umekomi.errors import UmekomiError
    from umekomi.models.card import ModelCard
    from umekomi.types import Embeddings, Role

__all__ = ["Embedder", "Embeddings", "ModelCard", "Role", "UmekomiError", "__version__", "open_embedder"]

_HOMES = {
    "Embedder": "umekomi.embedding.embedder",
    "Embeddings": "umekomi.types",
    "ModelCard": "umekomi.models.card",
    "Role": "umekomi.types",
    "UmekomiError": "umekomi.errors",
    "open_embedder": "umekomi.embedding.embedder",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'umekomi' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
