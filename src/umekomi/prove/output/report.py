"""report.html of a training: what happened in one sentence, then what it rests on. It opens without network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from umekomi.pages import notes, page, section, shorten, table, tag
from umekomi.prove.output.pictures import changes, learning, shares
from umekomi.prove.results import AlphaRecord, CauseRecord, ComparisonRecord, ExampleRecord, TrainingReport
from umekomi.prove.wording import metric_name
from umekomi.writing import replacing

REPORT = "report.html"
_SAYS = {
    "IMPROVED": "Better at its subject than its base, and no loss was found that counts.",
    "TIED": "No difference that is more than chance.",
    "REGRESSED": "Worse than its base: do not serve it.",
}
_PARTS = {"domain": "what was trained", "preference": "ratings that were trained", "general": "what to keep"}


def write_report(path: Path, report: TrainingReport) -> None:
    """Write the page. Raises `StoreError`."""
    with replacing(path) as file:
        file.write(page("Did training help?", lead(report), sections(report)).encode())


def lead(report: TrainingReport) -> str:
    """Which models, in a line."""
    return f"{report.tuned.name} against its base {report.base.name}; proved on {report.created[:10]}."


def sections(report: TrainingReport) -> list[str]:
    """The parts of the page, as HTML; empty ones where there is nothing to say."""
    return [
        _verdict(report),
        _comparisons(report),
        *_examples(report.examples),
        _alphas(report),
        _learning(report),
        _values(report),
        _data(report),
        _files(report),
        _datasets(report),
        _settings(report),
    ]


def _verdict(report: TrainingReport) -> str:
    return section(
        report.verdict,
        f'<p class="soft">{escape(_SAYS[report.verdict])}</p>',
        f'<p class="verdict">{escape(_sentence(report.sentence))}</p>',
        notes([*map(_sentence, report.reasons), *map(_sentence, report.notes)]),
    )


def _comparisons(report: TrainingReport) -> str:
    head = ("data set", "metric", "base", "tuned", "change", "95 %", "p", "won", "tied", "lost")
    rows = [_comparison_row(each) for each in report.comparisons]
    return section(
        "What changed",
        '<p class="soft">Green is better by more than chance, orange is worse, grey cannot be told from chance. '
        "Lines are 95 % intervals over whole documents; p is corrected for the number of comparisons. Rows with a "
        "● decide the verdict. Won and lost: items on which the tuned model does better or worse.</p>",
        changes(report.comparisons),
        table(head, rows, numbers=range(2, len(head))),
    )


def _comparison_row(each: ComparisonRecord) -> tuple[str, ...]:
    return (
        each.dataset,
        metric_name(each.metric) + (" ●" if each.decides else ""),
        f"{each.base:.3f}",
        f"{each.tuned:.3f}",
        f"{each.delta:+.3f}",
        _bounds(each.ci95, signed=True),
        _p(each.p_adjusted),
        *("–" if count is None else f"{count}" for count in (each.wins, each.ties, each.losses)),
    )


def _values(report: TrainingReport) -> str:
    rows = [
        (each.dataset, metric_name(each.metric), each.model, f"{each.value:.3f}", _bounds(each.ci95), each.items)
        for each in report.metrics
    ]
    head = ("data set", "metric", "model", "value", "95 %", "items")
    return section("Scores", table(head, rows, numbers=(3, 4, 5)))


def _alphas(report: TrainingReport) -> str:
    if not report.alphas:
        return ""
    tolerated = float(report.settings.get("tolerated_loss", 0.0))
    named = list(dict.fromkeys(name for each in report.alphas for name in each.general))
    tested = next((each.metrics[0].metric for each in report.alphas if each.metrics), "")
    head = ("α", "dev", *named, *([f"{metric_name(tested)} on test", "95 %"] if tested else []), "")
    rows = [_alpha_row(each, named, tested=bool(tested)) for each in report.alphas]
    return section(
        "How much of the training to keep",
        '<p class="soft">Weights between base and tuned: θ = base + α(tuned − base). A smaller α often keeps what '
        "the base knew. The best on dev was chosen whose loss on the general sets is tolerated (dashed); the test "
        "split had no say.</p>",
        shares(report.alphas, tolerated_loss=tolerated),
        table(head, rows, numbers=range(len(head) - 1)),
    )


def _alpha_row(each: AlphaRecord, named: Sequence[str], *, tested: bool) -> tuple[str, ...]:
    dev = "–" if each.dev is None else f"{each.dev:.3f}"
    general = [f"{each.general[name]:.3f}" if name in each.general else "–" for name in named]
    test: list[str] = []
    if tested:
        first = next(iter(each.metrics), None)
        test = ["–", "–"] if first is None else [f"{first.value:.3f}", _bounds(first.ci95)]
    return (f"{each.alpha:g}", dev, *general, *test, "chosen" if each.chosen else "")


def _learning(report: TrainingReport) -> str:
    training = report.training
    drawn = learning(training)
    facts = [
        ("steps", training.steps),
        ("kept", None if training.best_step is None else f"step {training.best_step}"),
        ("seconds", None if training.seconds is None else f"{training.seconds:.0f}"),
        ("device", training.device),
        ("ended", training.ended),
    ]
    said = [f"{name}: {value}" for name, value in facts if value not in (None, "")]
    if not drawn and not said and not training.notes:
        return ""
    return section(
        "How training went", f'<div class="sides">{"".join(drawn)}</div>', notes([*said, *training.notes])
    )


def _examples(examples: Sequence[ExampleRecord]) -> list[str]:
    better = [each for each in examples if each.better]
    worse = [each for each in examples if not each.better]
    soft = (
        '<p class="soft">Below each, the training pairs that likely did it: those whose query is like this one and '
        "whose text is like the one that moved. A guess from similarity, not a proof.</p>"
    )
    found = []
    if better:
        found.append(section("Found better now", soft, *map(_example, better)))
    if worse:
        found.append(section("Found worse now", soft, *map(_example, worse)))
    return found


def _example(each: ExampleRecord) -> str:
    moved = f"{_rank(each.base_rank, each.depth)} → {_rank(each.tuned_rank, each.depth)}"
    rated = "" if each.rated_rank is None else f" {tag(f'rated {each.rated_rank} of {each.depth}')}"
    overtaken = ""
    if each.overtaken_by is not None:
        overtaken = f"<blockquote>{tag('now before it')} {escape(shorten(each.overtaken_by))}</blockquote>"
    causes = "".join(f"<li>{_cause(cause)}</li>" for cause in each.causes)
    return (
        f'<p><span class="query">{escape(shorten(each.query)) or "–"}</span> {tag(moved)}{rated}</p>'
        f"<blockquote>{escape(shorten(each.expected))}</blockquote>{overtaken}"
        + (f'<ul class="notes soft">{causes}</ul>' if causes else "")
    )


def _cause(cause: CauseRecord) -> str:
    place = f"{cause.source}, page {cause.page}" if cause.page is not None else cause.source or cause.chunk_id
    alike = f"{cause.query_similarity:.2f} · {cause.text_similarity:.2f}"
    return (
        f"{escape(shorten(cause.query))} → {escape(shorten(cause.positive))} "
        f"{tag(place) if place else ''} {tag(f'alike {alike}')}"
    )


def _rank(rank: int | None, depth: int) -> str:
    return f"beyond {depth}" if rank is None else f"{rank}"


def _data(report: TrainingReport) -> str:
    data = report.data
    splits = [
        (split, count, data.documents.get(split, "–"))
        for split, count in (("train", data.train), ("dev", data.dev), ("test", data.test))
    ]
    counted = [(f"negatives: {reason}", f"{count}") for reason, count in data.negatives.items()]
    counted += [(f"left out: {reason}", f"{count}") for reason, count in data.skipped.items()]
    hashes = list(data.digests.items())
    return section(
        "What it was trained on",
        f'<p class="soft">{escape(data.source)}</p>' if data.source else "",
        table(("split", "pairs", "documents"), splits, numbers=(1, 2)),
        table(("rows", "number"), counted, numbers=(1,)) if counted else "",
        notes(data.notes),
        table(("file", "SHA-256"), hashes, numbers=()) if hashes else "",
    )


def _files(report: TrainingReport) -> str:
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


def _datasets(report: TrainingReport) -> str:
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


def _settings(report: TrainingReport) -> str:
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


def _sentence(text: str) -> str:
    """With a full stop at its end."""
    return text if text.endswith((".", "!", "?", "。")) else f"{text}."


def _bounds(bounds: tuple[float, float] | None, *, signed: bool = False) -> str:
    if bounds is None:
        return "–"
    low, high = bounds
    return f"[{low:+.3f}, {high:+.3f}]" if signed else f"[{low:.3f}, {high:.3f}]"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
