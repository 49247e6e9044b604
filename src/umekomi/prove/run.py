"""A proof from end to end: base and tuned on every data set, the verdict, and what may have caused it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from umekomi.evaluate.candidates.opening import Candidate
from umekomi.evaluate.candidates.vectors import check_cache, count_texts
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.run import describe_dataset, describe_machine
from umekomi.evaluate.settings import Watch
from umekomi.evaluate.tasks import Task
from umekomi.prove.causes import count_compared, explain_moved
from umekomi.prove.comparing import Trial, metric_record, metric_records, trial_of
from umekomi.prove.examples import find_moved
from umekomi.prove.files import describe_model
from umekomi.prove.inputs import Alpha, ProofSettings, ProofTasks, Story, TrainingPair
from umekomi.prove.measuring import Measured, measure
from umekomi.prove.results import AlphaRecord, DatasetUse, ExampleRecord, TrainingReport
from umekomi.prove.verdict import decide


def prove(
    base: Candidate,
    tuned: Candidate,
    tasks: ProofTasks,
    settings: ProofSettings,
    *,
    folder: Path,
    watch: Watch,
    pairs: Sequence[TrainingPair] = (),
    alphas: Sequence[Alpha] = (),
    story: Story | None = None,
) -> TrainingReport:
    """Whether ``tuned`` is better than ``base``. Nothing is written but vectors, in ``settings.cache_folder``.

    folder  where the report will lie; ``story.model`` is named from there
    pairs   that were trained; without them examples have no causes
    alphas  for the report; the verdict does not look at them

    Raises `InvalidInput` for a task that cannot be scored, `BrokenModel` for a model without files, and what
    running the models raises.
    """
    story = story or Story()
    before = _measure_all(base, tasks, settings, watch)
    after = _measure_all(tuned, tasks, settings, watch)
    trials = [trial_of(part, task, *measured) for (part, task), *measured in zip(tasks, before, after, strict=True)]
    with watch.stage("comparing base and tuned", total=1) as advance:
        decision = decide(
            trials, tolerated_loss=settings.tolerated_loss, resamples=settings.resamples, seed=settings.seed
        )
        metrics = [
            record
            for trial in trials
            for record in metric_records(trial, resamples=settings.resamples, seed=settings.seed)
        ]
        advance(1)
    examples = _examples(tasks, before, after, pairs, tuned=tuned, settings=settings, watch=watch)
    model = None if story.model is None else describe_model(story.model, tuned.fingerprint, folder=folder)
    return TrainingReport(
        umekomi=version("umekomi"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=decision.verdict,
        sentence=decision.sentence,
        reasons=decision.reasons,
        base=base.record,
        tuned=tuned.record,
        model=model,
        metrics=tuple(metrics),
        comparisons=decision.comparisons,
        alphas=_alpha_records(alphas, trials[0], settings),
        examples=examples,
        datasets=tuple(_dataset_use(trial, task) for trial, (_, task) in zip(trials, tasks, strict=True)),
        data=story.data,
        training=story.training,
        gate=story.gate,
        settings=settings.record(),
        machine=describe_machine(),
        notes=story.notes,
    )


def _measure_all(candidate: Candidate, tasks: ProofTasks, settings: ProofSettings, watch: Watch) -> list[Measured]:
    check_cache(candidate, settings.cache_folder, notify=watch.notify)
    measured = []
    for _, task in tasks:
        with watch.stage(f"{candidate.record.name}: {task.name}", total=count_texts(task)) as advance:
            measured.append(
                measure(
                    candidate,
                    task,
                    cache=settings.cache_folder,
                    role=settings.role,
                    k=settings.k,
                    advance=advance,
                )
            )
    return measured


def _examples(
    tasks: ProofTasks,
    before: Sequence[Measured],
    after: Sequence[Measured],
    pairs: Sequence[TrainingPair],
    *,
    tuned: Candidate,
    settings: ProofSettings,
    watch: Watch,
) -> tuple[ExampleRecord, ...]:
    """What moved on the data sets that were trained for."""
    found: list[ExampleRecord] = []
    for (part, task), old, new in zip(tasks, before, after, strict=True):
        if part == "general":
            continue
        moved = find_moved(task, old, new, count=settings.examples)
        alike = [pair for pair in pairs if (pair.score is None) == (task.kind == "retrieval")]
        with watch.stage(f"{task.name}: likely causes", total=count_compared(moved, alike)) as advance:
            found += explain_moved(
                task, moved, alike, tuned, role=settings.role, cache=settings.cache_folder, advance=advance
            )
    return tuple(found)


def _alpha_records(alphas: Sequence[Alpha], trial: Trial, settings: ProofSettings) -> tuple[AlphaRecord, ...]:
    return tuple(
        AlphaRecord(
            alpha=each.alpha,
            chosen=each.chosen,
            dev=each.dev,
            general=dict(each.general),
            metrics=tuple(
                metric_record(
                    trial, f"alpha={each.alpha:g}", outcome, resamples=settings.resamples, seed=settings.seed
                )
                for outcome in _tested(each, trial)
            ),
        )
        for each in alphas
    )


def _tested(each: Alpha, trial: Trial) -> tuple[Outcome, ...]:
    """Of the chosen alpha and of the base what this proof measured: they are tuned and base themselves."""
    if each.chosen:
        return trial.tuned.outcomes
    return trial.base.outcomes if each.alpha == 0 else each.test


def _dataset_use(trial: Trial, task: Task) -> DatasetUse:
    return DatasetUse(
        part=trial.part,
        primary=trial.base.primary.metric,
        dataset=describe_dataset(task),
        groups=None if trial.groups is None else trial.units,
    )
