"""What happened before a proof, in the words of its report: data, training, gate, and the alphas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from umekomi.evaluate.outcomes import Outcome
from umekomi.prove.inputs import Alpha, Story, TrainingPair
from umekomi.prove.results import DataRecord, GateCheck, GateRecord, LearningPoint, TrainedRecord
from umekomi.train.data import Preferences
from umekomi.train.examples import Example, TrainingData
from umekomi.train.exporting import Gate
from umekomi.train.fitting.fit import Fitted
from umekomi.train.merging import Sweep
from umekomi.train.settings import TrainingSettings


def tell_story(
    data: TrainingData,
    fitted: Fitted,
    gate: Gate,
    *,
    settings: TrainingSettings,
    source: str,
    model: Path,
    sweep: Sweep,
    preferences: Preferences | None,
) -> Story:
    """Everything that the report of a proof says of how the model came to be."""
    notes = [sweep.sentence] if sweep.trials else []
    return Story(
        data=_tell_data(data, source, preferences),
        training=_tell_training(fitted, settings),
        gate=_tell_gate(gate),
        model=model,
        notes=tuple(notes),
    )


def list_pairs(examples: Iterable[Example]) -> list[TrainingPair]:
    """The pairs that were trained, to find what likely moved an example."""
    return [
        TrainingPair(
            each.query,
            each.positive,
            chunk_id=each.chunk_id,
            source=each.source,
            page=each.page,
            score=each.score,
        )
        for each in examples
    ]


def list_alphas(sweep: Sweep, tested: dict[float, Sequence[Outcome]]) -> list[Alpha]:
    """The base and every alpha that was tried, with what each does on the test split."""
    trials = [sweep.base, *sweep.trials] if sweep.base else [*sweep.trials]
    return [
        Alpha(
            trial.alpha,
            chosen=trial.alpha == sweep.alpha,
            dev=trial.dev,
            general=dict(list(trial.scores.items())[trial.dev is not None :]),
            test=tuple(tested.get(trial.alpha, ())),
        )
        for trial in trials
    ]


def _tell_data(data: TrainingData, source: str, preferences: Preferences | None) -> DataRecord:
    splits = {"train": data.train, "dev": data.dev, "test": data.test}
    rated = preferences.notes if preferences else ()
    return DataRecord(
        source=source,
        objective=data.objective,
        train=len(data.train),
        dev=len(data.dev),
        test=len(data.test),
        corpus=len(data.corpus),
        documents={split: count for split, examples in splits.items() if (count := _documents(examples))},
        digests=data.digests | ({"preferences": preferences.digest} if preferences else {}),
        skipped=data.skipped,
        notes=(*data.notes, *(note for note in rated if note not in data.notes)),
    )


def _documents(examples: Sequence[Example]) -> int:
    return len({each.document_id for each in examples if each.document_id})


def _tell_training(fitted: Fitted, settings: TrainingSettings) -> TrainedRecord:
    return TrainedRecord(
        settings=settings.record(),
        curve=tuple(
            LearningPoint(
                step=point.step,
                epoch=point.epoch,
                loss=point.loss,
                dev=point.dev,
                learning_rate=point.learning_rate,
            )
            for point in fitted.curve
        ),
        dev_metric=fitted.dev_metric,
        steps=fitted.steps,
        best_step=fitted.best_step,
        seconds=fitted.seconds,
        device=", ".join([fitted.device, fitted.number_format, *(_several(fitted.processes))]),
        ended=fitted.ended,
        notes=fitted.notes,
    )


def _several(processes: int) -> list[str]:
    return [f"{processes} processes"] if processes > 1 else []


def _tell_gate(gate: Gate) -> GateRecord:
    return GateRecord(
        passed=gate.passed,
        checks=tuple(
            GateCheck(
                name=f"{check.precision} by {check.engine}",
                texts=gate.texts,
                min_cosine=check.least,
                mean_cosine=check.mean,
                limit=f"{'min' if check.precision == 'fp32' else 'mean'} ≥ {check.bound:g}",
                passed=check.passed,
            )
            for check in gate.checks
        ),
        notes=gate.notes,
    )
