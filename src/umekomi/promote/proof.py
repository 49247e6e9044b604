"""Whether the result of a training may be served: its verdict, its gate, and whether its files are those proved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from umekomi.errors import BrokenModel, InvalidInput, UnsupportedCapability
from umekomi.models.card import ModelCard
from umekomi.models.sources import open_model
from umekomi.prove.files import REPORT_JSON, check_proved, read_training_report
from umekomi.prove.results import TrainingReport
from umekomi.prove.verdict import verdict_of
from umekomi.types import NumberFormat


@dataclass(frozen=True, slots=True)
class Proof:
    """A model with its proof. ``forced``: why it is promoted although it was not proved better."""

    report: TrainingReport
    report_file: Path
    model: Path
    card: ModelCard
    forced: str | None = None

    @property
    def fingerprints(self) -> dict[str, NumberFormat]:
        return fingerprints_of(self.card)


def fingerprints_of(card: ModelCard) -> dict[str, NumberFormat]:
    """Fingerprint to number format: what a server may say of this model, by how it runs it."""
    return {card.with_precision(each).fingerprint: each for each in get_args(NumberFormat)}


def read_proof(folder: Path, *, force: str | None = None, notify: Callable[[str], None]) -> Proof:
    """The proof in ``folder``, the output of ``umekomi train``, with the model that it is about.

    Raises `InvalidInput` where the verdict is not IMPROVED and ``force`` gives no reason, and where the gate
    failed, which no reason makes good, where the report contradicts itself, or where the model lies elsewhere;
    `BrokenModel` where the files are not those that were proved; as `open_model` does.
    """
    report = read_training_report(folder)
    if report.model is None:
        raise InvalidInput(
            f"{folder / REPORT_JSON}: is about no exported model; was it written by a whole umekomi train?"
        )
    _check_figures(folder, report)
    failed = [check.name for check in report.gate.checks if not check.passed] if report.gate is not None else []
    if failed or (report.gate is not None and not report.gate.passed):
        raise InvalidInput(
            f"{folder}: the gate failed ({', '.join(failed) or 'unnamed'}): the exported files do not give the "
            "vectors of the model that was trained; export it again, --force does not help"
        )
    _check_verdict(folder, report, force)
    model = _place_of(folder, report.model.path)
    check_proved(model, report.model)
    card = open_model(str(model), notify=notify).card
    if "embedding" not in card.capabilities:
        raise UnsupportedCapability(f"{model}: is a model for {card.capabilities[0]}, not for embeddings")
    proof = Proof(report, (folder / REPORT_JSON).resolve(), model, card, force)
    if report.model.fingerprint not in proof.fingerprints:
        raise BrokenModel(
            f"{model}: its fingerprint is {card.fingerprint}, and {report.model.fingerprint} was proved; was it "
            "proved by another version of umekomi? Prove it anew"
        )
    return proof


def _place_of(folder: Path, path: str) -> Path:
    """The model that a report in ``folder`` names. Raises `InvalidInput` where that leads out of the folder."""
    try:
        model = (folder / path).resolve()
    except (OSError, ValueError):  # as of a path with a zero byte
        model = Path()
    if not model.is_relative_to(folder.resolve()):
        raise InvalidInput(
            f"{folder / REPORT_JSON}: the model '{path}' is not in that folder; promote the folder that umekomi "
            "train wrote, as it is"
        )
    return model


def _check_figures(folder: Path, report: TrainingReport) -> None:
    """Raises `InvalidInput` where the verdict is not what the report's own comparisons come to."""
    tolerated = report.settings.get("tolerated_loss")
    found = verdict_of(report.comparisons, tolerated_loss=tolerated if isinstance(tolerated, float) else 0.0)
    if found != report.verdict:
        raise InvalidInput(
            f"{folder / REPORT_JSON}: its verdict is {report.verdict}, and its comparisons come to {found}; it was "
            "changed since it was written. Promote the folder as umekomi train wrote it"
        )


def _check_verdict(folder: Path, report: TrainingReport, force: str | None) -> None:
    if force is not None and (not force.strip() or force.startswith("-")):
        raise InvalidInput("--force: give the reason, which is written into the history", param="force")
    if force is not None:
        return
    if report.verdict != "IMPROVED":
        raise InvalidInput(
            f"{folder}: the verdict is {report.verdict}: {report.sentence.rstrip('.')}. Nothing was changed; to "
            "serve it all the same, give your reason with --force 'REASON'"
        )
    if report.gate is None:
        raise InvalidInput(
            f"{folder}: nobody has checked that the exported files give the vectors of the model that was trained "
            "(the report has no gate); to serve it all the same, give your reason with --force 'REASON'"
        )
