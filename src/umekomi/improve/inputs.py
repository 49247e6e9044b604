"""What each step rests on, as digests: a step is done again where its digest is another, and only there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from umekomi.documents.corpus.run import READER_VERSION
from umekomi.documents.files import Found, find_files
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.tasks import Task
from umekomi.improve.settings import ImproveSettings
from umekomi.models.bundle import Bundle
from umekomi.models.digests import sha256_of_file
from umekomi.models.sources import open_model
from umekomi.synthesize.corpus import CORPUS, given_corpus
from umekomi.synthesize.output.files import RETRIEVAL
from umekomi.synthesize.pairs import SPLITS
from umekomi.synthesize.prompts import LANGUAGES, SCHEMAS, load_prompt
from umekomi.train.fitting.loading import check_training_extra, open_base

PAIRS = "pairs"
TRAINING = "training"

DIGITS = 16
"""Hex digits of a digest: 64 bits tell a change from none."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What an improvement stands on, opened and found usable.

    folder   of the improvement
    general  the data sets on which nothing may be lost
    """

    settings: ImproveSettings
    folder: Path
    base: Bundle
    general: tuple[Task, ...]

    @property
    def pairs(self) -> Path:
        """Folder of the synthesis."""
        return self.folder / PAIRS

    @property
    def corpus(self) -> Path:
        """Where the chunks stand, or will."""
        return given_corpus(self.settings.documents) or self.pairs / CORPUS

    @property
    def corpus_was_given(self) -> bool:
        """Whether the chunks come from somewhere else than documents that are read here."""
        return given_corpus(self.settings.documents) is not None

    @property
    def training(self) -> Path:
        """Folder of the training on the pairs as they are now. Each has one of its own, so that none overwrites a
        model that may be served."""
        return self.folder / f"{TRAINING}-{self.digest_training()}"

    def count_documents(self) -> int:
        """Files to read. Raises `InvalidInput` for a path that does not exist."""
        return sum(1 for _ in self._iter_documents())

    def _iter_documents(self) -> Iterator[Path]:
        yield from (found.path for found in find_files(self.settings.documents) if isinstance(found, Found))

    def digest_documents(self) -> str:
        """Of the documents as they lie there: paths, sizes and times of change. They are not opened for it.

        Raises `InvalidInput` for a path that does not exist.
        """
        files = []
        for path in self._iter_documents():
            status = path.stat()
            files.append([str(path.resolve()), status.st_size, status.st_mtime_ns])
        return _digest(["read", READER_VERSION, self.base.card.tokenizer_digest, files])

    def digest_writing(self) -> str:
        """Of all that decides which pairs there will be, the corpus first.

        What people change in a review is not among it: pairs are trained on as they stand.
        """
        chosen = self.settings.synthesis
        prompts = [
            load_prompt(task, language, folder=chosen.prompts).version for task in SCHEMAS for language in LANGUAGES
        ]
        described = asdict(replace(chosen, prompts=None))
        return _digest(["write", _sha256(self.corpus), described, prompts, identify_llm(self.settings.writer.name)])

    def digest_training(self) -> str:
        """Of all that decides the tuned model and its proof, the pairs first."""
        names = [*(f"{split}.jsonl" for split in SPLITS), f"{RETRIEVAL}/corpus.jsonl"]
        pairs = [_sha256(self.pairs / name) for name in names]
        kept = {task.name: task.origin.digest for task in self.general}
        return _digest(["train", pairs, self.settings.training.record(), self.base.card.fingerprint, kept])


def open_ground(settings: ImproveSettings, folder: Path, *, notify: Callable[[str], None]) -> Ground:
    """Everything that would end the run only after hours of calls, tried first.

    Raises `MissingExtra`, `UnsupportedModel` for a base that cannot be trained, and `InvalidInput` or `ConfigError`
    for a data set that cannot be opened.
    """
    check_training_extra()
    base = open_base(settings.training.base, notify=notify)
    return Ground(settings, folder, base, tuple(open_task(name) for name in settings.general))


def identify_llm(name: str) -> str:
    """What tells an LLM from another, as the ledger of calls does: its name at a server, which may move to another
    address, else its weights.

    Raises what opening the model raises.
    """
    if name.startswith(("http://", "https://")):
        return name.partition("#")[2]
    card = open_model(name).card
    return f"{card.name}@{card.weights_digest}"


def digest_files(paths: Iterable[Path]) -> str:
    """Of the content of files; one that is not there counts as that."""
    return _digest([[path.name, _sha256(path)] for path in paths])


def _sha256(path: Path) -> str:
    return sha256_of_file(path) if path.exists() else ""


def _digest(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
