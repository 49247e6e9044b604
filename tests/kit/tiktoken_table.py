"""tiktoken's tables without its download: rebuilt from the data files of ``bpe-openai``."""

from __future__ import annotations

import gzip
import hashlib
from importlib.util import find_spec
from pathlib import Path

# What tiktoken asks for: the address names the file in its cache, the sha256 is what it insists on.
_TABLES = {
    "cl100k_base": (
        "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
    "o200k_base": (
        "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
}


def write_tiktoken_tables(folder: Path) -> None:
    """Fill ``folder`` so that tiktoken needs no network with ``TIKTOKEN_CACHE_DIR`` pointing at it."""
    spec = find_spec("bpe_openai")
    assert spec is not None
    assert spec.submodule_search_locations
    data = Path(spec.submodule_search_locations[0]) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (address, sha256) in _TABLES.items():
        content = gzip.decompress((data / f"{name}.tiktoken.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == sha256, f"{name}: not the table that tiktoken expects"
        (folder / hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()).write_bytes(content)
