"""Which `Recipe` gives the vectors that a server gives: change after change, each kept if it closes the gap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

from umekomi.evaluate.parity.agreement import KEEP_COSINE, Float64s, cosines
from umekomi.evaluate.parity.recipes import CLEANINGS, LIMITS, Frame, LongTexts, Recipe
from umekomi.models.card import Pooling
from umekomi.types import Vectors

Change: TypeAlias = Literal["prefix", "pooling", "special tokens", "text cleaning", "truncation", "precision"]
"""What a recipe may do otherwise."""

_WORTH = 0.5
"""A change is made if it leaves at most this share of the gap."""

_TELLING = 0.4
"""Where the gap stays open in the end, a change is told if it leaves at most this share: chance resemblances, such
as those of another tokenizer, close less."""

UNRELATED_COSINE = 0.3
"""Mean cosine under which two sides are of different models, and no two changes at once are worth a try."""

_TELLING_LIMIT = 0.3
_EXACT_COSINE = 0.99999
"""Limits that lie near one another give nearly the same vectors, so that only this settles one."""

_MOST_CHANGES = 4
_ODD_LIMITS: dict[LongTexts, tuple[int, ...]] = {"start": (128, 256, 384, 512), "average": (256, 512)}
_SCAN_TOKENS = 12


class Laboratory(Protocol):
    """Makes vectors by recipes; says what of a recipe it can change."""

    @property
    def prompts(self) -> Sequence[str]: ...

    @property
    def frames(self) -> Sequence[Frame]: ...

    @property
    def poolings(self) -> Sequence[Pooling]: ...

    def vectors(self, texts: Sequence[str], recipe: Recipe) -> Vectors:
        """Vectors for ``texts`` by ``recipe``, as long as those they are compared with."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """One change that closed a part of the gap: mean cosine of the rows that disagreed, before and after it."""

    change: Change
    recipe: Recipe
    before: float
    after: float
    closed: bool


@dataclass(frozen=True, slots=True)
class Search:
    """Where a search ended: the recipe, the changes that led there, and each row's cosine under it."""

    recipe: Recipe
    steps: tuple[Step, ...]
    cosines: Float64s

    @property
    def closed(self) -> bool:
        return bool(self.cosines.min() >= KEEP_COSINE)


@dataclass(frozen=True, slots=True)
class _Trial:
    change: Change
    recipe: Recipe
    cosines: Float64s

    @property
    def gap(self) -> float:
        """Rounded, so that of two changes that do the same the first one, the more usual, counts."""
        return round(float(1 - self.cosines.mean()), 5)


