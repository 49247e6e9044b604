"""Examples of a report: what is found better and worse now, with the training pairs that likely did it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from umekomi.pages import section, shorten, tag
from umekomi.prove.results import CauseRecord, ExampleRecord


def show_examples(examples: Sequence[ExampleRecord], *, worse_first: bool) -> list[str]:
    """A section for each direction that has any."""
    better = [each for each in examples if each.better]
    worse = [each for each in examples if not each.better]
    soft = (
        '<p class="soft">Below each, the training pairs that likely did it: those whose query is like this one and '
        "whose text is like the one that moved. A guess from similarity, not a proof.</p>"
    )
    found = [
        section(title, soft, *map(_example, moved))
        for title, moved in (("Found better now", better), ("Found worse now", worse))
        if moved
    ]
    return found[::-1] if worse_first else found


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
