"""An explanation from end to end: texts embedded once, a regression for each model, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from umekomi.errors import ConfigError
from umekomi.evaluate.candidates.opening import CandidateName, open_candidate
from umekomi.evaluate.candidates.vectors import check_cache, embed_texts
from umekomi.evaluate.results import ModelRecord
from umekomi.evaluate.settings import Watch
from umekomi.explain.explaining import Regression, explain, regress
from umekomi.explain.reading import Study
from umekomi.explain.regression.folds import assign_folds
from umekomi.explain.regression.ridge import count_fits
from umekomi.explain.results import Explanation
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


def explain_model(
    study: Study, name: CandidateName, settings: ExplainSettings, watch: Watch
) -> tuple[Explanation, Regression, Embedded]:
    """Embed the texts of ``study`` and explain its target by them.

    Vectors are kept in ``settings.cache_folder``, so an interrupted run goes on where it stopped. Raises what
    opening and running the model raise, `InvalidInput`, `MissingExtra`.
    """
    check_settings(study, settings)
    embedded = embed_study(study, name, settings, watch)
    regression = regress_study(study, embedded, settings, watch)
    about = {
        **embedded.model.model_dump(mode="json", exclude={"cost"}),
        "truncated": dict(embedded.truncated),
    }
    return explain(regression, about, settings, watch), regression, embedded


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
