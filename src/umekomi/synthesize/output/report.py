"""report.html of a synthesis: what was made of which document, what went and why, and examples to judge it by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from umekomi.pages import figures, notes, page, section, shorten, table, tag
from umekomi.synthesize.corpus import Corpus
from umekomi.synthesize.pairs import SPLITS, Pair, Rejection, Split
from umekomi.writing import replacing

REPORT = "report.html"
EXAMPLES = 12
EXAMPLES_REJECTED = 3
SHOWN_DOCUMENTS = 500


def write_report(
    folder: Path,
    corpus: Corpus,
    pairs: Sequence[Pair],
    rejections: Sequence[Rejection],
    *,
    splits: Mapping[str, Split],
    summary: Mapping[str, Any],
) -> None:
    """Write report.html, which opens without network and runs no script. Raises `StoreError`."""
    lead = (
        f"{len(pairs)} pairs from {len({pair.document_id for pair in pairs})} documents, written by "
        f"{summary['llm']['name']}."
    )
    sections = (
        _overview(pairs, splits, summary),
        _left_out(rejections, summary),
        _documents(corpus, pairs, splits),
        _examples(pairs),
        _rejected(rejections),
    )
    with replacing(folder / REPORT) as file:
        file.write(page("Training pairs", lead, sections).encode())


def _overview(pairs: Sequence[Pair], splits: Mapping[str, Split], summary: Mapping[str, Any]) -> str:
    by_split = Counter(splits[pair.document_id] for pair in pairs)
    by_style = Counter(pair.style for pair in pairs)
    by_origin = Counter(pair.origin for pair in pairs)
    counts: list[tuple[str, str]] = [(split, f"{by_split[split]}") for split in SPLITS]
    counts += [(f"style: {style}", f"{count}") for style, count in by_style.most_common()]
    counts += [(f"written by: {origin}", f"{count}") for origin, count in by_origin.most_common()]
    return section("What there is", figures(counts), notes(summary["notes"]))


def _left_out(rejections: Sequence[Rejection], summary: Mapping[str, Any]) -> str:
    counts = Counter(each.filter for each in rejections)
    asked = max(1, summary["queries_asked"])
    rows = [(name, count, f"{count / asked:.0%}") for name, count in counts.most_common()]
    rows += [(f"chunk not asked about: {reason}", count, "") for reason, count in summary["passed_over"].items()]
    body = table(("filter", "pairs", "of all queries"), rows, numbers=(1, 2))
    return section("What was left out", body, '<p class="soft">Each one with its reason: rejected.jsonl.</p>')


def _documents(corpus: Corpus, pairs: Sequence[Pair], splits: Mapping[str, Split]) -> str:
    chunks = Counter(chunk.document_id for chunk in corpus.chunks)
    sources = {chunk.document_id: chunk.source for chunk in corpus.chunks}
    kept = Counter(pair.document_id for pair in pairs)
    covered = Counter(document for document, _ in {(pair.document_id, pair.chunk_id) for pair in pairs})
    shown = sorted(chunks, key=lambda name: sources[name])[:SHOWN_DOCUMENTS]
    rows = "".join(
        f'<tr><td>{escape(sources[name])}</td><td>{splits[name]}</td><td class="n">{chunks[name]}</td>'
        f'<td class="n">{kept[name]}</td><td><meter value="{covered[name] / chunks[name]:.3f}"></meter> '
        f"{covered[name] / chunks[name]:.0%}</td></tr>"
        for name in shown
    )
    head = (
        '<tr><th>document</th><th>split</th><th class="n">chunks</th><th class="n">pairs</th>'
        "<th>chunks with a pair</th></tr>"
    )
    more = f"<p class='soft'>and {len(chunks) - len(shown)} more documents</p>" if len(chunks) > len(shown) else ""
    return section("Coverage", f"<table>{head}{rows}</table>", more)


def _examples(pairs: Sequence[Pair]) -> str:
    some = pairs[:: max(1, len(pairs) // EXAMPLES)][:EXAMPLES]
    return section("Examples", *(_example(pair, "") for pair in some))


def _rejected(rejections: Sequence[Rejection]) -> str:
    seen: Counter[str] = Counter()
    shown = []
    for each in rejections:
        seen[each.filter] += 1
        if seen[each.filter] <= EXAMPLES_REJECTED:
            shown.append(_example(each.pair, f"{each.filter}: {each.evidence}"))
    return section("Examples of what was left out", *shown)


def _example(pair: Pair, why: str) -> str:
    place = f"{pair.source}, page {pair.page}" if pair.page else pair.source
    said = f"{tag(shorten(why))} " if why else ""
    return (
        f'<p><span class="query">{escape(pair.query) or "–"}</span> {tag(pair.style)} '
        f"{said}</p><blockquote>{escape(shorten(pair.positive))}<br>{escape(place)}</blockquote>"
    )
