"""A model's files on disk, checked and described: what a source hands to an engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.models.architectures import BUILDABLE, generates, hidden_size, max_positions, positive_int
from umekomi.models.card import DenseLayer, ModelCard, NormLayer
from umekomi.models.catalog import CatalogEntry
from umekomi.models.digests import DigestCache, combine
from umekomi.models.files import front_matter, read_object, read_optional_object
from umekomi.models.gguf import read_gguf_card
from umekomi.models.layout import Layout, read_layout, read_prompts, read_transformer_settings
from umekomi.models.ranking import is_reranker
from umekomi.models.weights import SINGLE, Weights, find_weights

TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "spm.model",
    "vocab.json",
    "merges.txt",
)
_TOKENIZER_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")

# Keys of config.json that say who saved it, not what it computes.
_NOT_COMPUTED = frozenset({"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"})

_RANKING = Layout("cls", normalize=False)
"""Of a model that makes no vectors, whose card has to say something."""

_GENERATING_NOTICE = "made for generating text: its vectors are the mean of its last hidden states"

_NO_LIMIT = 1_000_000
"""A model_max_length over this is transformers' way of saying that there is none."""


@dataclass(frozen=True)
class Bundle:
    """A model's card beside its files; all paths exist and were checked when the bundle was opened.

    folder    the model's root
    weights   safetensors shards in order, or one ONNX or GGUF file
    config    the transformer's config.json (empty for GGUF)
    """

    card: ModelCard
    folder: Path
    weights: tuple[Path, ...]
    config: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who a folder's files are, as far as a source knows.

    name     how the model was asked for, without a revision
    source   as `ModelCard.source`
    entry    the catalog's entry for exactly these files, or None
    licence  where the files themselves name none
    notice   what a user must know about these weights, or None
    """

    name: str
    source: str
    entry: CatalogEntry | None = None
    licence: str | None = None
    notice: str | None = None


def open_bundle(
    folder: Path, origin: Origin, *, digests: DigestCache, notify: Callable[[str], None] | None = None
) -> Bundle:
    """The model in ``folder``. Catalog values fill gaps; where the files contradict them, the files win and
    ``notify`` says so.

    Raises `BrokenModel` naming a file that is missing, cut short or does not fit, and `UnsupportedModel` for an
    unknown pooling, pickled weights, code of the model's own, or modules that no engine runs.
    """
    config_file = folder / "config.json"
    if not config_file.exists():
        ggufs = sorted(folder.glob("*.gguf"))
        if len(ggufs) == 1:
            return open_gguf(ggufs[0], origin, digests=digests)
        raise BrokenModel(f"{config_file}: is missing; a model's folder holds config.json, a tokenizer and weights")
    config = read_object(config_file)
    _refuse_remote_code(config, config_file)
    _refuse_remote_code(read_optional_object(folder / "tokenizer_config.json"), folder / "tokenizer_config.json")
    architecture = config.get("model_type")
    if not isinstance(architecture, str):
        raise BrokenModel(f"{config_file}: model_type is {architecture!r}; expected the architecture's name")
    width = hidden_size(config, config_file)
    ranks = is_reranker(folder, config)
    layout = _RANKING if ranks else read_layout(folder, width) or _unstated_layout(origin, folder, config)
    weights = find_weights(folder, name=origin.name, onnx_first=onnx_goes_first(folder, config))
    settings = read_transformer_settings(folder)
    if not ranks and settings.get("transformer_task") == "sequence-classification":
        raise UnsupportedModel(f"{folder}: its transformer classifies, and modules.json pools its states")
    card = ModelCard(
        name=origin.name,
        source=origin.source,
        format=weights.format,
        architecture=architecture,
        dim=layout.dense[-1].out_features if layout.dense else width,
        max_tokens=_max_tokens(folder, config, settings, origin.entry),
        pooling=layout.pooling,
        normalize=layout.normalize,
        weights_digest=_weights_digest(config, _content(folder, weights, layout.dense), digests),
        tokenizer_digest=_tokenizer_digest(folder, config, settings, digests),
        dense=layout.dense,
        in_pieces=layout.in_pieces,
        prompts=MappingProxyType({} if ranks else {**_known_prompts(origin), **read_prompts(folder)}),
        capabilities=("rerank",) if ranks else ("embedding",),
        notice=_notice(layout, origin, notify),
    )
    card = _with_readme(card, folder, origin)
    if origin.entry and notify:
        _report_contradictions(card, origin.entry, notify)
    return Bundle(card, folder, weights.files, MappingProxyType(config))


def _known_prompts(origin: Origin) -> Mapping[str, str]:
    return origin.entry.prompts if origin.entry else {}


def onnx_goes_first(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether a shipped ONNX file is opened rather than safetensors: for encoders whose graph no engine builds.

    Those of generating models take a cache of the past, and those of rerankers give no states of tokens.
    """
    if config.get("model_type") in BUILDABLE or generates(config):
        return False
    return not is_reranker(folder, config)


