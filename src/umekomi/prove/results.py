"""The schema of training_report.json: frozen records; training, the sweep and the gate fill in theirs."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict, Field

from umekomi.evaluate.results import DatasetRecord, ModelRecord, Record
from umekomi.evaluate.results import Verdict as Direction

SCHEMA = "umekomi-training-report-1"
"""Changes when a reader of the last one would misread a file."""

Verdict: TypeAlias = Literal["IMPROVED", "TIED", "REGRESSED"]
"""About the tuned model against its base. The rule: `verdict.decide`."""

Part: TypeAlias = Literal["domain", "preference", "general"]
"""What a data set is for: the subject that was trained, people's ratings that were trained, or what to keep."""


class ProvedModel(Record):
    """The files that were proved. A model whose files differ was not."""

    path: str = Field(description="Folder of the model, from the report's folder.")
    fingerprint: str
    weights_digest: str = Field(description="SHA-256 over `files`, in the order of their names.")
    files: dict[str, str] = Field(description="Name to SHA-256 of every file but the README and hidden ones.")


class MetricRecord(Record):
    """One metric of one model on one data set. Models are ``base``, ``tuned`` and ``alpha=0.3`` or the like."""

    part: Part
    dataset: str
    model: str
    metric: str
    value: float
    ci95: tuple[float, float] | None = Field(description="Null where there are too few groups to draw from.")
    items: int
    groups: int | None = Field(default=None, description="Documents whose items are drawn together.")


class ComparisonRecord(Record):
    """The tuned model against its base, paired item by item: ``delta`` is tuned minus base."""

    part: Part
    dataset: str
    metric: str
    base: float
    tuned: float
    delta: float
    ci95: tuple[float, float] | None
    p: float | None = Field(description="Two-sided, by the randomisation test over groups.")
    p_adjusted: float | None = Field(
        description="Corrected for all that decides, or for a data set's other metrics."
    )
    decides: bool = Field(description="Whether the verdict rests on it: the primary metric of its data set.")
    verdict: Direction
    wins: int | None = Field(description="Items on which the tuned model is better; null for correlations.")
    ties: int | None
    losses: int | None
    detectable: float | None = Field(
        description="Smallest change that would have been found with 80 % probability."
    )
    items: int
    groups: int | None = None
    sentence: str


class AlphaRecord(Record):
    """A share of the way from base to tuned: θ = base + α(tuned − base). Chosen by dev and the general sets."""

    alpha: float
    chosen: bool
    dev: float | None = Field(default=None, description="Primary metric on the dev split.")
    general: dict[str, float] = Field(default_factory=dict, description="Data set to primary metric, by the sweep.")
    metrics: tuple[MetricRecord, ...] = Field(
        default=(), description="On the test split; for looking, not choosing."
    )


class CauseRecord(Record):
    """A training pair that likely moved an example, with where its text was read."""

    query: str
    positive: str
    query_similarity: float = Field(description="Cosine of the example's query and the pair's, by the tuned model.")
    text_similarity: float = Field(description="Cosine of the text that moved and the pair's positive.")
    chunk_id: str = ""
    source: str = ""
    page: int | None = None


class ExampleRecord(Record):
    """A test item that changed its place: a query whose right text did, or a pair of texts among all pairs."""

    dataset: str
    query: str
    expected: str
    base_rank: int | None = Field(description="From 1; null beyond `depth`. Of a pair: its place by cosine.")
    tuned_rank: int | None
    rated_rank: int | None = Field(default=None, description="Of a pair: its place by people's ratings.")
    depth: int
    better: bool
    overtaken_by: str | None = Field(default=None, description="Where it fell: the first text that is no answer.")
    causes: tuple[CauseRecord, ...] = ()


class LearningPoint(Record):
    """One line of curve.jsonl; ``dev`` where the dev split was scored."""

    step: int
    epoch: float | None = None
    loss: float | None = None
    dev: float | None = None
    learning_rate: float | None = None


class DataRecord(Record):
    """What the model was trained on."""

    source: str = ""
    objective: str = "ranking"
    train: int = 0
    dev: int = 0
    test: int = 0
    corpus: int = 0
    documents: dict[str, int] = Field(default_factory=dict, description="Split to the number of its documents.")
    digests: dict[str, str] = Field(default_factory=dict, description="File to the SHA-256 of its content.")
    skipped: dict[str, int] = Field(default_factory=dict, description="Reason to the number of rows left out.")
    notes: tuple[str, ...] = ()


class TrainedRecord(Record):
    """How training went. ``dev_metric`` names what the curve's ``dev`` is."""

    settings: dict[str, Any] = Field(default_factory=dict)
    curve: tuple[LearningPoint, ...] = ()
    dev_metric: str = ""
    steps: int | None = None
    best_step: int | None = None
    seconds: float | None = None
    device: str = ""
    ended: str = Field(default="", description="Why training ended where it did, if not at its last step.")
    notes: tuple[str, ...] = ()


class GateCheck(Record):
    """Vectors of the exported model against those of the trained one, over fixed texts and texts of the data."""

    name: str = Field(description="Such as fp32 or int8.")
    texts: int
    min_cosine: float
    mean_cosine: float
    limit: str = Field(description="Such as 'min ≥ 0.9999'.")
    passed: bool


class GateRecord(Record):
    """Whether the exported files give the vectors of the model that was trained."""

    passed: bool
    checks: tuple[GateCheck, ...] = ()
    notes: tuple[str, ...] = ()


class DatasetUse(Record):
    """A data set of the proof and what it was for. ``groups``: documents or the like; null: every item alone."""

    part: Part
    primary: str
    dataset: DatasetRecord
    groups: int | None = None


class TrainingReport(Record):
    """The whole of training_report.json."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    umekomi: str
    created: str = Field(description="ISO 8601, UTC.")
    verdict: Verdict
    sentence: str = Field(description="What happened, in one sentence.")
    reasons: tuple[str, ...] = Field(
        default=(), description="Why the verdict is what it is, and what it cannot say."
    )
    base: ModelRecord
    tuned: ModelRecord
    model: ProvedModel | None = None
    metrics: tuple[MetricRecord, ...]
    comparisons: tuple[ComparisonRecord, ...]
    alphas: tuple[AlphaRecord, ...] = ()
    examples: tuple[ExampleRecord, ...] = ()
    datasets: tuple[DatasetUse, ...]
    data: DataRecord = DataRecord()
    training: TrainedRecord = TrainedRecord()
    gate: GateRecord | None = None
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Of the proof: tolerated loss, seed and more."
    )
    machine: dict[str, Any] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
