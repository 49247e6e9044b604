"""What a user may choose about an improvement: what each of its steps takes, together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from umekomi.synthesize.making import Writer
from umekomi.synthesize.settings import SynthesisSettings
from umekomi.train.settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class ImproveSettings:
    """How a model is improved on documents. ``synthesis.target`` is ``training.base``.

    documents  files and folders of them, or one corpus.jsonl
    writer     the LLM that writes queries
    general    data sets on which the model must lose nothing, as `umekomi.train.run.train` takes them
    """

    documents: tuple[Path, ...]
    writer: Writer
    synthesis: SynthesisSettings
    training: TrainingSettings
    general: tuple[str, ...]
