"""What a proof says in plain words: the sentence that sums it up, and the reasons below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from umekomi.evaluate.statistics import direction
from umekomi.prove.comparing import Difference, Judged, Trial
from umekomi.prove.results import Part

NAMES = {"ndcg": "nDCG", "mrr": "MRR", "map": "MAP", "spearman": "Spearman"}
_ITEMS: dict[Part, str] = {"domain": "test quer|y|ies", "preference": "held-out pair||s", "general": "item||s"}
_GROUPS: dict[Part, str] = {"domain": "document||s", "preference": "group||s", "general": "group||s"}


NOTHING_TO_GAIN = 0.98
"""Of a metric whose best is 1: a base that is as good leaves no room for a gain beyond chance."""


def metric_name(metric: str) -> str:
    """``ndcg@10`` as people write it."""
    name, at, cut = metric.partition("@")
    return NAMES.get(name, name) + at + cut


def sentence(judged: Sequence[Judged], tolerated_loss: float) -> str:
    """What happened, for someone who has not seen such a report before."""
    trained = [each for each in judged if each.trial.part != "general"]
    general = [each for each in judged if each.trial.part == "general"]
    said = [clause(each.trial, each.difference, each.p) for each in trained]
    if not general:
        said.append("no general set was asked, so what was forgotten is not known")
    lost = [each for each in general if each.direction == "worse"]
    for each in lost:
        verb = "more than the tolerated" if -each.difference.delta > tolerated_loss else "within the tolerated"
        said.append(f"{clause(each.trial, each.difference, each.p)}, {verb} {tolerated_loss:.3f}")
    kept = [each.trial.dataset for each in general if each.direction != "worse" and each.p is not None]
    if kept:
        said.append(f"no loss beyond chance on {_listed(kept)}")
    small = [each.trial.dataset for each in general if each.p is None]
    if small:
        said.append(f"too little of {_listed(small)} to tell a loss")
    return "; ".join(said)


def clause(trial: Trial, found: Difference, p: float | None) -> str:
    """One metric before and after, with what the difference is worth. ``p`` is adjusted."""
    name = metric_name(found.metric)
    if trial.part != "domain":
        name = f"{name} on {trial.dataset}"
    where = f"on {_extent(trial)}"
    if found.same:
        return f"{name} is {found.base:.3f} before and after, the same for each of {_extent(trial)}"
    change = f"from {found.base:.3f} to {found.tuned:.3f}"
    if found.paired is None:
        return f"{name} went {change} {where}, which cannot be told from chance"
    bounds = f"({found.delta:+.3f} [{found.paired.low:+.3f}, {found.paired.high:+.3f}])"
    towards = "tied" if p is None else direction(found.paired, p)
    if towards == "tied":
        why = "too few to tell it from chance" if p is None else "no more than chance"
        return f"{name} went {change} {bounds} {where}, {why}"
    return f"{name} {'rose' if towards == 'better' else 'fell'} {change} {bounds} {where}"


def reasons(judged: Sequence[Judged], tolerated_loss: float) -> Iterator[str]:
    """What the verdict rests on and what it cannot say."""
    for each in judged:
        yield from _about_size(each)
        if each.trial.part != "general" and each.direction == "tied" and each.detectable is not None:
            yield (
                f"{each.trial.dataset}: a change of {metric_name(each.difference.metric)} by {each.detectable:.3f} "
                "or more would have been found with 80 % probability; a smaller one may well be there"
            )
        yield from _about_room(each)
        yield from _about_loss(each, tolerated_loss)


def _about_size(judged: Judged) -> Iterator[str]:
    trial, needed = judged.trial, judged.needed
    if trial.units < needed:
        can = (
            "cannot decide anything"
            if judged.p is None
            else "can hardly decide anything beside the other data sets"
        )
        yield f"{trial.dataset}: {_extent(trial)} {can}; test on {needed} {_unit(trial, needed)} or more"


def _about_room(judged: Judged) -> Iterator[str]:
    base = judged.difference.base
    if judged.trial.part == "domain" and judged.direction == "tied" and base >= NOTHING_TO_GAIN:
        yield (
            f"{judged.trial.dataset}: the base reaches {base:.3f} already, so that hardly anything can be gained; "
            "ask what it does not find yet, in the words of your users"
        )


def _about_loss(judged: Judged, tolerated_loss: float) -> Iterator[str]:
    """What a general set may have lost unseen."""
    paired = judged.difference.paired
    if judged.trial.part != "general" or judged.direction != "tied" or paired is None:
        return
    if -paired.low > tolerated_loss:
        yield f"{judged.trial.dataset}: a loss of up to {-paired.low:.3f} cannot be ruled out"


def _extent(trial: Trial) -> str:
    items = f"{trial.items} {_count(_item_forms(trial), trial.items)}"
    if trial.groups is None:
        return items
    return f"{items} of {trial.units} {_count(_GROUPS[trial.part], trial.units)}"


def _unit(trial: Trial, number: int) -> str:
    return _count(_item_forms(trial) if trial.groups is None else _GROUPS[trial.part], number)


def _item_forms(trial: Trial) -> str:
    pairs = trial.part == "domain" and trial.base.primary.reduction != "mean"
    return "test pair||s" if pairs else _ITEMS[trial.part]


def _count(forms: str, number: int) -> str:
    """``forms`` is stem|singular|plural."""
    stem, one, many = forms.split("|")
    return stem + (one if number == 1 else many)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
