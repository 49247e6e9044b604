"""A training from end to end: read, check, mine, fit, merge, export, gate, prove. Each step can be gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from umekomi.documents.corpus.journal import single_run
from umekomi.evaluate.candidates.opening import CandidateName, open_candidate
from umekomi.evaluate.settings import Watch
from umekomi.prove.files import REPORT_JSON, check_proved, read_training_report
from umekomi.prove.inputs import ProofSettings, ProofTasks
from umekomi.prove.measuring import measure
from umekomi.prove.output.publishing import publish
from umekomi.prove.results import TrainingReport
from umekomi.prove.run import prove
from umekomi.train.data import (
    build_dev_task,
    mine_negatives,
)
from umekomi.train.exporting import Exported, Gate, Provenance, add_proof, check_parity, export
from umekomi.train.fitting.estimating import Estimate, estimate_fit
from umekomi.train.fitting.fit import Fitted, fit
from umekomi.train.fitting.loading import check_training_extra
from umekomi.train.fitting.processes import Processes, find_processes
from umekomi.train.journal import begin, check_folder
from umekomi.train.materials import GENERAL, Materials, PreferenceTable, read_materials
from umekomi.train.merging import Merge, Sweep, open_merge, sweep
from umekomi.train.settings import TrainingSettings
from umekomi.train.story import list_alphas, list_pairs, tell_story


def train(
    source: Path | None,
    settings: TrainingSettings,
    folder: Path,
    *,
    watch: Watch,
    general: Sequence[str] = GENERAL,
    preference: PreferenceTable | None = None,
    columns: Mapping[str, str] = MappingProxyType({}),
    encoding: str | None = None,
    resume: bool = False,
) -> TrainingReport | None:
    """Tune ``settings.base`` on the pairs of ``source``, and prove in ``folder`` whether that made it better.

    general     data sets on which nothing may be lost, as `open_task` names them
    preference  ratings that are trained, too; by themselves where ``source`` is None
    columns     of pairs by their use, as `read_training_data` takes them
    resume      go on with what an earlier call left in ``folder``; a finished training is given back

    None in processes of ``accelerate launch`` other than the main one, which alone writes. Raises `ConfigError` and
    `InvalidInput` for what cannot be trained, `StoreError`, `GateFailed`, and what `fit` raises.
    """
    check_training_extra()
    processes = find_processes(device=settings.device)
    own_watch: Watch = watch if processes.main else _Silent()
    try:
        with _only_run(folder, resume=resume) if processes.main else nullcontext():
            finished = _read_finished(folder)  # in every process: all must agree that nothing is left to do
            materials = read_materials(
                source,
                settings,
                folder,
                general=general,
                preference=preference,
                columns=columns,
                encoding=encoding,
                watch=own_watch,
            )
            if processes.main:
                begin(folder, materials.record(settings, processes=processes.count))
            if finished is not None:
                own_watch.notify(f"{folder}: this training is finished")
                return finished if processes.main else None
            return _train(materials, settings, folder, source=source, watch=own_watch, processes=processes)
    finally:
        processes.close()


def _read_finished(folder: Path) -> TrainingReport | None:
    """What an earlier call proved here; None where none did. Raises `BrokenModel` where its model is gone."""
    if not (folder / REPORT_JSON).exists():
        return None
    report = read_training_report(folder)
    if report.model is not None:
        check_proved(folder / report.model.path, report.model)
    return report


def estimate_training(
    source: Path | None,
    settings: TrainingSettings,
    *,
    preference: PreferenceTable | None = None,
    columns: Mapping[str, str] = MappingProxyType({}),
    encoding: str | None = None,
    watch: Watch,
) -> Estimate:
    """What `train` would take, by a few real steps; nothing is kept. Raises as `train` does."""
    check_training_extra()
    materials = read_materials(
        source,
        settings,
        None,
        general=(),
        preference=preference,
        columns=columns,
        encoding=encoding,
        watch=watch,
    )
    return estimate_fit(
        materials.data, settings, bundle=materials.bundle, preferences=materials.steering, watch=watch
    )


def _train(
    materials: Materials,
    settings: TrainingSettings,
    folder: Path,
    *,
    source: Path | None,
    watch: Watch,
    processes: Processes,
) -> TrainingReport | None:
    proof = ProofSettings(tolerated_loss=settings.tolerated_loss, seed=settings.seed, cache=settings.cache)
    materials = _mine(materials, settings, proof.cache_folder, watch=watch, processes=processes)
    fitted = fit(
        materials.data,
        settings,
        folder,
        watch,
        bundle=materials.bundle,
        preferences=materials.steering,
        processes=processes,
    )
    if not processes.main:
        return None
    with open_merge(materials.bundle, fitted.folder, device=settings.device, threads=settings.threads) as merge:
        chosen = sweep(
            merge,
            alphas=settings.alphas,
            dev=build_dev_task(materials.data) if materials.data.dev else None,
            general=materials.general,
            tolerated_loss=settings.tolerated_loss,
            cache=proof.cache_folder,
            watch=watch,
        )
        watch.notify(chosen.sentence)
        exported, gate = _export(merge, materials, settings, folder, fitted=fitted, chosen=chosen, watch=watch)
        tested = _test_alphas(merge, chosen, materials.tasks, proof, watch=watch)
    return _prove(
        materials,
        settings,
        folder,
        proof=proof,
        fitted=fitted,
        chosen=chosen,
        exported=exported,
        gate=gate,
        tested=tested,
        source=str(source or ""),
        watch=watch,
    )


def _mine(
    materials: Materials, settings: TrainingSettings, cache: Path, *, watch: Watch, processes: Processes
) -> Materials:
    """Negatives by the base. The main process goes first, so that the others find its vectors."""
    if not processes.main:
        processes.wait()
    candidate = open_candidate(
        CandidateName(settings.base, settings.base), threads=settings.threads, notify=lambda message: None
    )
    try:
        data = mine_negatives(
            materials.data,
            candidate,
            count=settings.negatives,
            margin=settings.negative_margin,
            batch_size=settings.batch_size,
            cache=cache,
            watch=watch,
        )
    finally:
        candidate.close()
    if processes.main:
        processes.wait()
    return replace(materials, data=data)


def _export(
    merge: Merge,
    materials: Materials,
    settings: TrainingSettings,
    folder: Path,
    *,
    fitted: Fitted,
    chosen: Sweep,
    watch: Watch,
) -> tuple[Exported, Gate]:
    facts = {"steps": fitted.steps, "weights of step": fitted.best_step, "seconds": fitted.seconds}
    provenance = Provenance(settings, materials.data, chosen, {**facts, "device": fitted.device})
    exported = export(merge, alpha=chosen.alpha, out=folder, provenance=provenance, watch=watch)
    gate, accepted = check_parity(exported, data=materials.data, threads=settings.threads, watch=watch)
    return accepted, gate


def _test_alphas(
    merge: Merge, chosen: Sweep, tasks: ProofTasks, proof: ProofSettings, *, watch: Watch
) -> dict[float, Any]:
    """The alphas that were not chosen on the first data set of the proof, for its report; nothing is chosen by it.

    The chosen one is what the proof itself measures.
    """
    _, task = next(iter(tasks))
    found = {}
    others = [trial for trial in chosen.trials if trial.alpha != chosen.alpha]
    with watch.stage("the other alphas on test", total=len(others)) as advance:
        for trial in others:
            measured = measure(
                merge.candidate(trial.alpha), task, cache=proof.cache_folder, role=proof.role, k=proof.k
            )
            found[trial.alpha] = measured.outcomes
            advance(1)
    return found


def _prove(
    materials: Materials,
    settings: TrainingSettings,
    folder: Path,
    *,
    proof: ProofSettings,
    fitted: Fitted,
    chosen: Sweep,
    exported: Exported,
    gate: Gate,
    tested: dict[float, Any],
    source: str,
    watch: Watch,
) -> TrainingReport:
    """Base and exported model by the engine that serves them, the verdict, and its report."""
    story = tell_story(
        materials.data,
        fitted,
        gate,
        settings=settings,
        source=source,
        model=exported.folder,
        sweep=chosen,
        preferences=materials.preferences,
    )
    base = open_candidate(
        CandidateName(settings.base, settings.base), threads=settings.threads, notify=watch.notify
    )
    tuned = open_candidate(
        CandidateName("tuned", str(exported.folder.resolve())), threads=settings.threads, notify=watch.notify
    )
    try:
        report = prove(
            base,
            tuned,
            materials.tasks,
            proof,
            folder=folder,
            watch=watch,
            pairs=list_pairs((*materials.data.train, *materials.steering)),
            alphas=list_alphas(chosen, tested),
            story=story,
        )
    finally:
        base.close()
        tuned.close()
    publish(folder, report)
    add_proof(exported.folder, [f"**{report.verdict}.** {report.sentence}", *report.reasons])
    return report


@contextmanager
def _only_run(folder: Path, *, resume: bool) -> Iterator[None]:
    check_folder(folder, resume=resume)
    with single_run(folder / "run"):
        yield


class _Silent:
    """A watch for processes beside the main one, which speaks for all."""

    def stage(self, title: str, *, total: int) -> AbstractContextManager[Callable[[int], None]]:
        return nullcontext(lambda count: None)

    def notify(self, message: str) -> None:
        pass
