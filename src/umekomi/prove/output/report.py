"""report.html of a training: what happened in one sentence, then what it rests on. It opens without network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from umekomi.pages import notes, page, section, table
from umekomi.prove.output import provenance
from umekomi.prove.output.examples import show_examples
from umekomi.prove.output.pictures import changes, learning, shares
from umekomi.prove.results import AlphaRecord, ComparisonRecord, TrainingReport
from umekomi.prove.wording import metric_name
from umekomi.writing import replacing

REPORT = "report.html"
_SAYS = {
    "IMPROVED": "Better at its subject than its base.",
    "TIED": "No difference that is more than chance.",
    "REGRESSED": "Worse than its base: do not serve it.",
}


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
        *show_examples(report.examples, worse_first=report.verdict == "REGRESSED"),
        _alphas(report),
        _learning(report),
        _values(report),
        provenance.data(report),
        provenance.model_files(report),
        provenance.asked(report),
        provenance.settings(report),
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
