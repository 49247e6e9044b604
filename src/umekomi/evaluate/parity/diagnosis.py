"""Why a served model gives other vectors: told against a model of ours that does as it does, or another server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from umekomi.evaluate.parity.agreement import Float64s, matched_share
from umekomi.evaluate.parity.causes import Cause, cause_of_step, precision, unexplained
from umekomi.evaluate.parity.experiments import Experiment, Search
from umekomi.evaluate.parity.habits import Cut, find_cut, ignores_start, observe, refusal_of, rounded_levels
from umekomi.evaluate.parity.laboratory import Reference
from umekomi.evaluate.parity.probes import Probes
from umekomi.evaluate.parity.recipes import FRAMES, Frame, Recipe, known_prompts
from umekomi.evaluate.parity.sides import Side, ask_all
from umekomi.models.card import Pooling
from umekomi.types import Vectors

_ENOUGH_COSINE = 0.9
"""Mean cosine of short texts from which long ones are worth an experiment of their own."""

_LONG_GAP = 3
"""Long texts that lie so many times as far apart as short ones differ in a way of their own."""

_SAME_CUT = 0.05
"""Two servers cut at the same place if their places differ by at most this share: a prompt takes up some room."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Causes, most telling first, and what else a reader should know."""

    causes: tuple[Cause, ...]
    notes: tuple[str, ...] = ()


class ReferenceLaboratory:
    """A reference whose vectors are cut to ``dim``; see `experiments.Laboratory`."""

    def __init__(self, reference: Reference, *, dim: int) -> None:
        self._reference = reference
        self._dim = dim

    @property
    def prompts(self) -> Sequence[str]:
        return known_prompts(self._reference.card.prompts)

    @property
    def frames(self) -> Sequence[Frame]:
        return FRAMES

    @property
    def poolings(self) -> Sequence[Pooling]:
        return [way for way in self._reference.poolings if self._reference.can_do(Recipe(pooling=way))]

    def vectors(self, texts: Sequence[str], recipe: Recipe) -> Vectors:
        return self._reference.vectors(texts, recipe)[:, : self._dim]


class ServedLaboratory:
    """A server that is sent changed texts: all that can be tried over HTTP."""

    frames: Sequence[Frame] = ()
    poolings: Sequence[Pooling] = ()

    def __init__(self, side: Side, *, prompts: Mapping[str, str], dim: int) -> None:
        self._side = side
        self._dim = dim
        self._known: dict[str, Vectors] = {}
        self.prompts: Sequence[str] = known_prompts(prompts)

    def vectors(self, texts: Sequence[str], recipe: Recipe) -> Vectors:
        """As the protocol says; a text that was sent before is not sent again."""
        wanted = [recipe.text(text) or " " for text in texts]
        if new := [text for text in dict.fromkeys(wanted) if text not in self._known]:
            self._known.update(zip(new, ask_all(self._side, new), strict=True))
        return np.stack([self._known[text] for text in wanted])[:, : self._dim]


def diagnose_by_reference(
    side: Side, reference: Reference, probes: Probes, *, start: Recipe, name: str
) -> Diagnosis:
    """What ``side`` does otherwise than ``reference`` (called ``name``) under ``start``.

    Raises `UpstreamError` where the side fails, `EngineError` where the reference does.
    """
    texts = [*probes.short, *probes.odd]
    target = ask_all(side, texts)
    dim = target.shape[1]
    if dim > reference.card.dim:
        return Diagnosis((_other_dimensions(side.name, dim, name, reference.card.dim),))
    laboratory = ReferenceLaboratory(reference, dim=dim)
    experiment = Experiment(laboratory, texts, target)
    search = experiment.find_recipe(start)
    causes = [cause_of_step(step, start, side=side.name, other=name) for step in search.steps]
    notes: list[str] = []
    if search.cosines.mean() >= _ENOUGH_COSINE:
        causes += _long_texts_by_reference(side, reference, probes, search, name=name, notes=notes)
    if not search.closed:
        own = laboratory.vectors(texts, search.recipe)
        matched = matched_share(own, target)
        int8 = _int8_cosines(reference, experiment, search.recipe)
        habits = observe(side, texts)
        if rounded_levels(own) is not None:
            habits = replace(habits, levels=None)
        rest = precision(search.cosines, habits, side=side.name, int8=int8)
        if rest is not None:
            causes.append(_about_reference(rest, reference, name))
        elif not search.steps:
            causes.insert(0, unexplained(search.cosines, matched, side=side.name, poolings_tried=True))
        else:
            notes.append(f"a part of the difference stays unexplained (cosine {search.cosines.mean():.4f})")
    return Diagnosis(tuple(causes), tuple(notes))


