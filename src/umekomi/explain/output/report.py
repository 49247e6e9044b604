"""report.html of an explanation: the verdict first, and what it rests on; it opens without network or script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from umekomi.explain.output.pictures import bars, histogram, scatter
from umekomi.explain.reading import Study
from umekomi.explain.results import (
    CoefficientRecord,
    Comparison,
    Direction,
    Explanation,
    ExtremeText,
    MovedBlock,
)
from umekomi.explain.settings import RISK
from umekomi.pages import notes, page, section, shorten, table
from umekomi.writing import replacing

REPORT = "report.html"
SHOWN_COEFFICIENTS = 40


def write_report(
    path: Path, study: Study, explanations: Sequence[Explanation], comparison: Comparison | None
) -> None:
    """Write the page. Raises `StoreError`."""
    target = study.question.target
    models = " and ".join(str(each.model["name"]) for each in explanations)
    grouped = f"by '{study.question.group}'" if study.question.group else "of rows with the same texts"
    lead = f"{study.name}: {len(study)} rows in {study.group_count} groups {grouped}; vectors of {models}."
    sections = [_notes(study)]
    if comparison is not None:
        sections.append(_comparison(comparison))
    for each in explanations:
        sections += _model(each, target, named=comparison is not None)
    with replacing(path) as file:
        file.write(page(f"What explains {target}", lead, sections).encode())


def _notes(study: Study) -> str:
    said = [*study.notes, *(f"{count} rows left out: {reason}" for reason, count in study.skipped.items())]
    return section("About the table", notes(said)) if said else ""


def _model(explanation: Explanation, target: str, *, named: bool) -> list[str]:
    name = f"{explanation.model['name']}: " if named else ""
    sections = [_verdict(explanation, target, name)]
    if explanation.verdict == "signal":
        sections.append(_blocks(explanation, name))
        sections += [_direction(each, target, name) for each in explanation.directions]
        sections += [_coefficients(explanation, name), _rotation(explanation, name)]
    return sections


def _verdict(explanation: Explanation, target: str, name: str) -> str:
    r2 = explanation.grouped_r2.value
    pictures = (
        scatter(explanation.predicted, across=f"predicted {target}", up=target),
        histogram(explanation.null.values, r2, across="grouped R²", mark=f"{r2:.3f}"),
    )
    return section(
        f"{name}Is there anything?",
        f'<p class="verdict">{escape(explanation.sentence)}</p>',
        '<p class="soft">Grouped R² is the share of the variation that is predicted in groups that the model has '
        "not seen; 0 is what the mean alone gives. Left: each row as predicted out of fold. Right: the same figure "
        "for shuffled targets, which is what noise gives.</p>",
        f'<div class="sides">{"".join(pictures)}</div>',
    )


def _blocks(explanation: Explanation, name: str) -> str:
    rows = [
        (block.name, block.columns, _signed(block.contribution), _bounds(block.ci95), _p(block.q))
        for block in explanation.blocks
    ]
    shown = table(("block", "columns", "fall of R²", "95 %", "q"), rows, numbers=(1, 2, 3, 4))
    return section(
        f"{name}What each block adds",
        '<p class="soft">How much grouped R² falls where the block is shuffled in groups that were not seen. It '
        "can fall by more than there is, since what is shuffled also misleads. Blocks that say the same share what "
        "they add, and each then seems to add little.</p>",
        bars(explanation.blocks, across="fall of grouped R²"),
        shown,
    )


def _direction(direction: Direction, target: str, name: str) -> str:
    def ends(title: str, texts: Sequence[ExtremeText]) -> str:
        rows = [(shorten(each.text), _signed(each.score), f"{each.target:.3g}") for each in texts]
        return f"<div><h3>{title}</h3>{table(('text', 'adds', target), rows, numbers=(1, 2))}</div>"

    return section(
        f"{name}{direction.block}: the direction in its texts",
        f'<p class="soft">The texts at both ends, by what they add to the prediction out of fold; the last column '
        f"is their real {escape(target)}. Correlation of the two over all rows: {direction.correlation:.2f}.</p>",
        f'<div class="sides">{ends("Highest", direction.highest)}{ends("Lowest", direction.lowest)}</div>',
    )


def _coefficients(explanation: Explanation, name: str) -> str:
    found = sum(each.q <= RISK for each in explanation.coefficients)
    rows = [_coefficient_row(each) for each in explanation.coefficients[:SHOWN_COEFFICIENTS]]
    head = ("column", "coefficient", "95 %", "p", "q", "lasso")
    return section(
        f"{name}Coefficients",
        f'<p class="soft">{found} of {len(explanation.coefficients)} columns have q at most {RISK}: of a list of '
        f"these, {RISK:.0%} are false on average. A coefficient is what one standard deviation of the column adds, "
        "shrunk by ridge regression. Lasso: how many of the lassos on half of the groups chose the column among "
        f"their first {explanation.lasso_columns}. Read the check below before you name a dimension. "
        "All: coefficients.csv.</p>",
        table(head, rows, numbers=(1, 2, 3, 4, 5)),
    )


def _coefficient_row(each: CoefficientRecord) -> tuple[str, ...]:
    share = f"{each.stability:.0%}" + (" stable" if each.stable else "")
    return each.column, _signed(each.coefficient), _bounds(each.ci95), _p(each.p), _p(each.q), share


def _rotation(explanation: Explanation, name: str) -> str:
    sentences = "".join(f"<li>{escape(each.sentence)}</li>" for each in explanation.rotation)
    return section(
        f"{name}Do single dimensions mean anything?",
        '<p class="soft">The vectors were turned at random and explained again. Where R² stays and the ranks do '
        "not, the number of a dimension is an accident of training.</p>",
        f'<ul class="notes">{sentences}</ul>',
    )


def _comparison(comparison: Comparison) -> str:
    rows = [
        (
            block.block,
            "–" if block.before is None else f"{block.before:.4f}",
            f"{block.after:.4f}",
            f"{block.placebo:.4f}",
            _bounds(block.ci95),
            "moved" if block.moved else "as the placebo",
        )
        for block in comparison.blocks
    ]
    head = ("texts", "as they are", "aligned", "placebo", "difference, 95 %", "")
    return section(
        "What tuning moved",
        f'<p class="verdict">{escape(comparison.sentence)}</p>',
        '<p class="soft">Mean distance (1 - cosine) of a text\'s vectors in both spaces: as they are, after the '
        "best rotation found on other groups, and for a placebo, the base that was only turned.</p>",
        table(head, rows, numbers=(1, 2, 3, 4)),
        *(_moved(block) for block in comparison.blocks),
    )


def _moved(block: MovedBlock) -> str:
    rows = [(shorten(each.text), f"{each.distance:.4f}") for each in block.texts]
    said = f"<p>{escape(block.direction.sentence)}</p>" if block.direction else ""
    shown = table(("moved most", "distance"), rows, numbers=(1,)) if rows else ""
    return f"<h3>{escape(block.block)}</h3>{said}{shown}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3g}"


def _bounds(bounds: tuple[float, float] | None) -> str:
    return "–" if bounds is None else f"[{bounds[0]:.3g}, {bounds[1]:.3g}]"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
