"""An evaluation from end to end: every model on every task, each text embedded once, then the comparison."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from pathlib import Path
from typing import Any

from umekomi import config
from umekomi.errors import ConfigError, InvalidInput
from umekomi.evaluate.candidates.cost import measure_cost
from umekomi.evaluate.candidates.opening import Candidate, CandidateName, check_candidate, open_candidate
from umekomi.evaluate.candidates.vectors import TaskVectors, check_cache, count_texts, embed_task
from umekomi.evaluate.curves import measure_curves
from umekomi.evaluate.inspection import audit_boilerplate, audit_prompts_of, warn_of_repeats
from umekomi.evaluate.judgement import Finding, judge_task
from umekomi.evaluate.projection import Layout, project
from umekomi.evaluate.report.views import View
from umekomi.evaluate.results import (
    AuditRecord,
    CurvePoint,
    DatasetRecord,
    ModelRecord,
    Results,
    SpaceRecord,
)
from umekomi.evaluate.scoring import Scored, check_task, primary_metric, score_task
from umekomi.evaluate.settings import EvaluationSettings, Watch
from umekomi.evaluate.tasks import LabelTask, PairTask, Task
from umekomi.types import Role

PACKAGES = ("umekomi", "numpy", "onnxruntime", "scikit-learn", "scipy", "opentsne", "torch", "xllamacpp")
"""Whose versions may move a figure."""


FEWEST_FOR_MAP = 3

NOTED_CUTS = 0.05
"""Share of texts that a model cut from which on a reader is told beside the verdict, not among the figures only."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The results, what the report shows beside them, and the items that later runs are compared with."""

    results: Results
    views: tuple[View, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What one model gave on one task."""

    model: ModelRecord
    task: Task
    scored: Scored
    layout: Layout | None
    curves: tuple[CurvePoint, ...]
    audits: tuple[AuditRecord, ...]


def evaluate(
    tasks: Sequence[Task], names: Sequence[CandidateName], settings: EvaluationSettings, watch: Watch
) -> Evaluation:
    """Score ``names`` on ``tasks`` and compare them, pair by pair.

    Models are opened one after another. Vectors are kept in ``settings.cache_folder`` as they are computed, so a
    run that was interrupted goes on where it stopped.

    Raises `ConfigError` for names that are given twice, `InvalidInput` for a task that cannot be scored, and what
    opening and running the models raise; what was computed until then is kept.
    """
    _check_unique([task.name for task in tasks], "data set")
    _check_unique([name.text for name in names], "model")
    for task in tasks:
        check_task(task, k=settings.k, legacy=settings.legacy)
        _check_groups(task)
    for name in names:
        check_candidate(name)
    seen: list[_Seen] = []
    models: list[ModelRecord] = []
    for name in names:
        model, parts = _evaluate_model(name, tasks, settings, watch)
        models.append(model)
        seen += parts
    return _conclude(tasks, models, seen, settings=settings, watch=watch)


def _evaluate_model(
    name: CandidateName, tasks: Sequence[Task], settings: EvaluationSettings, watch: Watch
) -> tuple[ModelRecord, list[_Seen]]:
    candidate = open_candidate(name, threads=settings.threads, notify=watch.notify)
    try:
        check_cache(candidate, settings.cache_folder, notify=watch.notify)
        parts = [_evaluate_task(candidate, task, settings, watch) for task in tasks]
        model = candidate.record
    finally:
        candidate.close()
    if settings.cost:
        with watch.stage(f"{name.text}: speed and memory", total=1) as advance:
            texts, role = _texts_of(tasks[0]), settings.role
            cost = measure_cost(name, texts, role=role, threads=settings.threads, key=config.api_key)
            advance(1)
        model = model.model_copy(update={"cost": cost})
    return model, [replace(part, model=model) for part in parts]


def _evaluate_task(candidate: Candidate, task: Task, settings: EvaluationSettings, watch: Watch) -> _Seen:
    model = candidate.record
    with watch.stage(f"{model.name}: embedding {task.name}", total=count_texts(task)) as advance:
        vectors = embed_task(candidate, task, role=settings.role, cache=settings.cache_folder, advance=advance)
    with watch.stage(f"{model.name}: scoring {task.name}", total=4) as advance:
        scored = score_task(task, vectors, k=settings.k, seed=settings.seed, legacy=settings.legacy)
        advance(1)
        layout = _layout(task, vectors, settings, watch)
        advance(1)
        curves = measure_curves(task, vectors, model=model, settings=settings) if settings.curves else ()
        advance(1)
        audits = (
            audit_prompts_of(candidate, task, cache=settings.cache_folder, settings=settings)
            if settings.audits
            else ()
        )
        advance(1)
    return _Seen(model, task, scored, layout, curves, audits)


def _layout(task: Task, vectors: TaskVectors, settings: EvaluationSettings, watch: Watch) -> Layout | None:
    """A map of the texts of labels, or of the corpus; pairs have none."""
    if settings.projection == "none" or isinstance(task, PairTask):
        return None
    shown = vectors.main if isinstance(task, LabelTask) or vectors.other is None else vectors.other
    if len(shown.vectors) < FEWEST_FOR_MAP:
        return None
    return project(
        shown.vectors,
        method=settings.projection,
        seed=settings.seed,
        notify=watch.notify,
        threads=settings.threads,
    )


def _conclude(
    tasks: Sequence[Task],
    models: Sequence[ModelRecord],
    seen: Sequence[_Seen],
    *,
    settings: EvaluationSettings,
    watch: Watch,
) -> Evaluation:
    findings = tuple(
        Finding(
            part.task.name,
            part.task.kind,
            part.model.name,
            outcome,
            role_of(part.task, settings.role),
            part.task.groups,
        )
        for part in seen
        for outcome in part.scored.outcomes
    )
    with watch.stage("comparing", total=len(tasks)) as advance:
        judged = []
        for task in tasks:
            mine = [finding for finding in findings if finding.dataset == task.name]
            judged.append(judge_task(mine, resamples=settings.resamples, seed=settings.seed))
            advance(1)
    results = Results(
        umekomi=version("umekomi"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=describe_machine(),
        settings=settings.record()
        | {"primary": {task.name: primary_metric(task.kind, k=settings.k) for task in tasks}},
        datasets=tuple(describe_dataset(task) for task in tasks),
        models=tuple(models),
        scores=tuple(score for judgement in judged for score in judgement.scores),
        comparisons=tuple(comparison for judgement in judged for comparison in judgement.comparisons),
        ranking=tuple(rank for judgement in judged for rank in judgement.ranking),
        verdicts=tuple(verdict for judgement in judged for verdict in judgement.verdicts),
        space=tuple(
            SpaceRecord(dataset=part.task.name, model=part.model.name, name=name, value=value)
            for part in seen
            for name, value in part.scored.space.items()
        ),
        curves=tuple(point for part in seen for point in part.curves),
        audits=(*(audit for part in seen for audit in part.audits), *_inspect(tasks, seen, settings)),
        notes=tuple(dict.fromkeys(note for part in seen for note in (*part.scored.notes, *_note_cuts(part)))),
    )
    views = tuple(
        View(part.task.name, part.model.name, part.task, part.layout, part.scored.neighbours, part.scored.outcomes)
        for part in seen
    )
    return Evaluation(results, views, findings)


def _note_cuts(part: _Seen) -> Iterator[str]:
    """A model that never saw much of the texts is compared with others on other data than they had."""
    cut, lost = (part.scored.space.get(name, 0.0) for name in ("truncated_share", "tokens_lost_share"))
    if cut >= NOTED_CUTS:
        yield (
            f"{part.task.name}: {part.model.name} read only the starts of {cut:.1%} of the texts: "
            f"{lost:.1%} of the tokens lie beyond its context of {part.model.max_tokens}"
        )


def _inspect(tasks: Sequence[Task], seen: Sequence[_Seen], settings: EvaluationSettings) -> Iterator[AuditRecord]:
    """What the labels of a task owe to boilerplate, beside what each model knows of them."""
    for task in tasks:
        if settings.audits and isinstance(task, LabelTask):
            probes = {
                part.model.name: outcome
                for part in seen
                if part.task is task
                for outcome in part.scored.outcomes
                if outcome.metric == "linear_probe"
            }
            yield from audit_boilerplate(task, probes, seed=settings.seed)


def role_of(task: Task, role: Role) -> str:
    """The role as tables state it: one for labels and pairs, two for retrieval."""
    return role if role == "raw" or task.kind != "retrieval" else "query/document"


def describe_machine() -> dict[str, Any]:
    """What a reader needs to compare figures: processor, cores, system, versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": cpu_count(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {package: number for package in PACKAGES if (number := _version(package))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _texts_of(task: Task) -> Sequence[str]:
    if isinstance(task, LabelTask):
        return task.texts
    return task.first if isinstance(task, PairTask) else task.corpus


def describe_dataset(task: Task) -> DatasetRecord:
    """The record of a data set as it was used."""
    origin = task.origin
    return DatasetRecord(
        name=task.name,
        kind=task.kind,
        items=len(task),
        texts=count_texts(task),
        digest=origin.digest,
        source=origin.source,
        licence=origin.licence,
        language=origin.language,
        preparation=origin.preparation,
        columns=dict(origin.columns),
        guessed=origin.guessed,
        skipped=dict(origin.skipped),
        grouped=task.groups is not None,
        warnings=warn_of_repeats(task),
    )


def _check_groups(task: Task) -> None:
    if task.groups is not None and len(set(task.groups)) == 1:
        raise InvalidInput(
            f"{task.name}: all {len(task)} items are in the group '{task.groups[0]}', so that nothing can be "
            "resampled; name another column with --group, or none"
        )


def _check_unique(names: Sequence[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"the {what} '{name}' is given twice; leave one out, or give it another name")
