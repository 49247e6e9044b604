"""`compare`: two sources of vectors on the same texts, from cosines to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from umekomi.errors import InvalidInput, UpstreamError
from umekomi.evaluate.parity import agreement
from umekomi.evaluate.parity.agreement import Float64s, Lengths, Summary, Verdict
from umekomi.evaluate.parity.causes import Cause, normalisation
from umekomi.evaluate.parity.diagnosis import Diagnosis, diagnose_between, diagnose_by_reference
from umekomi.evaluate.parity.habits import reading_of_ids
from umekomi.evaluate.parity.laboratory import Reference
from umekomi.evaluate.parity.probes import Probes, build_probes
from umekomi.evaluate.parity.recipes import Recipe
from umekomi.evaluate.parity.sides import (
    EndpointSide,
    Exchange,
    ReferenceSide,
    Refusal,
    Side,
    Speed,
    ask_all,
    exchange,
)
from umekomi.models.catalog import find_entry
from umekomi.types import Vectors

_NEVER_KEPT = ("dimensions", "order", "another model")


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What two sides gave for the same texts, and what follows.

    names       of the sides, the old one (the index's, or the reference) first
    dimensions  of their vectors
    rows        which texts both embedded, from 0
    cosines     float64, one a row; None where the dimensions differ and the one is no cut of the other
    summary     the cosines in figures
    overlap     share of neighbours that stay when queries come from the new side; None for too few texts
    lengths     how long the vectors of each side are
    speeds      of each side, one request of `sides.WINDOW_TEXTS` texts at a time
    refusals    texts that one side would not embed
    verdict     whether an index of the old side's vectors may be kept, by `agreement.judge`
    cosine_only whether that holds only where the index compares by cosine
    causes      of the differences, most telling first; empty where the sides agree
    notes       what else to know
    """

    names: tuple[str, str]
    dimensions: tuple[int, int]
    rows: tuple[int, ...]
    cosines: Float64s | None
    summary: Summary | None
    overlap: float | None
    lengths: tuple[Lengths, Lengths]
    speeds: tuple[Speed, Speed]
    refusals: tuple[Refusal, ...]
    verdict: Verdict
    cosine_only: bool
    causes: tuple[Cause, ...]
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether the index may stay whatever it compares by, and both sides took the same texts."""
        return self.verdict == "keep" and not self.cosine_only and not self.refusals


def compare(
    first: Side,
    second: Side,
    texts: Sequence[str],
    *,
    reference: Reference | None = None,
    model: str = "",
    advance: Callable[[int], None] = lambda done: None,
    stage: Callable[[str], None] = lambda message: None,
) -> Comparison:
    """Compare ``second``, the new side, with ``first``, the old one, on ``texts``.

    reference  the model that both serve, for experiments; not needed where ``first`` is one
    model      its name, whose known prompts are tried where there is no reference
    advance    called with the number of texts that became ready; ``stage`` with what begins

    Raises `InvalidInput` for no texts, `UpstreamError` and `EngineError` where a side fails.
    """
    if not texts:
        raise InvalidInput("no texts to compare with", param="texts")
    stage("embedding")
    exchanged = exchange((first, second), texts, advance=advance)
    old, new = _of_one_length(exchanged)
    values = agreement.cosines(old, new) if old.shape == new.shape else None
    raw_equal = agreement.same_lengths(exchanged.first, exchanged.second)
    causes = _plain_causes(exchanged, old, new, names=(first.name, second.name))
    notes = _id_notes(first, second)
    if values is not None and not any(cause.kind == "order" for cause in causes):
        probes = build_probes(texts)
        stage("looking for what differs")
        if not _agree(values) or not _probes_agree(first, second, probes, dim=old.shape[1], notes=notes):
            found = _diagnose(first, second, probes, reference=reference, model=model)
            causes += found.causes
            notes += found.notes
            notes += _scope_notes(values, found.causes)
    causes.sort(key=lambda cause: cause.kind not in _NEVER_KEPT)  # the gravest first
    summary = agreement.summarise(values) if values is not None else None
    overlap = agreement.neighbour_overlap(old, new) if summary is not None else None
    useless = summary is None or any(cause.kind in _NEVER_KEPT for cause in causes)
    verdict: Verdict = "rebuild" if useless or summary is None else agreement.judge(summary, overlap)
    return Comparison(
        names=(first.name, second.name),
        dimensions=(exchanged.first.shape[1], exchanged.second.shape[1]),
        rows=exchanged.rows,
        cosines=values,
        summary=summary,
        overlap=overlap,
        lengths=(agreement.lengths_of(exchanged.first), agreement.lengths_of(exchanged.second)),
        speeds=exchanged.speeds,
        refusals=exchanged.refusals,
        verdict=verdict,
        cosine_only=verdict != "rebuild" and not raw_equal,
        causes=tuple(causes),
        notes=tuple(notes),
    )


def _of_one_length(exchanged: Exchange) -> tuple[Vectors, Vectors]:
    """Both sides' vectors, the longer ones cut where the shorter ones are their first components."""
    old, new = exchanged.first, exchanged.second
    dim = min(old.shape[1], new.shape[1])
    if old.shape[1] == new.shape[1]:
        return old, new
    cut = agreement.cosines(old[:, :dim], new[:, :dim])
    return (old[:, :dim], new[:, :dim]) if float(np.median(cut)) >= agreement.DRIFT_COSINE else (old, new)


