"""The README of an exported model: licence and origin as the hub reads them, and for people how it was made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from umekomi.models.bundle import Bundle
from umekomi.models.card import DenseLayer, ModelCard
from umekomi.models.starters import find_starter
from umekomi.train.examples import TrainingData
from umekomi.train.merging import Sweep
from umekomi.train.settings import TrainingSettings
from umekomi.writing import replacing

README = "README.md"
_PROOF = "## Proof"

_PACKAGES = (
    "umekomi",
    "sentence-transformers",
    "transformers",
    "torch",
    "peft",
    "accelerate",
    "onnxruntime",
    "numpy",
)
"""Whose versions decide what comes out."""

_FOLDER_MARKS = ("/", "\\", ".", "~")


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a model was made from. ``training``: further facts, such as steps and seconds, by name."""

    settings: TrainingSettings
    data: TrainingData
    sweep: Sweep | None = None
    training: Mapping[str, Any] | None = None


def write_readme(folder: Path, base: Bundle, *, alpha: float, provenance: Provenance, graphs: bool) -> None:
    """Write README.md for the model of ``base`` in ``folder``; `add_proof` fills its last part."""
    parts = (
        _front_matter(base.card),
        _opening(base.card, alpha),
        _use(base.card),
        _training(provenance, base.card),
        _graphs(base.card, tokenizer=(folder / "tokenizer.json").exists()) if graphs else "",
        _proof(["Not proved yet."]),
    )
    _write(folder / README, "\n\n".join(part for part in parts if part) + "\n")


def add_proof(folder: Path, lines: Sequence[str]) -> None:
    """Put ``lines``, a paragraph each, under the README's heading of the proof. Raises `StoreError`."""
    text = (folder / README).read_text(encoding="utf-8")
    _write(folder / README, text.partition(f"\n{_PROOF}\n")[0] + "\n" + _proof(lines) + "\n")


def base_model(card: ModelCard) -> str:
    """What the model came from, as the hub knows it; of a folder its name only, since paths are private."""
    if card.source.startswith("hub:"):
        return card.source.removeprefix("hub:").partition("@")[0]
    if card.source.startswith("wheel:") and (starter := find_starter(card.name)):
        return starter.hub_id
    return Path(card.name).name


def _front_matter(card: ModelCard) -> str:
    content: dict[str, Any] = {"base_model": base_model(card)}
    if card.licence:
        known = re.fullmatch(r"[\w.+-]+", card.licence)
        content = {"license": card.licence.lower() if known else card.licence, **content}  # as the hub spells them
    if card.languages:
        content["language"] = list(card.languages)
    content |= {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "feature-extraction", "umekomi"],
    }
    return f"---\n{yaml.safe_dump(content, allow_unicode=True, sort_keys=False)}---"


def _opening(card: ModelCard, alpha: float) -> str:
    share = "its weights as they were after training" if alpha == 1 else f"base + {alpha:g} (tuned − base)"
    lines = [
        f"# {base_model(card)}, tuned with umekomi",
        f"A text embedding model tuned from `{base_model(card)}` (fingerprint `{card.fingerprint}`): {share}.",
    ]
    if card.licence:
        lines.append(
            f"The base's licence, {_plain(card.licence)}, holds for this model too; so may that of the data."
        )
    else:
        lines.append("The licence of the base is not known: find out before you pass this model on.")
    if card.notice:
        lines.append(f"About the base: {_plain(card.notice)}.")
    return "\n\n".join(lines)


def _use(card: ModelCard) -> str:
    prompts = [f"- {role}: `{_in_line(card.prompts.get(role) or '')}`" for role in ("query", "document")]
    return "\n".join(
        [
            "## Use",
            "",
            f"Vectors of {card.dim} numbers of texts of up to {card.max_tokens} tokens. Texts get a prompt by what",
            "they are for:",
            "",
            *prompts,
            "",
            "```python",
            "from sentence_transformers import SentenceTransformer",
            "",
            'model = SentenceTransformer("path/to/this/folder")',
            "queries = model.encode_query(texts)",
            "documents = model.encode_document(texts)",
            "```",
            "",
            "With umekomi: `umekomi.open_embedder(folder)`; to serve it, `umekomi promote`, or the folder as the",
            "`source` of a model in `umekomi.yaml`. Vectors of the base and of this model cannot be compared: an",
            "index has to be embedded anew.",
        ]
    )


