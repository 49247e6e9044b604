"""What known models expect and do not always ship: prompts, pooling, context. Data only, from their model cards.

A catalog value fills a gap; where a model's own files say something else, the files win.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from umekomi.models.card import Pooling

_XLM_R_LANGUAGES = """
    af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy
    id is it ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa
    sd si sk sl so sq sr su sv sw ta te th tl tr ug uk ur uz vi xh yi zh
"""
_PARAPHRASE_LANGUAGES = """
    ar bg ca cs da de el en es et fa fi fr gl gu he hi hr hu hy id it ja ka ko ku lt lv mk mn mr ms my nb nl
    pl pt ro ru sk sl sq sr sv th tr uk ur vi zh
"""


@dataclass(frozen=True)
class CatalogEntry:
    """A known model, by its hub id. Units and words as in `umekomi.models.card.ModelCard`."""

    hub_id: str
    dim: int
    max_tokens: int
    pooling: Pooling
    normalize: bool
    licence: str
    languages: tuple[str, ...]
    prompts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def short_name(self) -> str:
        """The id without its owner."""
        return self.hub_id.rpartition("/")[2]


# Card: every input starts with "query: " or "passage: ", in any language; mean pooling, then unit length.
_E5_PROMPTS = MappingProxyType({"query": "query: ", "document": "passage: "})

# Card (v1.5): an instruction for short queries against long passages; none for passages; the first token's state.
_BGE_PROMPTS = MappingProxyType({"query": "Represent this sentence for searching relevant passages: "})

# Card: "1+3 prefixes": nothing for meaning, and one each for topics, search queries and documents to search.
_RURI_PROMPTS = MappingProxyType(
    {"query": "検索クエリ: ", "document": "検索文書: ", "topic": "トピック: ", "meaning": ""}
)


def _e5(size: str, dim: int) -> CatalogEntry:
    return CatalogEntry(
        hub_id=f"intfloat/multilingual-e5-{size}",
        dim=dim,
        max_tokens=512,
        pooling="mean",
        normalize=True,
        licence="MIT",
        languages=tuple(_XLM_R_LANGUAGES.split()),
        prompts=_E5_PROMPTS,
    )


def _bge(size: str, dim: int) -> CatalogEntry:
    return CatalogEntry(
        hub_id=f"BAAI/bge-{size}-en-v1.5",
        dim=dim,
        max_tokens=512,
        pooling="cls",
        normalize=True,
        licence="MIT",
        languages=("en",),
        prompts=_BGE_PROMPTS,
    )


def _ruri(size: str, dim: int) -> CatalogEntry:
    return CatalogEntry(
        hub_id=f"cl-nagoya/ruri-v3-{size}",
        dim=dim,
        max_tokens=8192,
        pooling="mean",
        normalize=False,  # two modules only; the card compares by cosine
        licence="Apache-2.0",
        languages=("ja",),
        prompts=_RURI_PROMPTS,
    )


_ALL = (
    _e5("small", 384),
    _e5("base", 768),
    _e5("large", 1024),
    # Card: 50+ languages, 128 tokens, mean pooling, no Normalize module.
    CatalogEntry(
        hub_id="sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        dim=384,
        max_tokens=128,
        pooling="mean",
        normalize=False,
        licence="Apache-2.0",
        languages=tuple(_PARAPHRASE_LANGUAGES.split()),
    ),
    # Card: max_seq_length 128, mean pooling, no Normalize module.
    CatalogEntry(
        hub_id="sentence-transformers/stsb-xlm-r-multilingual",
        dim=768,
        max_tokens=128,
        pooling="mean",
        normalize=False,
        licence="Apache-2.0",
        languages=tuple(_PARAPHRASE_LANGUAGES.split()),
    ),
    # Card: its example class takes the mean of the last hidden states under the attention mask and does not
    # normalise; the repository has no modules.json. 512 tokens: 514 positions less the two that RoBERTa keeps.
    CatalogEntry(
        hub_id="sonoisa/sentence-luke-japanese-base-lite",
        dim=768,
        max_tokens=512,
        pooling="mean",
        normalize=False,
        licence="Apache-2.0",
        languages=("ja",),
    ),
    _bge("base", 768),
    _bge("small", 384),
    # Card: dense vectors are the first token's normalised state; no instruction is needed for queries.
    CatalogEntry(
        hub_id="BAAI/bge-m3",
        dim=1024,
        max_tokens=8192,
        pooling="cls",
        normalize=True,
        licence="MIT",
        languages=tuple(_XLM_R_LANGUAGES.split()),
    ),
    # Card: longer input is cut at 256 word pieces; mean pooling, then unit length.
    CatalogEntry(
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
        dim=384,
        max_tokens=256,
        pooling="mean",
        normalize=True,
        licence="Apache-2.0",
        languages=("en",),
    ),
    _ruri("30m", 256),
    _ruri("130m", 512),
    _ruri("310m", 768),
)

CATALOG: Mapping[str, CatalogEntry] = MappingProxyType({entry.hub_id: entry for entry in _ALL})
"""Known models by hub id."""

_BY_FOLDED_ID = {entry.hub_id.casefold(): entry for entry in _ALL}


def find_entry(hub_id: str) -> CatalogEntry | None:
    """The catalog's entry for a hub id, in any case of letters as the hub itself takes it; None where unknown."""
    return _BY_FOLDED_ID.get(hub_id.casefold())
