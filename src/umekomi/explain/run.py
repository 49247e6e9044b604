"""An explanation from end to end: texts embedded once, a regression for each model, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from umekomi.errors import ConfigError
from umekomi.evaluate.candidates.opening import CandidateName, check_candidate, open_candidate
from umekomi.evaluate.candidates.vectors import check_cache, embed_texts
from umekomi.evaluate.results import ModelRecord
from umekomi.evaluate.settings import Watch
from umekomi.explain.comparing.comparison import compare
from umekomi.explain.explaining import explain
from umekomi.explain.reading import Study
from umekomi.explain.regressing import Regression, regress
from umekomi.explain.regression.folds import assign_folds
from umekomi.explain.regression.ridge import count_fits
from umekomi.explain.results import Comparison, Explanation
from umekomi.explain.settings import ExplainSettings
from umekomi.types import Vectors

MIN_FOLDS = 3
MIN_PERMUTATIONS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """A model's unit-length vectors ``(n, dim)`` of every column of texts, and how many rows' texts were cut."""

    model: ModelRecord
    vectors: Mapping[str, Vectors]
    truncated: Mapping[str, int]

    def about(self) -> dict[str, Any]:
        """The model as results show it."""
        return {**self.model.model_dump(mode="json", exclude={"cost"}), "truncated": dict(self.truncated)}


def check_settings(study: Study, settings: ExplainSettings) -> None:
    """Raise before any text is embedded what a regression would raise afterwards."""
    if settings.folds < MIN_FOLDS:
        raise ConfigError(f"--folds {settings.folds}: a penalty chosen inside the folds needs at least {MIN_FOLDS}")
    if settings.permutations < MIN_PERMUTATIONS:
        raise ConfigError(
            f"--permutations {settings.permutations}: p is at least 1 / (permutations + 1); give "
            f"{MIN_PERMUTATIONS} or more"
        )
    assign_folds(study.groups, folds=settings.folds, seed=settings.seed)


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """All that was found: one explanation, or two and what lies between them."""

    study: Study
    settings: ExplainSettings
    explanations: tuple[Explanation, ...]
    comparison: Comparison | None = None


def explain_model(study: Study, name: CandidateName, settings: ExplainSettings, watch: Watch) -> Explained:
    """Embed the texts of ``study`` and explain its target by them.

    Vectors are kept in ``settings.cache_folder``, so an interrupted run goes on where it stopped. Raises what
    opening and running the model raise, `InvalidInput`, `MissingExtra`.
    """
    check_settings(study, settings)
    check_candidate(name)
    embedded = embed_study(study, name, settings, watch)
    regression = regress_study(study, embedded, settings, watch)
    return Explained(study, settings, (explain(regression, embedded.about(), settings, watch),))


def compare_models(
    study: Study, base: CandidateName, tuned: CandidateName, settings: ExplainSettings, *, watch: Watch
) -> Explained:
    """`explain_model` of both, and what moved between them. Raises the same."""
    check_settings(study, settings)
    for name in (base, tuned):
        check_candidate(name)
    embedded = [embed_study(study, name, settings, watch) for name in (base, tuned)]
    regressions = [regress_study(study, each, settings, watch) for each in embedded]
    explanations = tuple(
        explain(regression, each.about(), settings, watch)
        for regression, each in zip(regressions, embedded, strict=True)
    )
    comparison = compare(
        regressions[0],
        regressions[1],
        (embedded[0].vectors, embedded[1].vectors),
        names=(base.text, tuned.text),
        settings=settings,
        watch=watch,
    )
    return Explained(study, settings, explanations, comparison)


def embed_study(study: Study, name: CandidateName, settings: ExplainSettings, watch: Watch) -> Embedded:
    """Vectors of each column of texts. A text that many rows share is embedded once."""
    candidate = open_candidate(name, threads=settings.threads, notify=watch.notify)
    vectors, truncated = {}, {}
    try:
        check_cache(candidate, settings.cache_folder, notify=watch.notify)
        for column, texts in study.texts.items():
            distinct = {text: number for number, text in enumerate(sorted(set(texts)))}
            with watch.stage(f"{name.text}: embedding {column}", total=len(distinct)) as advance:
                found = embed_texts(
                    candidate, list(distinct), role=settings.role, cache=settings.cache_folder, advance=advance
                )
            rows = [distinct[text] for text in texts]
            vectors[column] = found.vectors[rows]
            cut = int(found.truncated[rows].sum()) if found.truncated is not None else 0
            truncated[column] = cut
            if cut:
                watch.notify(f"{name.text}: {cut} texts of '{column}' were cut at the model's context")
        return Embedded(candidate.record, vectors, truncated)
    finally:
        candidate.close()


def regress_study(study: Study, embedded: Embedded, settings: ExplainSettings, watch: Watch) -> Regression:
    """`regress` with progress."""
    with watch.stage(f"{embedded.model.name}: cross-validating", total=count_fits(settings.folds)) as advance:
        return regress(study, embedded.vectors, settings, advance=advance)
