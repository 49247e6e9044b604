"""What a report rests on: data and files by their hashes, what was asked, and the settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from umekomi.pages import notes, section, table
from umekomi.prove.results import TrainingReport
from umekomi.prove.wording import metric_name

_PARTS = {"domain": "what was trained", "preference": "ratings that were trained", "general": "what to keep"}


def data(report: TrainingReport) -> str:
    """Splits, what was left out, and each file's hash."""
    data = report.data
    splits = [
        (split, count, data.documents.get(split, "–"))
        for split, count in (("train", data.train), ("dev", data.dev), ("test", data.test))
    ]
    counted = [(f"left out: {reason}", f"{count}") for reason, count in data.skipped.items()]
    hashes = list(data.digests.items())
    return section(
        "What it was trained on",
        f'<p class="soft">{escape(data.source)}</p>' if data.source else "",
        table(("split", "pairs", "documents"), splits, numbers=(1, 2)),
        table(("rows", "number"), counted, numbers=(1,)) if counted else "",
        notes(data.notes),
        table(("file", "SHA-256"), hashes, numbers=()) if hashes else "",
    )


def model_files(report: TrainingReport) -> str:
    """The gate, and what exactly was proved."""
    parts = []
    if report.gate is not None:
        head = ("exported as", "texts", "lowest cosine", "mean cosine", "must be", "")
        rows = [
            (
                *(each.name, each.texts, f"{each.min_cosine:.6f}", f"{each.mean_cosine:.6f}", each.limit),
                "passed" if each.passed else "failed",
            )
            for each in report.gate.checks
        ]
        parts += [
            '<p class="soft">The exported files against the model that was trained, text by text.</p>',
            table(head, rows, numbers=(1, 2, 3)),
            notes(report.gate.notes),
        ]
    if report.model is not None:
        facts = [
            ("folder", report.model.path),
            ("fingerprint", report.model.fingerprint),
            ("digest of its files", report.model.weights_digest),
        ]
        parts.append(table(("proved", ""), facts, numbers=()))
    return section("The model's files", *parts) if parts else ""


def asked(report: TrainingReport) -> str:
    """The data sets of the proof."""
    head = ("data set", "what for", "items", "drawn", "decides by", "digest")
    rows = [
        (
            each.dataset.name,
            _PARTS[each.part],
            each.dataset.items,
            "one by one" if each.groups is None else f"in {each.groups} groups",
            metric_name(each.primary),
            each.dataset.digest[:16],
        )
        for each in report.datasets
    ]
    warnings = [f"{each.dataset.name}: {said}" for each in report.datasets for said in each.dataset.warnings]
    return section("What it was asked", table(head, rows, numbers=(2,)), notes(warnings))


def settings(report: TrainingReport) -> str:
    """Of training and proof, and the machine."""
    return section(
        "How it was done",
        f'<p class="soft">umekomi {escape(report.umekomi)}, {escape(report.created)}</p>',
        '<div class="sides">',
        f"<div><h3>Training</h3>{_facts(report.training.settings)}</div>",
        f"<div><h3>Proof</h3>{_facts(report.settings)}<h3>Machine</h3>{_facts(report.machine)}</div>",
        "</div>",
    )


def _facts(named: Mapping[str, Any]) -> str:
    return table(("", ""), _iter_facts(named), numbers=()) if named else '<p class="soft">not recorded</p>'


def _iter_facts(named: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in named.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}", f"{inner}") for key, inner in value.items())
        elif isinstance(value, list | tuple):
            yield name, ", ".join(map(str, value)) or "none"
        else:
            yield name, "none" if value is None else f"{value}"