def by_safetensors(bundle: Bundle, *, digests: DigestCache) -> Bundle:
    """``bundle`` by the safetensors that lie beside its shipped ONNX file; itself where there are none.

    Raises `BrokenModel` for safetensors that are cut short.
    """
    if bundle.card.format != "onnx":
        return bundle
    weights = find_weights(bundle.folder, name=bundle.card.name, onnx_first=False)
    if weights.format != "safetensors":
        return bundle
    digest = _weights_digest(bundle.config, _content(bundle.folder, weights, bundle.card.dense), digests)
    card = replace(bundle.card, format=weights.format, weights_digest=digest)
    return replace(bundle, card=card, weights=weights.files)


def open_gguf(path: Path, origin: Origin, *, digests: DigestCache) -> Bundle:
    """The model in one GGUF file, of any capability. Raises `BrokenModel` and `UnsupportedModel`."""
    facts = read_gguf_card(path)
    digest = digests.sha256(path)
    card = ModelCard(
        name=origin.name,
        source=origin.source,
        format="gguf",
        architecture=facts.architecture,
        dim=facts.dim,
        max_tokens=facts.max_tokens,
        pooling=facts.pooling,
        normalize=True,  # llama.cpp's embeddings have unit length
        weights_digest=digest,
        tokenizer_digest=digest,
        prompts=MappingProxyType(dict(_known_prompts(origin))),
        capabilities=facts.capabilities,
        licence=facts.licence or origin.licence,
        notice=origin.notice,
    )
    return Bundle(card, path.parent, (path,), MappingProxyType({}))


def _refuse_remote_code(settings: Mapping[str, Any], path: Path) -> None:
    if settings.get("auto_map"):
        raise UnsupportedModel(
            f"{path}: auto_map asks to run code that the model ships (trust_remote_code), which is never done; "
            "use a model whose architecture is supported by name"
        )


def _unstated_layout(origin: Origin, folder: Path, config: Mapping[str, Any]) -> Layout:
    """What the catalog knows; for a model that generates text, vectors as FastChat makes them of any such model."""
    if origin.entry is not None:
        return Layout(origin.entry.pooling, origin.entry.normalize)
    if generates(config):
        return Layout("mean", normalize=True, in_pieces=True)
    raise UnsupportedModel(
        f"{origin.name}: {folder / 'modules.json'} is missing, so nothing states the pooling, and a guess "
        "would give wrong vectors; add modules.json and 1_Pooling/config.json with the pooling_mode of the "
        "model's documentation, as SentenceTransformer.save writes them"
    )


def _notice(layout: Layout, origin: Origin, notify: Callable[[str], None] | None) -> str | None:
    if not layout.in_pieces:
        return origin.notice
    if notify:
        notify(f"{origin.name}: {_GENERATING_NOTICE}")
    return f"{origin.notice}; {_GENERATING_NOTICE}" if origin.notice else _GENERATING_NOTICE


