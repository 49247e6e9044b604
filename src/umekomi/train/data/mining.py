"""Hard negatives: the texts that a model finds for a query, without those that may well answer it.

A candidate counts as wrong when it is clearly less like the query than the positive is: its similarity is at most
(1 − margin) of the positive's, the relative margin of NV-Retriever (Moreira et al. 2024, arXiv:2407.15831).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.candidates.opening import Candidate
from umekomi.evaluate.candidates.vectors import embed_texts
from umekomi.evaluate.metrics.exact import similarity_of_pairs
from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.evaluate.metrics.repeats import fold, is_near
from umekomi.evaluate.settings import Watch
from umekomi.train.examples import Example, Passage, TrainingData
from umekomi.types import Role, Vectors

_FIRST_LOOK = 64
"""Nearest texts that are looked at first; pairs that find too few among them look `_DEEPER` times as deep."""
_DEEPER = 4


def mine_negatives(
    data: TrainingData,
    candidate: Candidate,
    *,
    count: int,
    margin: float,
    cache: Path,
    watch: Watch,
    batch_size: int = 64,
) -> TrainingData:
    """``data`` whose train pairs have ``count`` negatives, the hardest that the rules allow; given ones come first.

    count       0 mines none; pairs with scores have no negatives and stay as they are
    margin      a negative's similarity to the query is at most (1 − ``margin``) of the positive's
    cache       where vectors are kept
    batch_size  of the training: no text is taken so often that batches, which hold it once, would become smaller

    Never taken: the positive's chunk or text, a neighbouring chunk of its document (any chunk of it where offsets
    are not known), a near-duplicate of it, another positive of the query, a text or document of dev or test. How
    many were mined, and passed over for what, is notified and stands in ``notes``.

    Raises `InvalidInput` for a margin that is not from 0 to below 1, and what embedding raises.
    """
    if not 0 <= margin < 1:
        raise InvalidInput(f"negative margin {margin}; it is from 0 to below 1", param="negative_margin")
    wanting = [row for row, example in enumerate(data.train) if len(example.negatives) < count]
    if data.objective != "ranking" or not wanting:
        return data
    pool = _build_pool(data)
    examples = [data.train[row] for row in wanting]
    mined: list[tuple[str, ...]] = [()] * len(examples)
    passed = Counter[str]()
    if pool:
        vectors = _embed(data, examples, pool, candidate=candidate, cache=cache, watch=watch)
        rules = _Rules.of(data, batch_size)
        mined, passed = _Search(rules, list(pool.items()), vectors, count, margin).run(examples)
    train = list(data.train)
    for row, texts in zip(wanting, mined, strict=True):
        train[row] = replace(train[row], negatives=(*train[row].negatives, *texts))
    message = _account(mined, passed, candidate.record.name)
    watch.notify(message)
    return replace(data, train=tuple(train), notes=(*data.notes, message))


@dataclass(frozen=True, slots=True)
class _Pair:
    """What one pair may not be given, in folded texts. ``rights`` are all positives of its query, as they are."""

    own: frozenset[str]
    answers: frozenset[str]
    beside: Sequence[frozenset[str]]
    rights: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Rules:
    """What pairs may not be given, in folded texts.

    around  a text to the sets of those beside it in its documents
    right   a query to its positives, as they are
    uses    in how many pairs a text stands: ``most`` at most, no more than there are batches anyway
    """

    around: Mapping[str, Sequence[frozenset[str]]]
    right: Mapping[str, Sequence[str]]
    uses: Counter[str]
    most: int

    @classmethod
    def of(cls, data: TrainingData, batch_size: int) -> _Rules:
        right: dict[str, list[str]] = defaultdict(list)
        uses = Counter[str]()
        for example in data.train:
            right[fold(example.query)].append(example.positive)
            uses.update({fold(text) for text in (example.query, example.positive, *example.negatives)})
        around: dict[str, list[frozenset[str]]] = defaultdict(list)
        for key, beside in _iter_beside(data.corpus):
            around[key].append(beside)
        batches = -(-len(data.train) // batch_size)
        return cls(around, right, uses, max(batches, max(uses.values(), default=0)))

    def pair(self, example: Example) -> _Pair:
        query, positive = fold(example.query), fold(example.positive)
        rights = self.right[query]
        return _Pair(
            frozenset((query, positive)), frozenset(map(fold, rights)), self.around.get(positive, ()), rights
        )

    def refuse(self, pair: _Pair, key: str, text: str, *, too_near: bool) -> str | None:
        """Why ``text`` is no negative for the pair; None where it may be."""
        if key in pair.answers:
            return "another positive of the query"
        if any(key in beside for beside in pair.beside):
            return "beside the positive in its document"
        if too_near:
            return "too near the query to be surely wrong"
        if self.uses[key] >= self.most:
            return "in as many pairs as there are batches"
        if any(is_near(text, right) for right in pair.rights):
            return "nearly the positive's text"
        return None


@dataclass(frozen=True, slots=True)
class _Embedded:
    """Unit vectors: of the queries, of the pool, and of each query's positive."""

    queries: Vectors
    pool: Vectors
    positives: Vectors


