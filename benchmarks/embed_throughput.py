"""Embedding throughput side by side with sentence-transformers (torch, fp32, at its best batch size), in one run.

Speeds on a shared machine wander, so the contenders take turns in every round and ratios are what counts. Beside
every speed stands how near its vectors are to fp32's: a fast wrong vector is worth nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from race import Entry, Kind, Racer, find_batch_size, open_racers, take_turns
from report import (
    Footprint,
    Report,
    Row,
    SetResult,
    cosines,
    describe_machine,
    installed_versions,
    median_ratio,
    print_report,
)
from sample_texts import TextSet, livedoor, paragraphs, short_sentences
from umekomi.models.bundle import Bundle
from umekomi.models.sources import open_model
from umekomi.models.tokenizer import load_tokenizer
from umekomi.types import Precision

PEER = Entry("sentence-transformers", "fp32")
CEILING: Kind = "matrix products"
OWN_KINDS: tuple[Kind, ...] = ("umekomi", CEILING)
PRECISIONS: dict[str, tuple[Precision, ...]] = {"fp32": ("fp32",), "int8": ("int8",), "both": ("fp32", "int8")}
BATCH_SIZES = (4, 8, 16, 32, 64)
QUICK_BATCH_SIZES = (8, 32)
ALONE_TEXTS = 16


def main() -> None:
    options = _parse()
    console = Console(width=None if os.isatty(1) else 120)
    report = _measure(options, open_model(options.model, notify=console.print), console)
    print_report(report, console)
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _measure(options: argparse.Namespace, bundle: Bundle, console: Console) -> Report:
    sets = _text_sets(options)
    tokens = {texts.name: _count_tokens(bundle, texts.texts) for texts in sets}
    entries = [PEER, *(Entry(kind, each) for kind in OWN_KINDS for each in PRECISIONS[options.precision])]
    with (
        console.status("starting every contender twice") as status,
        open_racers(entries, sets, model=options.model, folder=bundle.folder, threads=options.threads) as racers,
    ):
        status.update("finding the best batch size of sentence-transformers")
        _tune(racers[0], sets, tokens, sizes=QUICK_BATCH_SIZES if options.quick else BATCH_SIZES)
        status.update("comparing vectors")
        rows = {texts.name: _compare(racers, texts) for texts in sets}
        status.update("taking turns")
        speeds = _race(racers, sets, tokens, options.rounds)
    return Report(
        model=f"{bundle.card.name} ({bundle.card.source})",
        rounds=options.rounds,
        threads=options.threads,
        machine=describe_machine(),
        versions=installed_versions(),
        sets=[_result(texts, tokens[texts.name], rows[texts.name], speeds[texts.name]) for texts in sets],
        disturbed_turns=sum(racer.disturbed for racer in racers),
        footprints=[_footprint(racer) for racer in racers if racer.entry.kind != CEILING],
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="multilingual-e5-small", help="folder, hub id or starter name")
    parser.add_argument("--precision", choices=PRECISIONS, default="both")
    parser.add_argument(
        "--livedoor", type=Path, metavar="FILE", help="ldcc-20140209.tar.gz, for news texts as well"
    )
    parser.add_argument("--rounds", type=int, help="turns of each contender (7; 3 with --quick)")
    parser.add_argument("--threads", type=int, default=_usable_cores(), help="all usable cores by default")
    parser.add_argument("--quick", action="store_true", help="fewer texts, rounds and batch sizes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 7)
    return options


def _text_sets(options: argparse.Namespace) -> list[TextSet]:
    """About 5,000 tokens of each kind, half a second of work for int8 on two cores; a third of it with --quick."""
    share = 3 if options.quick else 1
    sets = [short_sentences(240 // share), paragraphs(48 // share)]
    if options.livedoor:
        sets.append(livedoor(options.livedoor, 18 // share))
    return sets


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _count_tokens(bundle: Bundle, texts: Sequence[str]) -> int:
    """Tokens that run, special ones included and padding not: the same for all contenders."""
    encodings = load_tokenizer(bundle.folder).encode_batch(list(texts))
    return sum(min(len(encoding.ids), bundle.card.max_tokens) for encoding in encodings)


def _tune(peer: Racer, sets: Sequence[TextSet], tokens: dict[str, int], *, sizes: Sequence[int]) -> None:
    """Find the peer's best batch size for each set: it is compared at its best."""
    for texts in sets:
        peer.batch_sizes[texts.name] = find_batch_size(peer, texts, tokens[texts.name], sizes)


def _compare(racers: Sequence[Racer], texts: TextSet) -> dict[str, Row]:
    """Cosines of every contender with vectors, by label. Speeds are filled in after the race."""
    reference = racers[0].vectors(texts)
    rows = {}
    for racer in racers:
        row = Row(racer.entry.label, racer.batch_sizes.get(texts.name))
        if racer.entry.kind != CEILING:
            batched = racer.vectors(texts)
            near = cosines(batched, reference)
            alone = cosines(batched[:ALONE_TEXTS], racer.vectors(texts, alone=ALONE_TEXTS))
            row = replace(
                row,
                mean_cosine=float(near.mean()),
                worst_cosine=float(near.min()),
                batched_cosine=float(alone.min()),
            )
        rows[racer.entry.label] = row
    return rows


def _race(
    racers: Sequence[Racer], sets: Sequence[TextSet], tokens: dict[str, int], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Tokens a second of every turn, by set and label."""
    speeds: dict[str, dict[str, list[float]]] = {
        texts.name: {racer.entry.label: [] for racer in racers} for texts in sets
    }
    for name, racer, speed in take_turns(racers, sets, tokens, rounds=rounds):
        speeds[name][racer.entry.label].append(speed)
    return speeds


def _result(texts: TextSet, tokens: int, compared: dict[str, Row], speeds: dict[str, list[float]]) -> SetResult:
    rows = []
    for label, row in compared.items():
        ratio, ratio_range = median_ratio(speeds[label], speeds[PEER.label])
        ceiling = speeds.get(Entry(CEILING, "int8" if label.endswith("int8") else "fp32").label)
        rows.append(
            replace(
                row,
                tokens_per_s=statistics.median(speeds[label]),
                ratio=ratio,
                ratio_range=ratio_range,
                ceiling_share=median_ratio(speeds[label], ceiling)[0] if ceiling else None,
            )
        )
    return SetResult(texts.name, texts.about, len(texts.texts), tokens, rows)


def _footprint(racer: Racer) -> Footprint:
    return Footprint(racer.entry.label, racer.peak_bytes, racer.start_s, racer.first_start_s)


if __name__ == "__main__":
    main()
