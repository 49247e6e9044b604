"""report.html of an improvement: documents, pairs, training and verdict on one page, and what to do next."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from umekomi.pages import figures, notes, page, section, shorten, table
from umekomi.prove.output.report import sections
from umekomi.prove.results import TrainingReport
from umekomi.synthesize.output.files import REJECTED, SUMMARY, read_pairs
from umekomi.synthesize.output.report import REPORT as PAIRS_REPORT
from umekomi.synthesize.pairs import Pair
from umekomi.writing import replacing

REPORT = "report.html"
SHOWN_FILES = 30
SHOWN_PAIRS = 5


def write_story(path: Path, report: TrainingReport, *, documents: Path | None, pairs: Path, training: Path) -> None:
    """Write the page, which opens without network and runs no script. Raises `StoreError`.

    documents  documents.json; None where a corpus was given
    pairs      folder of the synthesis
    training   folder of the training that ``report`` is of
    """
    summary = json.loads((pairs / SUMMARY).read_bytes())
    verdict, *proof = sections(report)
    parts = [
        verdict,
        section("What to do next", notes(next_steps(report, pairs=pairs, training=training))),
        _documents(json.loads(documents.read_bytes())) if documents is not None else "",
        _pairs(summary, pairs),
        *proof,
    ]
    lead = f"{report.base.name}, tuned on your documents; proved on {report.created[:10]}."
    with replacing(path) as file:
        file.write(page("From documents to a tuned model", lead, parts).encode())


def next_steps(report: TrainingReport, *, pairs: Path, training: Path) -> list[str]:
    """What to do now, a sentence each, with the command to type. Folders are as for `write_story`."""
    promote = f"umekomi promote {shlex.quote(str(training))} --alias NAME"
    export = f"umekomi synthesize review export {shlex.quote(str(pairs))} -o review.xlsx"
    match report.verdict:
        case "IMPROVED":
            return [f"Serve it, under the name that clients ask for: {promote}"]
        case "TIED":
            return [
                "Give more documents, or more queries of each (--per-document): few test queries hide much.",
                f"Read the pairs and correct them, then give the same command again: {export}",
                "Take a larger LLM (--llm), whose queries are closer to those of people.",
                "Train longer or faster: --epochs 4, or --learning-rate 5e-5.",
            ]
        case "REGRESSED":
            return [
                "Keep serving the base: nothing that is served has changed, and promoting this is refused.",
                "Look at the examples that became worse, and at the pairs that likely caused it.",
                "Train more gently: --learning-rate 1e-5, or --epochs 1.",
            ]


def _documents(content: Mapping[str, Any]) -> str:
    """How the files ended, by documents.json; those that could not be read by name."""
    totals = content["totals"]
    shown = [(name, f"{totals[name]:,}") for name in ("ok", "warned", "quarantined", "failed", "skipped", "chunks")]
    unread = [each for each in content["files"] if each["status"] in ("quarantined", "failed")]
    rows = [(each["path"], each["status"], shorten(each["reason"] or "")) for each in unread[:SHOWN_FILES]]
    listed = table(("file", "status", "why"), rows, numbers=()) if rows else ""
    more = f'<p class="soft">and {len(unread) - SHOWN_FILES} more</p>' if len(unread) > SHOWN_FILES else ""
    return section("Documents read", figures(shown), listed, more)


def _pairs(summary: Mapping[str, Any], folder: Path) -> str:
    counts, rejected = summary["pairs"], summary["rejected"]
    shown = [(split, str(count)) for split, count in counts.items()]
    shown.append(("left out", str(sum(rejected.values()))))
    asked = max(1, summary["queries_asked"])
    rows = [(name, count, f"{count / asked:.0%}") for name, count in rejected.items()]
    kept = [pair for pairs in read_pairs(folder).values() for pair in pairs]
    return section(
        "Pairs of a query and its text",
        f'<p class="soft">Written by {escape(summary["llm"]["name"])}. Each pair that was left out stands in '
        f"{REJECTED} with its reason; {PAIRS_REPORT} beside it shows more.</p>",
        figures(shown),
        table(("left out by", "pairs", "of all queries"), rows, numbers=(1, 2)) if rows else "",
        notes(summary["notes"]),
        *map(_example, _some(kept)),
    )


def _some(pairs: Sequence[Pair]) -> list[Pair]:
    return list(pairs[:: max(1, len(pairs) // SHOWN_PAIRS)][:SHOWN_PAIRS])


def _example(pair: Pair) -> str:
    place = f"{pair.source}, page {pair.page}" if pair.page else pair.source
    return (
        f'<p><span class="query">{escape(pair.query)}</span></p>'
        f"<blockquote>{escape(shorten(pair.positive))}<br>{escape(place)}</blockquote>"
    )
