"""Each filter takes out what it is there for, leaves what is good, and says what it saw."""

from __future__ import annotations

from dataclasses import replace

import pytest

import umekomi
from umekomi.synthesize.calls.ledger import Reply
from umekomi.synthesize.filters import judging, wording
from umekomi.synthesize.filters.repeating import without_repeats
from umekomi.synthesize.filters.round_trip import without_strays
from umekomi.synthesize.logs import measure_distance
from umekomi.synthesize.pairs import Pair
from umekomi.synthesize.publishing import mix

JA = Pair(
    id="p",
    query="水は何度で沸騰しますか。",
    positive="水は一気圧のもとでは摂氏百度で沸騰し、気圧が下がると沸点も下がる。",
    chunk_id="c",
    document_id="d",
    source="a.txt",
    page=None,
    style="question",
    language="ja",
)
EN = replace(
    JA,
    query="At what temperature does water boil?",
    positive="Under one atmosphere water boils at one hundred degrees; with less pressure, sooner.",
    language="en",
)


@pytest.mark.parametrize(
    "pair",
    [
        JA,
        EN,
        replace(JA, query="水 沸点 気圧", style="keyword"),
        replace(JA, query="髙島屋 﨑陽軒 沸騰", style="keyword"),
        replace(JA, query="鄧小平の訪日はいつですか。", positive="邓小平（鄧小平）の訪日"),
        replace(JA, query="ｺｰﾋｰ適温？"),
        replace(EN, query="ISO 9001", style="keyword"),
    ],
)
def test_good_queries_pass_every_filter_of_wording(pair: Pair) -> None:
    for reason in (wording.wrong_language, wording.about_the_text, wording.copied):
        assert reason(pair) is None


@pytest.mark.parametrize(
    ("pair", "query"),
    [
        (JA, "At what temperature does water boil?"),
        (EN, "水は何度で沸騰しますか。"),
        (JA, "H2O 100"),
        (JA, "…"),
        (JA, "水在多少度沸腾？"),
        (JA, "水的沸点是多少度？"),
        (replace(JA, style="keyword"), "水 沸腾 气压"),
        (EN, "水的沸点"),
        (EN, "При какой температуре кипит вода?"),
    ],
)
def test_queries_in_another_language_go(pair: Pair, query: str) -> None:
    assert wording.wrong_language(replace(pair, query=query)) is not None


@pytest.mark.parametrize(
    "query",
    [
        "According to the passage, when does water boil?",
        "What does this text say about water?",
        "What is described above?",
        "本文によると、水は何度で沸騰しますか。",
        "この文章の主題は何ですか。",
        "筆者は何を述べていますか。",
        "上記の条件で水は沸騰しますか。",
        "Here are two questions about water",
    ],
)
def test_queries_that_speak_of_the_text_go(query: str) -> None:
    assert wording.about_the_text(replace(EN, query=query)) is not None


@pytest.mark.parametrize(
    "query",
    [
        "日本国憲法の条文はいくつありますか。",
        "How do I write a text message?",
        "表計算ソフトの使い方",
        "著者名で検索する方法",
    ],
)
def test_queries_about_texts_as_a_subject_stay(query: str) -> None:
    assert wording.about_the_text(replace(JA, query=query)) is None


def test_copied_queries_go_and_keywords_may_repeat_words() -> None:
    copied = replace(JA, query=JA.positive[:25])
    assert "100%" in (wording.copied(copied) or "")
    assert wording.copied(replace(copied, style="keyword")) is None
    assert wording.copied(replace(EN, query=EN.positive)) is not None
    assert wording.copy_share("短い", JA.positive) == 0


def test_repeated_queries_stay_once_and_test_keeps_them_before_train() -> None:
    pairs = [
        replace(JA, id="a", document_id="train"),
        replace(JA, id="b", document_id="test"),
        replace(JA, id="c", document_id="train", query="富士山の高さはどれくらいですか。"),
        replace(JA, id="d", document_id="train", query="富士山の高さはどれくらいですか？"),
    ]
    kept, rejected = without_repeats(pairs, {"train": "train", "test": "test"})
    assert [pair.id for pair in kept] == ["b", "c"]
    assert [(each.pair.id, each.filter) for each in rejected] == [("a", "repeated"), ("d", "repeated")]
    assert "(b, test)" in rejected[0].evidence


