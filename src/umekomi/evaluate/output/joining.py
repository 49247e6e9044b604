"""Two runs as one: the models of both over the data sets that both used, compared again pair by pair."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.judgement import Finding, judge_task
from umekomi.evaluate.results import AuditRecord, CurvePoint, DatasetRecord, Results, SpaceRecord
from umekomi.evaluate.run import Evaluation

Run = tuple[Results, Sequence[Finding]]
_Findings: TypeAlias = Mapping[tuple[str, str, str], Finding]
"""By model, data set and metric."""

_R = TypeVar("_R", SpaceRecord, CurvePoint, AuditRecord)


@dataclass(frozen=True, slots=True)
class _Renamed:
    """One of two runs, with names for its models that are unique over both."""

    results: Results
    findings: tuple[Finding, ...]


def join_runs(first: Run, second: Run, *, names: tuple[str, str]) -> Evaluation:
    """The models of both runs over their common data sets; equal digests mean the same data set.

    names  what the runs are called, put behind models that both name and that are not the same model

    Raises `InvalidInput` where no data set is common, or where a run's items are gone.
    """
    common = {item.digest: item for item in first[0].datasets}
    shared = [item for item in second[0].datasets if item.digest in common]
    if not shared:
        raise InvalidInput(
            f"{names[0]} and {names[1]} have no data set in common: "
            f"{_listed(first[0])} against {_listed(second[0])}"
        )
    for (_, findings), name in zip((first, second), names, strict=True):
        if not findings:
            raise InvalidInput(
                f"{name}: items.npz is not beside it; run the evaluation again to compare its models"
            )
    datasets = {item.name: common[item.digest].name for item in shared}
    own = {name: name for name in datasets.values()}
    twice = _measured_twice(_findings_of(first, own), _findings_of(second, datasets), first[0], second[0])
    left = _rename(first, _unique_names(first[0], twice, names[0]), own)
    right = _rename(second, _unique_names(second[0], twice, names[1]), datasets)
    return _conclude(left, right, tuple(common[item.digest] for item in shared), names)


def _conclude(
    left: _Renamed, right: _Renamed, datasets: tuple[DatasetRecord, ...], names: tuple[str, str]
) -> Evaluation:
    known = {model.name for model in left.results.models}
    added = tuple(model for model in right.results.models if model.name not in known)
    fresh = {model.name for model in added}
    settings = left.results.settings
    findings = (*left.findings, *(finding for finding in right.findings if finding.model in fresh))
    judged = [
        judge_task(
            [finding for finding in findings if finding.dataset == dataset.name],
            resamples=settings["resamples"],
            seed=settings["seed"],
        )
        for dataset in datasets
    ]
    notes = [note for run in (left, right) for note in run.results.notes]
    for key in ("k", "role"):
        ours, theirs = settings.get(key), right.results.settings.get(key)
        if ours != theirs:
            notes.append(f"the runs differ in {key}: {ours} in {names[0]}, {theirs} in {names[1]}")

    def both(field: str) -> tuple[Any, ...]:
        mine, other = getattr(left.results, field), getattr(right.results, field)
        return (*mine, *(record for record in other if record.model in fresh))

    results = left.results.model_copy(
        update={
            "datasets": datasets,
            "models": (*left.results.models, *added),
            "scores": tuple(score for judgement in judged for score in judgement.scores),
            "comparisons": tuple(item for judgement in judged for item in judgement.comparisons),
            "ranking": tuple(rank for judgement in judged for rank in judgement.ranking),
            "verdicts": tuple(verdict for judgement in judged for verdict in judgement.verdicts),
            "space": both("space"),
            "curves": both("curves"),
            "audits": both("audits"),
            "notes": tuple(dict.fromkeys(notes)),
        }
    )
    return Evaluation(results, (), findings)


def _findings_of(run: Run, datasets: Mapping[str, str]) -> _Findings:
    return {
        (finding.model, datasets[finding.dataset], finding.outcome.metric): finding
        for finding in run[1]
        if finding.dataset in datasets
    }


def _measured_twice(left: _Findings, right: _Findings, mine: Results, other: Results) -> set[str]:
    """Names that both runs have for what is not the same: by fingerprint, by role, or by what an address gave.

    An address keeps its fingerprint when another model is served there, so what its texts scored must agree too.
    """
    theirs = {model.name: model for model in other.models}
    changed = {
        model.name
        for model in mine.models
        if model.name in theirs and theirs[model.name].fingerprint != model.fingerprint
    }
    served = {model.name for model in mine.models if model.endpoint is not None}
    for key in left.keys() & right.keys():
        a, b = left[key], right[key]
        if a.role != b.role or (a.model in served and not _agree(a, b)):
            changed.add(a.model)
    return changed


def _agree(a: Finding, b: Finding) -> bool:
    return len(a.outcome.items) == len(b.outcome.items) and np.allclose(a.outcome.items, b.outcome.items)


def _unique_names(mine: Results, twice: Collection[str], run: str) -> dict[str, str]:
    return {model.name: f"{model.name} ({run})" if model.name in twice else model.name for model in mine.models}


def _rename(run: Run, models: Mapping[str, str], datasets: Mapping[str, str]) -> _Renamed:
    """``run`` with its models and data sets renamed; what belongs to other data sets is left out."""
    results, findings = run

    def renamed(records: Sequence[_R]) -> tuple[_R, ...]:
        return tuple(
            record.model_copy(update={"model": models[record.model], "dataset": datasets[record.dataset]})
            for record in records
            if record.dataset in datasets
        )

    return _Renamed(
        results.model_copy(
            update={
                "models": tuple(model.model_copy(update={"name": models[model.name]}) for model in results.models),
                "space": renamed(results.space),
                "curves": renamed(results.curves),
                "audits": renamed(results.audits),
            }
        ),
        tuple(
            replace(finding, model=models[finding.model], dataset=datasets[finding.dataset])
            for finding in findings
            if finding.dataset in datasets
        ),
    )


def _listed(results: Results) -> str:
    return ", ".join(f"'{dataset.name}'" for dataset in results.datasets)