def diagnose_between(first: Side, second: Side, probes: Probes, *, prompts: Mapping[str, str]) -> Diagnosis:
    """What one server does otherwise than the other, as far as it shows over HTTP. ``prompts`` are the model's."""
    texts = [*probes.short, *probes.odd]
    vectors = (ask_all(first, texts), ask_all(second, texts))
    dim = min(side.shape[1] for side in vectors)
    vectors = (vectors[0][:, :dim], vectors[1][:, :dim])
    searches = [
        Experiment(ServedLaboratory(maker, prompts=prompts, dim=dim), texts, target).find_recipe(Recipe())
        for maker, target in ((first, vectors[1]), (second, vectors[0]))
    ]
    names = (second.name, first.name)
    best = int(searches[1].cosines.mean() > searches[0].cosines.mean())
    search = searches[best]
    causes = [cause_of_step(step, Recipe(), side=names[best], other=names[1 - best]) for step in search.steps]
    notes: list[str] = []
    causes += _long_texts_between(first, second, probes, notes)
    if not search.closed:
        rest = _rounding_between(first, second, texts, search)
        matched = matched_share(*vectors)
        if rest is not None:
            causes.append(rest)
        elif not search.steps:
            causes.insert(0, unexplained(search.cosines, matched, side=second.name, poolings_tried=False))
        else:
            notes.append(f"a part of the difference stays unexplained (cosine {search.cosines.mean():.4f})")
    return Diagnosis(tuple(causes), tuple(notes))


def _long_texts_by_reference(
    side: Side, reference: Reference, probes: Probes, search: Search, *, name: str, notes: list[str]
) -> list[Cause]:
    """How ``side`` treats texts over the reference's limit, or over its own."""
    long = probes.long[0]
    if (message := refusal_of(side, long)) is not None:
        notes.append(f"{side.name} refuses a text of {len(long)} characters: {message}")
        return []
    target = side.ask([long]).vectors
    own, longest = reference.card.max_tokens, reference.longest_of([search.recipe.text(long)], search.recipe)
    experiment = Experiment(ReferenceLaboratory(reference, dim=target.shape[1]), [long], target)

    def measured() -> int | None:
        cut = find_cut(side, long)
        if cut is None:
            return None
        return reference.longest_of([search.recipe.text(long[: cut.characters])], search.recipe)

    found = experiment.find_limit(search.recipe, own=own, longest=longest, measured=measured)
    gap, usual_gap = 1 - found.cosines.mean(), 1 - search.cosines.mean()
    if not found.steps and not found.closed and gap > _LONG_GAP * usual_gap:
        sentence = f"{side.name} treats long texts in a way that is not on the list (cosine {1 - gap:.4f})"
        return [Cause("truncation", side.name, sentence, "possible", float(1 - gap))]
    if longest < own and not found.steps:
        notes.append(f"truncation was tried with texts of at most {longest} tokens; {name} takes {own}")
    return [cause_of_step(step, search.recipe, side=side.name, other=name, own_limit=own) for step in found.steps]


def _long_texts_between(first: Side, second: Side, probes: Probes, notes: list[str]) -> list[Cause]:
    long = probes.long[0]
    cuts: list[Cut] = []
    for side in (first, second):
        if (message := refusal_of(side, long)) is not None:
            notes.append(f"{side.name} refuses a text of {len(long)} characters: {message}")
            return []
        if (cut := find_cut(side, long)) is None:
            notes.append(f"where {side.name} cuts long texts cannot be told: its noise or rounding hides it")
            return []
        cuts.append(cut)
    ignoring = [side.name for side in (first, second) if ignores_start(side, long)]
    if len(ignoring) == 1:
        return [Cause("truncation", ignoring[0], f"{ignoring[0]} cuts the start of long texts", "certain")]
    places = [cut.characters for cut in cuts]
    if abs(places[0] - places[1]) <= _SAME_CUT * max(places):
        return []
    shorter = int(places[1] <= places[0])
    names = (first.name, second.name)
    readings = [f"{name} {_reading(cut, long)}" for name, cut in zip(names, cuts, strict=True)]
    sentence = f"{readings[shorter]}, {readings[1 - shorter]}"
    return [Cause("truncation", names[shorter], sentence, "certain")]


def _reading(cut: Cut, text: str) -> str:
    if cut.characters == len(text):
        return f"reads all {len(text)} characters of a long text"
    tokens = f", {cut.tokens} tokens by its own count" if cut.tokens else ""
    return f"stops reading a long text after about {cut.characters} characters{tokens}"


def _rounding_between(first: Side, second: Side, texts: Sequence[str], search: Search) -> Cause | None:
    """Of two servers, the one with telling habits; the second one where neither has."""
    habits = [observe(side, texts) for side in (first, second)]
    if all(own.levels is not None for own in habits):
        habits = [replace(own, levels=None) for own in habits]
    telling = habits[0].levels is not None or habits[0].depends_on_company
    side = int(not telling or habits[1].levels is not None or habits[1].depends_on_company)
    return precision(search.cosines, habits[side], side=(first, second)[side].name)


def _int8_cosines(reference: Reference, experiment: Experiment, recipe: Recipe) -> Float64s | None:
    """How near 8-bit weights come; None where the reference runs in them already or cannot."""
    rounded = replace(recipe, precision="int8")
    if reference.card.precision == "int8" or not reference.can_do(rounded):
        return None
    found = experiment.cosines(rounded)
    # Both are the same where the engine has no 8-bit arithmetic of its own.
    return found if not np.allclose(found, experiment.cosines(recipe), atol=1e-9) else None


def _about_reference(cause: Cause, reference: Reference, name: str) -> Cause:
    """A quantised reference may be what rounds."""
    if reference.card.notice is None or cause.confidence == "certain":
        return cause
    return replace(cause, sentence=f"{cause.sentence}; {name} itself: {reference.card.notice}")


def _other_dimensions(side: str, dim: int, name: str, own: int) -> Cause:
    sentence = f"{side} serves another model: its vectors have {dim} dimensions, {name}'s {own}"
    return Cause("another model", side, sentence, "certain")
