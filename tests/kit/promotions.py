"""Trained models as ``umekomi train`` leaves them, and what a promotion is told on the command line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from typer.testing import CliRunner, Result

from kit.tiny_models import save_tiny_model
from umekomi.cli.exit_codes import exit_code
from umekomi.cli.main import app
from umekomi.errors import UmekomiError
from umekomi.evaluate.results import ModelRecord
from umekomi.models.sources import open_model
from umekomi.prove.files import describe_model, write_training_report
from umekomi.prove.results import ComparisonRecord, GateCheck, GateRecord, TrainingReport

Verdict = Literal["IMPROVED", "TIED", "REGRESSED"]


def write_trained(folder: Path, *, seed: int = 0, verdict: Verdict = "IMPROVED", gate: bool | None = True) -> Path:
    """The output of a training: a tiny random model, and a report with the verdict."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tiny_model(folder / "model", seed=seed)
    return prove_anew(folder, verdict=verdict, gate=gate)


def copy_trained(source: Path, folder: Path, *, verdict: Verdict = "IMPROVED", gate: bool | None = True) -> Path:
    """The same model somewhere else: much quicker than another one."""
    shutil.copytree(source, folder)
    return prove_anew(folder, verdict=verdict, gate=gate)


def prove_anew(folder: Path, *, verdict: Verdict = "IMPROVED", gate: bool | None = True) -> Path:
    card = open_model(str(folder / "model")).card
    record = ModelRecord(name="tuned", fingerprint=card.fingerprint, dim=card.dim, precision="fp32")
    check = GateCheck(
        name="int8", texts=20, min_cosine=0.5, mean_cosine=0.6, limit="mean ≥ 0.99", passed=gate is True
    )
    report = TrainingReport(
        umekomi="0",
        created="2026-11-21T00:00:00+00:00",
        verdict=verdict,
        sentence="nDCG@10 went from 0.500 to 0.600.",
        base=record.model_copy(update={"name": "base"}),
        tuned=record,
        model=describe_model(folder / "model", card.fingerprint, folder=folder),
        metrics=(),
        comparisons=(_comparison(verdict),),
        datasets=(),
        gate=None if gate is None else GateRecord(passed=gate, checks=(check,)),
    )
    write_training_report(folder, report)
    return folder


def _comparison(verdict: Verdict) -> ComparisonRecord:
    """The one that decides, so that it comes to ``verdict``."""
    delta = {"IMPROVED": 0.1, "TIED": 0.0, "REGRESSED": -0.1}[verdict]
    return ComparisonRecord(
        part="domain",
        dataset="test",
        metric="ndcg@10",
        base=0.5,
        tuned=0.5 + delta,
        delta=delta,
        ci95=(delta - 0.05, delta + 0.05),
        p=0.001 if delta else 1.0,
        p_adjusted=0.001 if delta else 1.0,
        decides=True,
        verdict="better" if delta > 0 else "worse" if delta < 0 else "tied",
        wins=None,
        ties=None,
        losses=None,
        detectable=None,
        items=100,
        sentence="",
    )


def umekomi(*arguments: str | Path) -> Result:
    """The command in this process; errors of ours end as they do in `umekomi.cli.main.main`."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if isinstance(result.exception, UmekomiError):
        result.exit_code = exit_code(result.exception)
    elif result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def words(result: Result) -> str:
    """All that a person was told, the error included."""
    told = result.stderr + result.stdout
    return f"{told}\n{result.exception}" if isinstance(result.exception, UmekomiError) else told