def _max_tokens(
    folder: Path, config: Mapping[str, Any], settings: Mapping[str, Any], entry: CatalogEntry | None
) -> int:
    """Longest text in tokens: what is shipped, else what the catalog knows, and never over the position table."""
    config_file = folder / "config.json"
    positions = max_positions(config, config_file)
    stated = settings.get("max_seq_length")
    if stated is not None:
        limit: int | None = positive_int(stated, "max_seq_length", folder / "sentence_bert_config.json")
    else:
        limit = _tokenizer_limit(folder) or (entry.max_tokens if entry else None)
    known = [value for value in (limit, positions) if value is not None]
    if not known:
        raise UnsupportedModel(
            f"{folder}: nothing states the longest input; set max_seq_length in sentence_bert_config.json"
        )
    return min(known)


def _tokenizer_limit(folder: Path) -> int | None:
    stated = read_optional_object(folder / "tokenizer_config.json").get("model_max_length")
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not 0 < stated <= _NO_LIMIT:
        return None
    return int(stated)


def _content(folder: Path, weights: Weights, layers: Sequence[DenseLayer | NormLayer]) -> list[Path]:
    """Every file whose bytes are weights, those of the layers after the pooling too."""
    return [*weights.content, *(folder / layer.path / SINGLE for layer in layers)]


def _weights_digest(config: Mapping[str, Any], files: Sequence[Path], digests: DigestCache) -> str:
    """Over all weights, and over what config.json says of the computation."""
    computed = {key: value for key, value in config.items() if key not in _NOT_COMPUTED}
    return combine([json.dumps(computed, sort_keys=True), *(digests.sha256(path) for path in files)])


def _tokenizer_digest(
    folder: Path, config: Mapping[str, Any], settings: Mapping[str, Any], digests: DigestCache
) -> str:
    vocabularies = [name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if not vocabularies:
        raise BrokenModel(f"{folder}: no tokenizer; looked for {', '.join(TOKENIZER_FILES[:5])}")
    if vocabularies[0] == "tokenizer.json" and not _splits_with_mecab(folder, config):
        vocabularies = ["tokenizer.json"]  # complete in itself
    names = [*vocabularies, *(name for name in _TOKENIZER_SETTINGS if (folder / name).is_file())]
    lower = bool(settings.get("do_lower_case"))
    return combine([f"do_lower_case={lower}", *(f"{name}={digests.sha256(folder / name)}" for name in names)])


def _splits_with_mecab(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether its tokenizer is read from vocab.txt even where there is a tokenizer.json."""
    settings = read_optional_object(folder / "tokenizer_config.json")
    return "BertJapaneseTokenizer" in (settings.get("tokenizer_class"), config.get("tokenizer_class"))


def _with_readme(card: ModelCard, folder: Path, origin: Origin) -> ModelCard:
    """Licence and languages as the README's first block states them, else as the catalog or the source knows."""
    stated = front_matter(folder / "README.md")
    licence, languages = stated.get("license"), stated.get("language")
    entry = origin.entry
    known_licence = (entry.licence if entry else None) or origin.licence
    languages = [languages] if isinstance(languages, str) else languages
    if not isinstance(languages, list) or not all(isinstance(code, str) for code in languages):
        languages = []
    return replace(
        card,
        licence=known_licence or (licence if isinstance(licence, str) else None),
        languages=(entry.languages if entry else ()) or tuple(languages),
    )


def _report_contradictions(card: ModelCard, entry: CatalogEntry, notify: Callable[[str], None]) -> None:
    """One line for each value in which the files differ from what is known of the model under this name."""
    for key in ("dim", "max_tokens", "pooling", "normalize"):
        shipped, known = getattr(card, key), getattr(entry, key)
        if shipped != known:
            notify(f"{card.name}: its files say {key} {shipped!r}, the catalog {known!r}; the files are followed")
    for name, known in entry.prompts.items():
        shipped = card.prompts.get(name, "")
        if shipped != known:
            notify(
                f"{card.name}: its {name} prompt is {shipped!r}, the catalog's {known!r}; the files are followed"
            )