@dataclass(frozen=True, slots=True)
class _Search:
    rules: _Rules
    pool: Sequence[tuple[str, str]]
    vectors: _Embedded
    count: int
    margin: float

    def run(self, examples: Sequence[Example]) -> tuple[list[tuple[str, ...]], Counter[str]]:
        """The negatives of each example, hardest first, and nearer texts by why they were passed over."""
        rows = np.arange(len(examples))
        likeness = similarity_of_pairs(
            self.vectors.queries, self.vectors.positives, left_rows=rows, right_rows=rows
        )
        limits = likeness - self.margin * np.abs(likeness)
        mined: list[tuple[str, ...]] = [()] * len(examples)
        passed = Counter[str]()
        depth = min(len(self.pool), max(_FIRST_LOOK, 2 * self.count))
        while len(rows):
            found = nearest(self.vectors.pool, k=depth, queries=self.vectors.queries[rows])
            unfilled = []
            for at, row in enumerate(rows.tolist()):
                ranked = zip(found.index[at].tolist(), found.similarity[at].tolist(), strict=True)
                chosen, reasons = self._choose(examples[row], ranked, float(limits[row]))
                if len(chosen) + len(examples[row].negatives) < self.count and depth < len(self.pool):
                    unfilled.append(row)
                else:
                    mined[row] = chosen
                    passed.update(reasons)
                    self.rules.uses.update(map(fold, chosen))
            rows = np.array(unfilled, np.int64)
            depth = min(len(self.pool), depth * _DEEPER)
        return mined, passed

    def _choose(
        self, example: Example, ranked: Iterator[tuple[int, float]], limit: float
    ) -> tuple[tuple[str, ...], Counter[str]]:
        have = {fold(text) for text in example.negatives}
        pair = self.rules.pair(example)
        chosen: list[str] = []
        passed = Counter[str]()
        for row, similarity in ranked:
            if len(chosen) + len(example.negatives) == self.count:
                break
            key, text = self.pool[row]
            if key in have or key in pair.own:
                continue
            reason = self.rules.refuse(pair, key, text, too_near=similarity > limit)
            if reason is None:
                chosen.append(text)
            else:
                passed[reason] += 1
        return tuple(chosen), passed


def _build_pool(data: TrainingData) -> dict[str, str]:
    """Texts by their folded form, in the order of the corpus, but for what dev and test are about."""
    held_out = (*data.dev, *data.test)
    documents = {example.document_id for example in held_out} - {""}
    closed = {fold(example.positive) for example in held_out}
    closed |= {fold(passage.text) for passage in data.corpus if passage.document_id in documents}
    pool: dict[str, str] = {}
    for passage in data.corpus:
        if (key := fold(passage.text)) not in closed:
            pool.setdefault(key, passage.text)
    return pool


def _iter_beside(corpus: Sequence[Passage]) -> Iterator[tuple[str, frozenset[str]]]:
    """Each text with those before and after it in its document; with all of it where offsets are not known."""
    documents: dict[str, list[Passage]] = defaultdict(list)
    for passage in corpus:
        if passage.document_id:
            documents[passage.document_id].append(passage)
    for passages in documents.values():
        starts = [passage.start for passage in passages if passage.start is not None]
        if len(starts) < len(passages):
            whole = frozenset(fold(passage.text) for passage in passages)
            yield from ((key, whole) for key in whole)
            continue
        keys = [fold(passages[at].text) for at in np.argsort(starts, kind="stable").tolist()]
        for place, key in enumerate(keys):
            yield key, frozenset(keys[max(0, place - 1) : place + 2])


def _embed(
    data: TrainingData,
    examples: Sequence[Example],
    pool: Iterable[str],
    *,
    candidate: Candidate,
    cache: Path,
    watch: Watch,
) -> _Embedded:
    """The whole corpus, held-out texts too: so the proof, which searches all of it, finds its vectors kept."""
    texts = [passage.text for passage in data.corpus]
    places: dict[str, int] = {}
    for row, text in enumerate(texts):
        places.setdefault(fold(text), row)
    for example in examples:
        if (key := fold(example.positive)) not in places:
            places[key] = len(texts)
            texts.append(example.positive)
    queries = [example.query for example in examples]
    with watch.stage("Mining negatives", total=len(texts) + len(queries)) as advance:
        asked = _vectors(candidate, queries, "query", cache=cache, advance=advance)
        found = _vectors(candidate, texts, "document", cache=cache, advance=advance)
    positives = found[[places[fold(example.positive)] for example in examples]]
    return _Embedded(asked, found[[places[key] for key in pool]], positives)


def _vectors(
    candidate: Candidate, texts: Sequence[str], role: Role, *, cache: Path, advance: Callable[[int], None]
) -> Vectors:
    return embed_texts(candidate, texts, role=role, cache=cache, advance=advance).vectors


def _account(mined: Sequence[Sequence[str]], passed: Mapping[str, int], model: str) -> str:
    count = sum(map(len, mined))
    lacking = sum(not texts for texts in mined)
    message = f"{count} negatives mined with {model} for {len(mined) - lacking} of {len(mined)} pairs"
    if passed:
        reasons = ", ".join(f"{times} {reason}" for reason, times in sorted(passed.items()))
        message += f"; nearer texts that were passed over: {reasons}"
    if lacking:
        message += f"; {lacking} pairs have none, since no text may be given to them"
    return message