def _plain_causes(exchanged: Exchange, old: Vectors, new: Vectors, *, names: tuple[str, str]) -> list[Cause]:
    """Causes that the vectors themselves show, without an experiment."""
    causes: list[Cause] = []
    dims = (exchanged.first.shape[1], exchanged.second.shape[1])
    if dims[0] != dims[1] and old.shape != new.shape:
        sentence = f"the sides serve different models: vectors of {dims[0]} and of {dims[1]} dimensions"
        return [Cause("another model", names[1], sentence, "certain")]
    if dims[0] != dims[1]:
        shorter = int(dims[1] < dims[0])
        sentence = (
            f"{names[shorter]} gives the first {min(dims)} of {max(dims)} dimensions: the same model, cut "
            "(the request's or the model's `dimensions`)"
        )
        causes.append(Cause("dimensions", names[shorter], sentence, "certain"))
    if agreement.order_between(old, new) is not None:
        sentence = (
            f"{names[1]} gives the vectors in another order than the texts: every vector belongs to another text"
        )
        causes.append(Cause("order", names[1], sentence, "certain"))
    lengths = (agreement.lengths_of(exchanged.first), agreement.lengths_of(exchanged.second))
    if dims[0] == dims[1] and not agreement.same_lengths(exchanged.first, exchanged.second):
        causes.append(normalisation(*lengths, names))
    return causes


def _agree(values: Float64s) -> bool:
    return bool(values.min() >= agreement.KEEP_COSINE)


def _probes_agree(first: Side, second: Side, probes: Probes, *, dim: int, notes: list[str]) -> bool:
    """Whether texts that the user's own may lack get the same vectors too; a refused one is told."""
    for texts in ([*probes.short, *probes.odd], list(probes.long)):
        vectors = []
        for side in (first, second):
            try:
                vectors.append(ask_all(side, texts)[:, :dim])
            except UpstreamError as error:
                notes.append(
                    f"{side.name} would not embed texts of up to {max(map(len, texts))} characters: {error}"
                )
        if len(vectors) == 2 and not _agree(agreement.cosines(*vectors)):
            return False
    return True


def _diagnose(first: Side, second: Side, probes: Probes, *, reference: Reference | None, model: str) -> Diagnosis:
    if isinstance(first, ReferenceSide):
        return diagnose_by_reference(second, first.reference, probes, start=first.recipe, name=first.name)
    if reference is None:
        return diagnose_between(first, second, probes, prompts=_known_prompts(model))
    own = [
        diagnose_by_reference(side, reference, probes, start=Recipe(), name=reference.card.name)
        for side in (first, second)
    ]
    return _difference_of(own[0], own[1])


def _difference_of(first: Diagnosis, second: Diagnosis) -> Diagnosis:
    """Of two servers told against one reference: what one of them does and the other does not."""

    def key(cause: Cause) -> tuple[str, str]:
        return cause.kind, cause.sentence.replace(cause.side, "", 1)

    shared = {key(cause) for cause in first.causes} & {key(cause) for cause in second.causes}
    causes = [cause for cause in (*second.causes, *first.causes) if key(cause) not in shared]
    notes = [
        f"both: {cause.sentence.removeprefix(cause.side).strip()}" for cause in first.causes if key(cause) in shared
    ]
    return Diagnosis(tuple(causes), tuple(dict.fromkeys([*notes, *first.notes, *second.notes])))


def _known_prompts(model: str) -> Mapping[str, str]:
    entry = find_entry(model)
    return entry.prompts if entry else {}


def _id_notes(first: Side, second: Side) -> list[str]:
    """Clients that send token ids instead of text may see a difference that no text shows."""
    if not (isinstance(first, EndpointSide) and isinstance(second, EndpointSide)):
        return []
    readings = [reading_of_ids(side) for side in (first, second)]
    if readings[0] == readings[1]:
        return []
    told = " and ".join(f"{side.name} {reading}" for side, reading in zip((first, second), readings, strict=True))
    return [f"clients that send OpenAI's token ids, as LangChain does by default, will see a difference: {told}"]


def _scope_notes(values: Float64s, causes: Sequence[Cause]) -> list[str]:
    if not _agree(values) or not causes:
        return []
    kinds = ", ".join(dict.fromkeys(cause.kind for cause in causes))
    return [
        f"your texts agree; texts made to show a difference do not ({kinds}): compare with your longest texts too"
    ]