def test_the_round_trip_takes_either_way_for_training_and_words_alone_for_the_test() -> None:
    corpus = {f"c{n}": f"別の話題その{n}。" for n in range(40)} | {"c": JA.positive}
    stray = replace(JA, id="stray", query="全く関係のないことを尋ねる文")
    by_words = replace(JA, id="words", query="摂氏百度で沸騰するもの")
    same_vector = replace(JA, id="vectors", query="zzz")
    with umekomi.open_embedder("hashing:32", prompts={"query": "", "document": ""}) as embedder:
        corpus["v"] = (
            "zzz"  # the hashing engine gives equal vectors to equal texts, and BM25 finds the word as well
        )
        same = replace(same_vector, chunk_id="v")
        kept, rejected = without_strays([stray, by_words, same], corpus, splits={"d": "train"}, embedder=embedder)
    assert [pair.id for pair in kept] == ["words", "vectors"]
    assert rejected[0].evidence == "its chunk is not among the 10 first of BM25 and of hashing:32"
    _, rejected = without_strays([stray], corpus, splits={"d": "test"}, embedder=None)
    assert rejected[0].evidence.endswith("of BM25")


def test_the_model_to_be_tuned_never_filters_the_test_split() -> None:
    corpus = {f"c{n}": f"unrelated subject {n}" for n in range(40)} | {"c": "?!"}
    pair = replace(JA, query="?!", positive="?!")  # found by its vector, and by no word
    with umekomi.open_embedder("hashing:32", prompts={"query": "", "document": ""}) as embedder:
        assert without_strays([pair], corpus, splits={"d": "train"}, embedder=embedder)[0] == [pair]
        assert without_strays([pair], corpus, splits={"d": "test"}, embedder=embedder)[0] == []


def test_real_queries_repeat_nothing_of_another_split() -> None:
    real = [
        replace(JA, id="r1", document_id="train", origin="log"),
        replace(EN, id="r2", document_id="train", origin="log"),
    ]
    synthetic = [replace(JA, id="s1", document_id="test"), replace(EN, id="s2", document_id="train")]
    kept, repeated = mix(synthetic, real, {"train": "train", "test": "test"})
    assert [pair.id for pair in kept] == ["r2", "s1"]
    assert sorted(each.pair.id for each in repeated) == ["r1", "s2"]


def test_a_log_that_repeats_itself_lies_no_farther_off() -> None:
    real = [f"subject {n} of the logs" for n in range(12)]
    synthetic = [f"theme {n} of an LLM" for n in range(12)]
    with umekomi.open_embedder("hashing:32", prompts={"query": "", "document": ""}) as embedder:
        once = measure_distance(real, synthetic, embedder=embedder)
        assert once == measure_distance(real * 50, synthetic, embedder=embedder)
        assert once is not None
        assert measure_distance(["again"] * 50, synthetic, embedder=embedder) is None


def _reply(answers: bool, natural: bool = True) -> Reply:
    return Reply({"answers": answers, "natural": natural, "reason": "r"}, None, 1, 1, 0.1, 1)


def test_a_judge_is_believed_only_where_it_beats_luck() -> None:
    trials = judging.plan_trials(["ja", "en"])
    assert len(trials) == judging.TRIALS
    assert 0.3 < sum(trial.right for trial in trials) / len(trials) < 0.7
    able = judging.count_right(trials, [_reply(trial.right) for trial in trials])
    yes_man = judging.count_right(trials, [_reply(True) for _ in trials])
    silent = judging.count_right(trials, [None for _ in trials])
    assert judging.is_able(able, len(trials))
    assert not judging.is_able(yes_man, len(trials))
    assert not judging.is_able(silent, len(trials))