class Experiment:
    """``texts`` whose vectors by a server are ``target``, and a laboratory that tries to make the same ones."""

    def __init__(self, laboratory: Laboratory, texts: Sequence[str], target: Vectors) -> None:
        self._laboratory = laboratory
        self._texts = texts
        self._target = target
        self._tried: dict[tuple[Recipe, tuple[str, ...]], Float64s] = {}

    def cosines(self, recipe: Recipe) -> Float64s:
        """Each row's cosine under ``recipe``; what comes down to the same texts is computed once."""
        key = replace(recipe, prompt="", cleaning=""), tuple(recipe.text(text) for text in self._texts)
        if key not in self._tried:
            self._tried[key] = cosines(self._laboratory.vectors(self._texts, recipe), self._target)
        return self._tried[key]

    def find_recipe(self, start: Recipe) -> Search:
        """Changes of anything but long texts, found by descent from ``start``; those that turn out needless are
        taken back."""
        search = self._descend(start, self._singles)
        if not search.steps and search.cosines.mean() >= UNRELATED_COSINE and not search.closed:
            search = self._descend(start, self._pairs)
        return self._without_needless(start, search)

    def find_limit(self, start: Recipe, *, own: int, longest: int, measured: Callable[[], int | None]) -> Search:
        """How long texts are cut.

        own       the limit that ``start`` means
        longest   tokens of the longest text
        measured  asks the server for its limit, about; called where no usual limit fits exactly
        """
        usual = self._best_limit(start, _long_text_trials(start, own, longest))
        if self.cosines(start).min() >= KEEP_COSINE or usual.cosines.min() >= _EXACT_COSINE:
            return usual
        near = measured()
        if near is None:
            return usual
        around = range(max(4, near - _SCAN_TOKENS), min(longest, near + _SCAN_TOKENS))
        scanned = self._best_limit(start, _scan(start, around))
        return scanned if scanned.cosines.mean() > usual.cosines.mean() else usual

    def _best_limit(self, start: Recipe, trials: Iterable[tuple[Change, Recipe]]) -> Search:
        fixed = list(trials)
        return self._descend(start, lambda recipe: fixed, most=1, worth=_TELLING_LIMIT)

    def _descend(
        self,
        start: Recipe,
        variants: Callable[[Recipe], Iterable[tuple[Change, Recipe]]],
        *,
        most: int = _MOST_CHANGES,
        worth: float = _WORTH,
    ) -> Search:
        current = _Trial("prefix", start, self.cosines(start))
        steps: list[Step] = []
        while len(steps) < most and current.cosines.min() < KEEP_COSINE:
            best = self._best(variants(current.recipe), current)
            if best.gap > worth * current.gap:
                break
            steps.append(_step(best, current.cosines))
            current = best
        return Search(current.recipe, tuple(steps), current.cosines)

    def _best(self, variants: Iterable[tuple[Change, Recipe]], current: _Trial) -> _Trial:
        """The trial that leaves the least gap; the first that leaves none at all ends the search."""
        best = current
        for change, recipe in variants:
            trial = _Trial(change, recipe, self.cosines(recipe))
            if trial.gap < best.gap:
                best = trial
            if trial.cosines.min() >= _EXACT_COSINE:
                break
        return best

    def _singles(self, recipe: Recipe) -> Iterator[tuple[Change, Recipe]]:
        for prompt in self._laboratory.prompts:
            yield "prefix", replace(recipe, prompt=prompt)
        for pooling in self._laboratory.poolings:
            yield "pooling", replace(recipe, pooling=pooling)
        for frame in self._laboratory.frames:
            yield "special tokens", replace(recipe, frame=frame)
        for cleaning in CLEANINGS:
            yield "text cleaning", replace(recipe, cleaning=cleaning)

    def _pairs(self, recipe: Recipe) -> Iterator[tuple[Change, Recipe]]:
        for pooling in self._laboratory.poolings:
            for prompt in self._laboratory.prompts:
                yield "pooling", replace(recipe, pooling=pooling, prompt=prompt)

    def _without_needless(self, start: Recipe, search: Search) -> Search:
        """Told anew from the end: each change against the same recipe without it."""
        recipe = search.recipe
        for _, name in reversed(_FIELDS):
            without = replace(recipe, **{name: getattr(start, name)})
            left = 1e-5 + 1 - float(self.cosines(recipe).mean())
            gap = 1e-5 + 1 - float(self.cosines(without).mean())
            if left > (0.99 if search.closed else _TELLING) * gap:
                recipe = without
        steps = []
        for change, name in _FIELDS:
            if getattr(recipe, name) != getattr(start, name):
                without = replace(recipe, **{name: getattr(start, name)})
                steps.append(_step(_Trial(change, recipe, self.cosines(recipe)), self.cosines(without)))
        return Search(recipe, tuple(steps), self.cosines(recipe))


_FIELDS: tuple[tuple[Change, str], ...] = (
    ("prefix", "prompt"),
    ("pooling", "pooling"),
    ("special tokens", "frame"),
    ("text cleaning", "cleaning"),
)


def _step(trial: _Trial, before: Float64s) -> Step:
    apart = before < KEEP_COSINE
    return Step(
        trial.change,
        trial.recipe,
        before=float(before[apart].mean()) if apart.any() else float(before.mean()),
        after=float(trial.cosines[apart].mean()) if apart.any() else float(trial.cosines.mean()),
        closed=bool(trial.cosines.min() >= KEEP_COSINE),
    )


def _long_text_trials(recipe: Recipe, own: int, longest: int) -> Iterator[tuple[Change, Recipe]]:
    for limit in sorted({*LIMITS, longest} - {own}):
        if limit <= longest:
            yield "truncation", replace(recipe, limit=limit, long_texts="end")
    for long_texts, limits in _ODD_LIMITS.items():
        for limit in sorted({*limits, own}):
            if limit < longest:
                yield "truncation", replace(recipe, limit=limit, long_texts=long_texts)


def _scan(recipe: Recipe, limits: Sequence[int]) -> Iterator[tuple[Change, Recipe]]:
    for limit in limits:
        yield "truncation", replace(recipe, limit=limit, long_texts="end")