def _training(provenance: Provenance, base: ModelCard) -> str:
    data, settings = provenance.data, provenance.settings
    record = {key: value for key, value in settings.record().items() if key != "base"}
    facts: dict[str, Any] = {
        "trained": datetime.now(UTC).date().isoformat(),
        "pairs": f"{len(data.train)} to train, {len(data.dev)} dev, {len(data.test)} test ({data.objective})",
        **{key: _shown(value) for key, value in record.items()},
        **(provenance.training or {}),
    }
    said = {key: value for key, value in facts.items() if value not in (None, "")}
    lines = ["## Training", "", *_table(("setting", "value"), said)]
    lines += ["", "Data, by the SHA-256 of each file:", "", *_table(("file", "SHA-256"), data.digests)]
    if data.notes:
        lines += ["", *(f"- {_plain(note.replace(base.name, base_model(base)))}" for note in data.notes)]
    if provenance.sweep is not None:
        lines += ["", *_sweep(provenance.sweep)]
    lines += ["", *_table(("package", "version"), {name: found for name in _PACKAGES if (found := _version(name))})]
    return "\n".join(lines)


def _sweep(sweep: Sweep) -> list[str]:
    lines = [f"Of the way from base to tuned weights: {_plain(sweep.sentence)}."]
    if sweep.base is None:
        return lines
    rows = [
        [f"{trial.alpha:g}", *(f"{score:.4f}" for score in trial.scores.values())]
        for trial in (sweep.base, *sweep.trials)
    ]
    return [*lines, "", *_rows(["alpha", *(f"{name} ({metric})" for name, metric in sweep.metrics.items())], rows)]


def _graphs(card: ModelCard, *, tokenizer: bool) -> str:
    """How to run the graphs without umekomi: they give token states, and the rest is a few lines."""
    tokens = ["ids = [...]  # of each text with its prompt, by the model's own tokenizer"]
    if tokenizer:
        tokens = [
            'tokenizer = Tokenizer.from_file("tokenizer.json")',
            f"tokenizer.enable_truncation({card.max_tokens})",
            "tokenizer.no_padding()",
            "ids = [encoding.ids for encoding in tokenizer.encode_batch([prompt + text for text in texts])]",
        ]
    return "\n".join(
        [
            "## ONNX",
            "",
            "`onnx/fp32` and `onnx/int8` are the graphs that umekomi builds, and runs in ONNX Runtime. They are no",
            "graphs of optimum: texts lie end to end, without padding or a mask.",
            "",
            "| | name | type | shape | |",
            "|---|---|---|---|---|",
            "| input | `ids` | int32 | (tokens,) | token ids of all texts, special tokens among them, end to end |",
            "| input | `lengths` | int32 | (texts,) | tokens of each text; none is 0 |",
            "| output | `states` | float32 | (tokens, hidden) | last hidden states, in the order of `ids` |",
            "",
            "```python",
            "import numpy as np",
            "import onnxruntime",
            "from tokenizers import Tokenizer",
            "",
            *tokens,
            "lengths = np.array([len(own) for own in ids], np.int32)",
            'session = onnxruntime.InferenceSession("onnx/fp32/graph.onnx")',
            'inputs = {"ids": np.concatenate(ids).astype(np.int32), "lengths": lengths}',
            'states = np.split(session.run(["states"], inputs)[0], np.cumsum(lengths)[:-1])',
            "```",
            "",
            f"A text's vector is then {_head(card)}.",
        ]
    )


def _head(card: ModelCard) -> str:
    """What comes after the token states, in words."""
    pooled = {
        "mean": "the mean of its states",
        "cls": "its first state",
        "max": "the greatest value of each feature of its states",
        "mean_sqrt_len": "the sum of its states over the square root of their number",
        "weightedmean": "the mean of its states, the first weighing 1, the next 2 and so on",
        "lasttoken": "its last state",
    }[card.pooling]
    steps = [pooled]
    for layer in card.dense:
        if isinstance(layer, DenseLayer):
            then = "" if layer.activation == "identity" else f", then {layer.activation}"
            steps.append(f"times the linear layer in `{layer.path}`{then}")
        else:
            steps.append(f"the layer normalisation in `{layer.path}`")
    return ", ".join([*steps, *(["scaled to unit length"] if card.normalize else [])])


def _proof(lines: Iterable[str]) -> str:
    return "\n\n".join([_PROOF, *map(_plain, lines)])


def _plain(text: str) -> str:
    """``text`` of a base or of data as one line of Markdown that begins no heading and no HTML of its own."""
    return " ".join(text.split()).replace("<", "&lt;")


def _in_line(code: str) -> str:
    """``code`` for between backticks, with its spaces."""
    return code.replace("`", "'").replace("\n", "\\n").replace("\r", "\\r")


def _shown(value: Any) -> Any:
    """A setting without a path that may be private."""
    if isinstance(value, str) and (value.startswith(_FOLDER_MARKS) or Path(value).exists()):
        return Path(value).name
    return ", ".join(str(each) for each in value) if isinstance(value, list | tuple) else value


def _table(heads: tuple[str, str], content: Mapping[str, Any]) -> list[str]:
    return _rows(list(heads), [[str(key), str(value)] for key, value in content.items()])


def _rows(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [list(heads), ["---"] * len(heads), *rows]
    return ["| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in row) + " |" for row in cells]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _write(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())
