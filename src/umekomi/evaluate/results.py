"""The schema of results.json: frozen records, one for each line that the file and the tables hold."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = "umekomi-results-1"
"""Changes when a reader of the last one would misread a file."""

Verdict: TypeAlias = Literal["better", "worse", "tied"]
"""About ``a`` in a comparison of ``a`` with ``b``."""


class Record(BaseModel):
    """A part of results.json: immutable; a reader ignores keys that a later version added."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DatasetRecord(Record):
    """A data set as it was used."""

    name: str
    kind: Literal["labels", "pairs", "retrieval"]
    items: int = Field(description="Texts, pairs or queries that were scored.")
    texts: int = Field(description="Texts that were embedded for it.")
    digest: str = Field(description="SHA-256 over texts and answers: equal digests mean the same task.")
    source: str
    licence: str = ""
    language: str = ""
    preparation: tuple[str, ...] = ()
    columns: dict[str, str] = Field(default_factory=dict)
    guessed: tuple[str, ...] = ()
    skipped: dict[str, int] = Field(default_factory=dict)
    grouped: bool = Field(default=False, description="Whether items were resampled in groups.")
    warnings: tuple[str, ...] = Field(default=(), description="What a reader of the scores must know.")


class CostRecord(Record):
    """What a model costs, measured in this run on this machine; null where it was not or cannot be measured."""

    tokens_per_s: float | None = None
    texts_per_s: float | None = None
    batch: str = Field(default="", description="How the texts were put together.")
    warm_up_s: float | None = None
    latency_ms: float | None = Field(default=None, description="Median time of one short text, warm.")
    peak_memory_bytes: int | None = Field(default=None, description="Peak of this process above idle.")
    gpu_memory_bytes: int | None = Field(default=None, description="GPU memory of this process alone.")
    bytes_per_vector: int | None = None
    device: str = ""
    note: str = ""


class ModelRecord(Record):
    """A model as it was used."""

    name: str
    fingerprint: str
    dim: int
    precision: str = ""
    max_tokens: int | None = None
    prompts: dict[str, str] = Field(default_factory=dict)
    endpoint: str | None = None
    licence: str = ""
    notice: str = ""
    cost: CostRecord = CostRecord()


class ScoreRecord(Record):
    """One metric of one model on one data set."""

    dataset: str
    model: str
    metric: str
    value: float
    ci95: tuple[float, float] | None = Field(description="Null for a figure that was only taken over or repeated.")
    items: int
    role: str = Field(description="Role of the texts: document, query or raw; query/document for retrieval.")


class ComparisonRecord(Record):
    """``a`` against ``b``, paired item by item: ``delta`` is a's value minus b's."""

    dataset: str
    metric: str
    a: str
    b: str
    delta: float
    ci95: tuple[float, float]
    p: float
    p_adjusted: float = Field(description="By Holm over all pairs of models of this data set and metric.")
    verdict: Verdict
    sentence: str
    items_to_separate: int | None = Field(default=None, description="Further items that would separate a tie.")


class RankRecord(Record):
    """A model's place on one data set; models that cannot be told apart share it."""

    dataset: str
    metric: str
    model: str
    rank: int
    value: float


class VerdictRecord(Record):
    """What may be said of all models by one metric of one data set, in a sentence."""

    dataset: str
    metric: str
    sentence: str


class SpaceRecord(Record):
    """The shape of a model's vectors on one data set: ``name`` is hubness_skewness or the like."""

    dataset: str
    model: str
    name: str
    value: float


class CurvePoint(Record):
    """A metric with fewer dimensions or coarser numbers. ``variant``: ``dim=128``, ``int8`` or the like."""

    dataset: str
    model: str
    metric: str
    curve: Literal["dimensions", "precision"]
    variant: str
    bytes_per_vector: int
    value: float
    ci95: tuple[float, float] | None = None


class AuditRecord(Record):
    """A finding of an audit, such as what a model's prompts are worth."""

    audit: str
    dataset: str
    model: str
    finding: str
    warning: bool = False
    details: dict[str, Any] = Field(default_factory=dict)


class Results(Record):
    """The whole of results.json."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    umekomi: str
    created: str = Field(description="ISO 8601, UTC.")
    machine: dict[str, Any] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict, description="Seed, resamples, k and the like.")
    datasets: tuple[DatasetRecord, ...]
    models: tuple[ModelRecord, ...]
    scores: tuple[ScoreRecord, ...]
    comparisons: tuple[ComparisonRecord, ...] = ()
    ranking: tuple[RankRecord, ...] = ()
    verdicts: tuple[VerdictRecord, ...] = ()
    space: tuple[SpaceRecord, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    audits: tuple[AuditRecord, ...] = ()
    notes: tuple[str, ...] = ()

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
