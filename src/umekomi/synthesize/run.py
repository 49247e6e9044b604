"""Synthesis from end to end: a corpus to queries, each kept as it comes, through the filters, into splits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from umekomi.embedding.embedder import open_embedder
from umekomi.synthesize.calls.asking import Call, probe_schema
from umekomi.synthesize.calls.driving import answer_all
from umekomi.synthesize.calls.ledger import Ledger, Reply
from umekomi.synthesize.calls.llm import Llm
from umekomi.synthesize.corpus import Corpus
from umekomi.synthesize.filters import judging, wording
from umekomi.synthesize.filters.repeating import without_repeats
from umekomi.synthesize.filters.round_trip import without_strays
from umekomi.synthesize.pairs import Pair, Rejection, Split, build_id
from umekomi.synthesize.planning import Plan
from umekomi.synthesize.prompts import Language, Prompt, Task, load_prompt
from umekomi.synthesize.selection import Wanted
from umekomi.synthesize.settings import SynthesisSettings, Watch

LEDGER = "calls.sqlite"

SCHEMA_FILTER = "schema"

_WORDING: tuple[tuple[str, Callable[[Pair], str | None]], ...] = (
    ("language", wording.wrong_language),
    ("meta-phrase", wording.about_the_text),
    ("copy", wording.copied),
)


@dataclass(frozen=True, slots=True, eq=False)
class Synthesis:
    """What a run made.

    splits          of the documents, by identifier
    schema_enforced whether the server kept its model to the schema
    judge           trials that the judge got right and how many there were; None where none was asked for
    calls           calls of this and earlier runs that these pairs rest on
    missing         calls that were given up; the next run asks them again
    """

    pairs: tuple[Pair, ...]
    rejections: tuple[Rejection, ...]
    splits: Mapping[str, Split]
    schema_enforced: bool
    judge: tuple[int, int] | None
    calls: int
    missing: int
    prompt_tokens: int
    completion_tokens: int


def synthesize(
    corpus: Corpus, plan: Plan, llm: Llm, settings: SynthesisSettings, *, folder: Path, watch: Watch
) -> Synthesis:
    """Pairs as ``plan`` wants them. Every answer is kept in ``folder`` as it comes: a run that was interrupted goes
    on, and a changed prompt, model or document asks again only for what it touches.

    Raises `UpstreamError` where the LLM keeps failing, `StoreError` where ``folder`` cannot be written.
    """
    with Ledger(folder / LEDGER) as ledger:
        return _Run(corpus, plan, llm, settings=settings, ledger=ledger, watch=watch).run()


class _Run:
    """The state of one `synthesize`."""

    def __init__(
        self,
        corpus: Corpus,
        plan: Plan,
        llm: Llm,
        *,
        settings: SynthesisSettings,
        ledger: Ledger,
        watch: Watch,
    ) -> None:
        self._corpus, self._plan, self._llm = corpus, plan, llm
        self._settings, self._ledger, self._watch = settings, ledger, watch
        self._rejections: list[Rejection] = []
        self._calls = self._missing = self._prompt_tokens = self._completion_tokens = 0
        self._prompts: dict[tuple[Task, Language], Prompt] = {}

    def run(self) -> Synthesis:
        enforced = probe_schema(self._llm, stop=threading.Event())
        if not enforced:
            self._watch.notify(
                "the LLM's server does not keep to JSON schemas: answers are checked all the same, more are lost"
            )
        pairs = self._write_queries(self._plan.wanted)
        for name, reason_against in _WORDING:
            pairs = self._filter(pairs, name, reason_against)
        pairs, repeated = without_repeats(pairs, self._plan.splits)
        self._rejections += repeated
        pairs = self._make_round_trip(pairs)
        pairs, judge = self._judge(pairs) if self._settings.judge else (pairs, None)
        if self._settings.answers:
            pairs = self._write_answers(pairs)
        return Synthesis(
            tuple(pairs),
            tuple(self._rejections),
            self._plan.splits,
            enforced,
            judge,
            self._calls,
            self._missing,
            self._prompt_tokens,
            self._completion_tokens,
        )

    def _write_queries(self, wanted: Sequence[Wanted]) -> list[Pair]:
        calls = [
            self._call(each.style, each.chunk.language, passage=each.chunk.text, examples=self._settings.examples)
            for each in wanted
        ]
        replies = self._ask("writing queries", calls)
        pairs = []
        for each, call in zip(wanted, calls, strict=True):
            reply = replies.get(call.key)
            if reply is None:
                continue
            if reply.content is None:
                pair = self._pair(each, call, query="")
                self._rejections.append(Rejection(pair, SCHEMA_FILTER, reply.problem or ""))
                continue
            pairs.append(self._pair(each, call, query=" ".join(reply.content["query"].split())))
        return pairs

    def _pair(self, wanted: Wanted, call: Call, *, query: str) -> Pair:
        chunk = wanted.chunk
        return Pair(
            id=build_id(call.key, chunk.id),
            query=query,
            positive=chunk.text,
            chunk_id=chunk.id,
            document_id=chunk.document_id,
            source=chunk.source,
            page=chunk.place.page,
            style=wanted.style,
            language=chunk.language,
        )

    def _filter(self, pairs: Iterable[Pair], name: str, reason_against: Callable[[Pair], str | None]) -> list[Pair]:
        kept = []
        for pair in pairs:
            if (reason := reason_against(pair)) is None:
                kept.append(pair)
            else:
                self._rejections.append(Rejection(pair, name, reason))
        return kept

    def _make_round_trip(self, pairs: list[Pair]) -> list[Pair]:
        target = self._settings.target
        texts = self._corpus.texts
        with ExitStack() as stack:
            embedder = stack.enter_context(open_embedder(target, notify=self._watch.notify)) if target else None
            total = len(pairs) + (len(texts) if target else 0)
            advance = stack.enter_context(self._watch.stage("round trip", total=total))
            kept, strays = without_strays(
                pairs, texts, splits=self._plan.splits, embedder=embedder, advance=advance
            )
        self._rejections += strays
        return kept

    def _judge(self, pairs: list[Pair]) -> tuple[list[Pair], tuple[int, int] | None]:
        languages = sorted({pair.language for pair in pairs})
        trials = judging.plan_trials(languages)
        if not pairs or not trials:
            return pairs, None
        tried = [self._call("judge", trial.language, passage=trial.passage, query=trial.query) for trial in trials]
        replies = self._ask("trying the judge", tried)
        right = judging.count_right(trials, [replies.get(call.key) for call in tried])
        if not judging.is_able(right, len(trials)):
            self._watch.notify(
                f"the LLM judged {right} of {len(trials)} known pairs rightly: that may be luck, so its judgement "
                "is not used; a larger model would help"
            )
            return pairs, (right, len(trials))
        calls = {
            pair.id: self._call("judge", pair.language, passage=pair.positive, query=pair.query) for pair in pairs
        }
        kept, condemned = judging.without_condemned(pairs, calls, self._ask("judging", list(calls.values())))
        self._rejections += condemned
        return kept, (right, len(trials))

    def _write_answers(self, pairs: list[Pair]) -> list[Pair]:
        """Pairs keep their place without an answer where the LLM gave none that fits: the query is still good."""
        calls = [self._call("answer", pair.language, passage=pair.positive, query=pair.query) for pair in pairs]
        replies = self._ask("writing answers", calls)
        answered = []
        for pair, call in zip(pairs, calls, strict=True):
            reply = replies.get(call.key)
            content = reply.content if reply is not None else None
            answered.append(replace(pair, answer=content["answer"].strip() if content else None))
        if lost := sum(pair.answer is None for pair in answered):
            self._watch.notify(f"{lost} of {len(answered)} queries have no answer: what the LLM wrote did not fit")
        return answered

    def _call(
        self, task: Task, language: str, *, passage: str, query: str = "", examples: tuple[str, ...] = ()
    ) -> Call:
        known: Language = "ja" if language == "ja" else "en"
        prompt = self._prompts.get((task, known))
        if prompt is None:
            prompt = self._prompts[task, known] = load_prompt(task, known, folder=self._settings.prompts)
        sampling = self._settings.sampling
        if task == "judge":
            sampling = replace(sampling, temperature=0.0)
        return Call.build(prompt, self._llm.name, sampling, passage=passage, query=query, examples=examples)

    def _ask(self, title: str, calls: Sequence[Call]) -> dict[str, Reply]:
        with self._watch.calls(title) as advance:
            replies = answer_all(self._llm, calls, self._ledger, advance=advance)
        asked = len({call.key for call in calls})
        self._calls += len(replies)
        self._missing += asked - len(replies)
        self._prompt_tokens += sum(reply.prompt_tokens for reply in replies.values())
        self._completion_tokens += sum(reply.completion_tokens for reply in replies.values())
        return replies
