"""What users have becomes training data, or one error that says what to do."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.training_data import Told, made_up_chunks, made_up_text, read_rows, write_rows, write_synthesis
from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.metrics.repeats import fold
from umekomi.evaluate.tasks import PairTask, RetrievalTask
from umekomi.train.data import RankingBatches, build_dev_task, build_domain_task, check_leakage, read_training_data
from umekomi.train.examples import Example, TrainingData


def _read(path: Path, **columns: str) -> TrainingData:
    return read_training_data(path, columns=columns, notify=lambda message: None)


def _all(data: TrainingData) -> list[Example]:
    return [*data.train, *data.dev, *data.test]


def _pairs(count: int) -> list[dict[str, object]]:
    return [{"query": made_up_text(row, 6), "positive": made_up_text(5000 + row)} for row in range(count)]


@pytest.fixture(scope="module")
def synthesis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_synthesis(folder, made_up_chunks(12))
    return folder


@pytest.fixture
def copy(synthesis: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(synthesis, tmp_path / "moved"))


def test_a_synthesis_keeps_its_splits_and_its_places(synthesis: Path) -> None:
    data = _read(synthesis)
    assert data.objective == "ranking"
    assert (len(data.train), len(data.dev), len(data.test)) == tuple(
        len(read_rows(synthesis / f"{split}.jsonl")) for split in ("train", "dev", "test")
    )
    row, example = read_rows(synthesis / "train.jsonl")[0], data.train[0]
    assert (example.id, example.query, example.positive) == (row["id"], row["query"], row["positive"])
    assert (example.chunk_id, example.document_id) == (row["chunk_id"], row["document_id"])
    assert (example.source, example.page) == (row["source"], row["page"])
    assert len(data.corpus) == 48
    assert all(passage.start is not None and passage.document_id for passage in data.corpus)
    content = (synthesis / "train.jsonl").read_bytes()
    assert data.digests["train.jsonl"] == hashlib.sha256(content).hexdigest()
    assert set(data.digests) == {"train.jsonl", "dev.jsonl", "test.jsonl", "corpus.jsonl"}
    assert not data.skipped
    check_leakage(data)


def test_the_test_split_is_the_task_that_evaluate_reads(synthesis: Path) -> None:
    task = build_domain_task(_read(synthesis))
    told = open_task(f"{synthesis / 'retrieval'}#test")
    assert isinstance(task, RetrievalTask)
    assert isinstance(told, RetrievalTask)
    assert (task.queries, task.query_ids, task.corpus) == (told.queries, told.query_ids, told.corpus)
    assert task.relevant == told.relevant
    assert task.origin.digest == told.origin.digest
    assert set(task.groups or ()) == {example.document_id for example in _read(synthesis).test}
    assert len(build_dev_task(_read(synthesis))) == len(_read(synthesis).dev)


def test_a_moved_folder_and_one_without_its_corpus_or_retrieval_can_be_read(copy: Path, synthesis: Path) -> None:
    assert _read(copy) == _read(synthesis)
    (copy / "corpus.jsonl").unlink()
    without = _read(copy)
    assert len(without.corpus) == 48
    assert any("neighbours is not known" in note for note in without.notes)
    shutil.rmtree(copy / "retrieval")
    bare = _read(copy)
    assert {passage.text for passage in bare.corpus} == {example.positive for example in _all(bare)}
    assert len(build_domain_task(bare)) == len(bare.test)


def test_the_splits_of_a_synthesis_alone_are_splits_of_ones_own(copy: Path, synthesis: Path) -> None:
    for name in ("synthesis.json", "rejected.jsonl", "corpus.jsonl"):
        (copy / name).unlink()
    data = _read(copy)
    assert data.train == _read(synthesis).train
    assert len(data.corpus) == 48
    assert sum(bool(passage.document_id) for passage in data.corpus) == 48


@pytest.mark.parametrize("trace", ["calls.sqlite", "rejected.jsonl"])
def test_a_synthesis_that_is_not_finished_is_refused(copy: Path, trace: str) -> None:
    (copy / "rejected.jsonl").rename(copy / trace)
    (copy / "synthesis.json").unlink()
    with pytest.raises(InvalidInput, match=r"still being written, or ended early; run the same umekomi synthesize"):
        _read(copy)


def test_one_document_leaves_dev_and_test_empty_and_says_what_to_give(tmp_path: Path) -> None:
    write_synthesis(tmp_path, made_up_chunks(1))
    with pytest.raises(InvalidInput, match=r"no pairs in dev and test; run umekomi synthesize on at least three"):
        _read(tmp_path)


def test_a_positive_that_is_not_in_the_corpus_is_added_to_it(copy: Path) -> None:
    rows = read_rows(copy / "test.jsonl")
    rows[0] |= {"positive": made_up_text(99), "chunk_id": "another"}
    write_rows(copy / "test.jsonl", rows)
    data = _read(copy)
    assert data.corpus[-1].text == made_up_text(99)
    assert data.corpus[-1].id == "another"
    assert "1 positives were not in the corpus and were added to it" in data.notes
    task = build_domain_task(data)
    assert isinstance(task, RetrievalTask)
    assert task.relevant[0] == {48: 1.0}


def test_a_page_that_two_documents_share_is_left_out_of_train_and_not_refused(tmp_path: Path) -> None:
    chunks = made_up_chunks(12)
    splits = write_synthesis(tmp_path, chunks)
    first = {split: next(c for c in chunks if splits[c.document_id] == split) for split in ("train", "test")}
    shared = [
        type(chunk)(**{name: getattr(chunk, name) for name in chunk.__dataclass_fields__} | {"text": text})
        for chunk in chunks
        for text in [first["test"].text.upper() if chunk is first["train"] else chunk.text]
    ]
    write_synthesis(tmp_path, shared)
    told = Told()
    data = read_training_data(tmp_path, notify=told.notify)
    assert data.skipped == {"pair that repeats a text of test": 2}
    assert any("2 left out: pair that repeats a text of test" in message for message in told.messages)
    assert first["train"].id not in {example.chunk_id for example in data.train}
    check_leakage(data)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "xlsx"])
def test_a_table_is_split_by_content_in_any_order_and_format(tmp_path: Path, suffix: str) -> None:
    rows = _pairs(60)
    write_rows(tmp_path / "all.jsonl", rows[::-1])
    path = tmp_path / f"table.{suffix}"
    cells = [["query", "positive"], *([row["query"], row["positive"]] for row in rows)]
    if suffix == "jsonl":
        write_rows(path, rows)
    elif suffix == "xlsx":
        book = openpyxl.Workbook()
        for line in cells:
            book.active.append(line)
        book.save(path)
    else:
        mark = {"csv": ",", "tsv": "\t"}[suffix]
        # As Excel saves it: a byte order mark, and CRLF at the ends of lines.
        lines = [mark.join(map(str, line)) for line in cells]
        path.write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode())
    data, other = _read(path), _read(tmp_path / "all.jsonl")
    assert (len(data.train), len(data.dev), len(data.test)) == (42, 6, 12)
    for one, two in ((data.train, other.train), (data.dev, other.dev), (data.test, other.test)):
        assert {example.query for example in one} == {example.query for example in two}
    assert all("\ufeff" not in example.query and "\r" not in example.positive for example in _all(data))
    check_leakage(data)
    check_leakage(other)


def test_what_shares_a_document_a_query_or_nearly_a_text_stays_in_one_split(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = []
    for row in range(30):
        text = made_up_text(row, 60)
        rows += [
            {"query": f"a {made_up_text(900 + row, 5)}", "positive": text, "document_id": f"d{row}"},
            {"query": f"b {made_up_text(1900 + row, 5)}", "positive": f"{text} again", "document_id": f"e{row}"},
            {
                "query": f"c {made_up_text(2900 + row, 5)}",
                "positive": made_up_text(300 + row),
                "document_id": f"e{row}",
            },
            {
                "query": f"C {made_up_text(2900 + row, 5)}",
                "positive": made_up_text(600 + row),
                "document_id": f"f{row}",
            },
        ]
    data = _read(write_rows(tmp_path / "pairs.jsonl", rows))
    assert "30 clusters of 120 pairs" in " ".join(data.notes)
    assert not any(len(split) % 4 for split in (data.train, data.dev, data.test))
    check_leakage(data)


def test_pairs_of_one_document_can_not_be_split(tmp_path: Path) -> None:
    rows = [{**row, "document_id": f"d{number % 2}"} for number, row in enumerate(_pairs(20))]
    with pytest.raises(
        InvalidInput,
        match=r"no pairs in dev; clusters .* a text: 2, pairs: 20; give pairs of at least three",
    ):
        _read(write_rows(tmp_path / "pairs.jsonl", rows))


def test_a_folder_of_ones_own_splits_in_any_format(tmp_path: Path) -> None:
    rows = _pairs(12)
    write_rows(tmp_path / "train.jsonl", [{**row, "id": str(n)} for n, row in enumerate(rows[:8])])
    (tmp_path / "validation.csv").write_text(
        "id,query,positive\n" + "".join(f"{n},{r['query']},{r['positive']}\n" for n, r in enumerate(rows[8:10])),
        encoding="utf-8",
    )
    write_rows(tmp_path / "test.jsonl", rows[10:])
    write_rows(tmp_path / "corpus.jsonl", [{"_id": "x", "title": "", "text": "a text that nobody asks for"}])
    data = _read(tmp_path)
    assert (len(data.train), len(data.dev), len(data.test)) == (8, 2, 2)
    assert len({example.id for example in _all(data)}) == 12
    assert data.corpus[0].id == "x"
    assert len(data.corpus) == 13
    (tmp_path / "validation.csv").unlink()
    with pytest.raises(InvalidInput, match=r"no dev.jsonl.* or give the file train alone"):
        _read(tmp_path)
    write_rows(tmp_path / "dev.jsonl", [])
    with pytest.raises(InvalidInput, match=r"no pairs in dev; fill the file"):
        _read(tmp_path)
    (tmp_path / "train.csv").write_text("query,positive\na,b\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"train.csv and train.jsonl are the same split; keep one"):
        _read(tmp_path)


def test_train_alone_in_a_folder_is_split_and_a_folder_without_it_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", _pairs(30))
    assert len(_read(tmp_path).test) == 6
    (tmp_path / "train.jsonl").rename(tmp_path / "pairs.jsonl")
    with pytest.raises(InvalidInput, match=r"no train.jsonl.* there is pairs.jsonl"):
        _read(tmp_path)


def test_negatives_of_every_form_and_none_that_is_an_answer(tmp_path: Path) -> None:
    rows = _pairs(40)
    texts = [str(row["positive"]) for row in rows]
    free = [made_up_text(7000 + row) for row in range(40)]
    rows[0] |= {"negatives": [free[0], free[1], free[0].upper()]}
    rows[1] |= {"negatives": free[2], "negative_1": free[3], "hard_negative_2": free[4], "negative_3": ""}
    rows[2] |= {"negatives": [texts[2], {"title": "T", "text": free[5]}]}
    rows[3] |= {"positive": [texts[3], free[6]], "negatives": [free[6]]}
    data = _read(write_rows(tmp_path / "pairs.jsonl", rows))
    by_query: dict[object, list[Example]] = {}
    for example in _all(data):
        by_query.setdefault(example.query, []).append(example)
    assert by_query[rows[0]["query"]][0].negatives == (free[0], free[1])
    assert by_query[rows[1]["query"]][0].negatives == (free[2], free[3], free[4])
    assert by_query[rows[2]["query"]][0].negatives == (f"T {free[5]}",)
    assert [example.negatives for example in by_query[rows[3]["query"]]] == [(), ()]
    assert data.skipped["negative that is a positive of its query"] == 3
    assert {passage.text for passage in data.corpus} >= {free[0], free[4]}


def test_what_columns_were_taken_for_is_said(tmp_path: Path) -> None:
    rows = [
        {"id": n, "doc": row["positive"], "question": row["query"], "answer": "short", "page": "3"}
        for n, row in enumerate(_pairs(20))
    ]
    data = _read(write_rows(tmp_path / "pairs.jsonl", rows))
    guessed = "columns guessed: query = 'question', positive = 'doc'; choose others with --columns"
    assert guessed in data.notes
    assert data.train[0].page == 3
    one = [{**row, "source": "faq"} for row in rows]
    assert (
        "every row is of 'faq': pairs are split by their texts alone"
        in _read(write_rows(tmp_path / "one.jsonl", one)).notes
    )


def test_columns_of_any_name_are_read_where_they_are_named(tmp_path: Path) -> None:
    """The right answers stand under a name that is known for something else, and a guess would take others."""
    plain = [{**row, "negatives": "no fruit", "document_id": f"{n % 7}"} for n, row in enumerate(_pairs(20))]
    renamed = {"query": "Frage", "positive": "label", "negatives": "falsch", "document_id": "Akte"}
    rows = [{**{renamed[name]: value for name, value in row.items()}, "document_id": "1"} for row in plain]
    table = write_rows(tmp_path / "rows.jsonl", rows)
    named = {"query": "Frage", "positive": "label", "negatives": "falsch", "group": "Akte"}
    data, expected = _read(table, **named), _read(write_rows(tmp_path / "plain.jsonl", plain))
    assert (data.train, data.dev, data.test) == (expected.train, expected.dev, expected.test)
    assert not any("guessed" in note for note in data.notes)
    rows = [{"a": row["query"], "b": row["positive"], "alike": n % 3} for n, row in enumerate(plain)]
    scored = _read(write_rows(tmp_path / "scored.jsonl", rows), first="a", second="b", score="alike")
    assert {each.score for each in _all(scored)} == {0.0, 1.0, 2.0}
    for wrong, said in (
        ({}, "no pairs to train on in the columns.*name them with --columns"),
        ({"query": "Fragen"}, "no column 'Fragen' for query; there are 'Frage', 'label'"),
        ({"query": "Frage"}, "no column tells the positive.*--columns positive=COLUMN"),
        ({"score": "label"}, "no column tells the first.*--columns first=COLUMN"),
        ({"answer": "label"}, "no use 'answer' of a column; there are .*positive"),
    ):
        with pytest.raises(InvalidInput, match=said):
            _read(table, **wrong)


def test_hard_negatives_that_a_report_exports_are_read(tmp_path: Path) -> None:
    rows = [
        {
            "query": row["query"],
            "positive": row["positive"],
            "negatives": [made_up_text(800 + number)],
            "source": "my-set",
            "query_id": f"q{number}",
            "positive_id": f"p{number}",
            "negative_ids": ["n1"],
            "text_cut_at": 1000,
        }
        for number, row in enumerate(_pairs(30))
    ]
    data = _read(write_rows(tmp_path / "my-set.model.hard-negatives.jsonl", rows))
    assert {example.id for example in _all(data)} == {f"q{number}" for number in range(30)}
    assert all(len(example.negatives) == 1 and not example.document_id for example in _all(data))
    assert data.train[0].chunk_id.startswith("p")
    assert not any("end in the middle" in note for note in data.notes)


def test_hard_negatives_beside_a_corpus_get_their_documents_and_whole_texts_back(copy: Path) -> None:
    pairs, corpus = read_rows(copy / "train.jsonl"), read_rows(copy / "retrieval" / "corpus.jsonl")
    cut = 40
    exported = [
        {
            "query": pair["query"],
            "positive": str(pair["positive"])[:cut],
            "negatives": [str(corpus[row]["text"])[:cut], "a text of forty characters, nowhere known"[:cut]],
            "source": "pairs-train",
            "query_id": pair["id"],
            "positive_id": pair["chunk_id"],
            "negative_ids": [corpus[row]["_id"], "gone"],
            "text_cut_at": cut,
        }
        for pair in pairs
        for row in [next(r for r, chunk in enumerate(corpus) if chunk["_id"] != pair["chunk_id"])]
    ]
    whole = {example.id: example for example in _read(copy).train}
    write_rows(copy / "train.jsonl", exported)
    data = _read(copy)
    assert {(each.positive, each.document_id) for each in data.train} == {
        (each.positive, each.document_id) for each in whole.values()
    }
    texts = {chunk["text"] for chunk in corpus}
    assert all(
        negative in texts or negative.startswith("a text of") for each in data.train for negative in each.negatives
    )
    assert f"{len(pairs)} texts end in the middle: the report that they are from cut them" in data.notes


def test_a_negative_that_dev_or_test_asks_for_is_left_out(tmp_path: Path) -> None:
    rows = _pairs(6)
    write_rows(tmp_path / "train.jsonl", [{**rows[0], "negatives": [rows[4]["positive"], "x y"]}, rows[1]])
    write_rows(tmp_path / "dev.jsonl", rows[2:4])
    write_rows(tmp_path / "test.jsonl", rows[4:])
    data = _read(tmp_path)
    assert data.train[0].negatives == ("x y",)
    assert data.skipped == {"negative that is a text of dev or test": 1}


def test_judgements_make_positives_and_negatives(tmp_path: Path) -> None:
    rows = []
    for row in _pairs(20):
        rows += [{**row, "label": 1}, {"query": row["query"], "positive": f"not {row['query']}", "label": 0}]
    data = _read(write_rows(tmp_path / "judged.jsonl", rows))
    assert len(_all(data)) == 20
    assert all(example.negatives == (f"not {example.query}",) for example in _all(data))
    assert "columns guessed: score = 'label'; choose others with --columns" in data.notes
    assert "the column 'label' says a judgement, 0 for a text that does not answer" in data.notes
    unanswered = [*rows, {"query": "nobody knows", "positive": "a text", "label": 0}]
    assert _read(write_rows(tmp_path / "judged.jsonl", unanswered)).skipped == {"query that no text answers": 1}


def test_scored_pairs_become_a_task_of_likeness(tmp_path: Path) -> None:
    rows = [
        {"sentence1": row["query"], "sentence2": row["positive"], "score": number % 5}
        for number, row in enumerate(_pairs(40))
    ]
    data = _read(write_rows(tmp_path / "sts.jsonl", rows))
    assert data.objective == "similarity"
    assert {example.score for example in _all(data)} == {0.0, 1.0, 2.0, 3.0, 4.0}
    task = build_domain_task(data)
    assert isinstance(task, PairTask)
    assert len(task) == len(data.test) == 8
    named = [{"query": row["sentence1"], "positive": row["sentence2"], "score": row["score"] / 5} for row in rows]
    assert _read(write_rows(tmp_path / "named.jsonl", named)).objective == "similarity"


def test_pairs_that_repeat_are_one_and_ids_that_repeat_are_counted(tmp_path: Path) -> None:
    rows = [{**row, "id": "same"} for row in _pairs(20)]
    twice = [*rows, {**rows[0], "query": f"  {str(rows[0]['query']).upper()} ", "negatives": ["one more"]}]
    data = _read(write_rows(tmp_path / "pairs.jsonl", twice))
    assert len({example.id for example in _all(data)}) == 20
    assert data.skipped == {"repeats an earlier pair": 1}
    assert "pairs are counted: their ids repeat" in data.notes
    assert next(each for each in _all(data) if each.query == rows[0]["query"]).negatives == ("one more",)


ONE = made_up_text(1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"query": "q", "positive": ONE}] * 10_000,
            r"share a document or a text: 1, pairs: 1; give .*9999 left out: repeats an earlier pair",
        ),
        (
            [{"query": made_up_text(n, 6), "positive": ONE} for n in range(3_000)],
            r"the positive '.*' stands in 3000 of 3000 pairs.*leave most of them out",
        ),
        ([*_pairs(9), {"query": "q", "positive": " "}], r"1 row lacks a query or a positive; .*: line 10; fill in"),
        ([*_pairs(9), *({"query": "q", "positive": None} for _ in range(30))], r"30 rows lack .* and 10 more;"),
        ([*_pairs(9), {"positive": "p"}], r"1 row lacks a query or a positive"),
        (
            [{**row, "label": "relevant"} for row in _pairs(8)] + [{**_pairs(9)[8], "label": "no"}],
            r"'no' is no number|'relevant' is no number; 'label' is read as a score: write numbers",
        ),
        ([{"sentence1": "a", "sentence2": "b", "score": "high"}], r"line 1: the score 'high' is no number"),
        (
            [{"sentence1": f"a{n}", "sentence2": f"b{n}", "score": 1} for n in range(9)],
            "every score in 'score' is 1.0",
        ),
        ([{"sentence1": "a", "sentence2": "", "score": 1}], r"1 row lacks a text; a scored pair has two: line 1"),
        (
            [{"text": "t", "label": "sport"}] * 9,
            r"no pairs to train on in the columns 'text', 'label'; training needs",
        ),
        ([{**row, "negatives": '["a", "b"]'} for row in _pairs(9)], "looks like a list written into one cell"),
        ([{"query": 3, "positive": "p"}], "is a int, not a text"),
        ([{"query": "q", "positive": "half \ud800"}], "lone surrogate"),
        ([{"query": "q", "positive": "nul \0"}], "NUL"),
        (
            [{"query": "same", "positive": "SAME"}],
            "no pairs in train and dev and test.*query and positive are the same",
        ),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path: Path, rows: list[dict[str, object]], message: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(InvalidInput, match=message) as caught:
        _read(path)
    assert len(str(caught.value)) < 1000


def test_a_path_that_is_not_there_and_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        _read(tmp_path / "nowhere")
    (tmp_path / "empty.jsonl").write_bytes(b"")
    with pytest.raises(InvalidInput, match="no rows in it"):
        _read(tmp_path / "empty.jsonl")


CELLS = st.one_of(
    st.none(),
    st.text(max_size=6),
    st.sampled_from(["a", "A", " a ", "b", "c d e", "ｃ d e", "", "1", "nan", "[1]"]),
    st.integers(-2, 3),
    st.floats(),
    st.booleans(),
    st.lists(st.text(max_size=3), max_size=3),
    st.fixed_dictionaries({"text": st.text(max_size=3)}),
)
NAMES = ("query", "positive", "negatives", "negative_1", "score", "label", "id", "chunk_id", "document_id", "page")


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(NAMES), CELLS), min_size=1, max_size=8),
    plain=st.integers(0, 6),
)
def test_whatever_the_rows_hold_it_is_data_or_one_error(rows: list[dict[str, object]], plain: int) -> None:
    with TemporaryDirectory() as folder:
        path = write_rows(Path(folder) / "pairs.jsonl", [*rows, *_pairs(plain)])
        try:
            data = _read(path)
        except InvalidInput as error:
            assert str(error)
            return
    assert all((data.train, data.dev, data.test))
    assert len({example.id for example in _all(data)}) == len(_all(data))
    check_leakage(data)
    task = build_domain_task(data)
    assert len(task)
    if data.objective == "ranking":
        RankingBatches(data.train, batch_size=4, seed=0)
        texts = {fold(passage.text) for passage in data.corpus}
        assert all(fold(text) in texts for each in _all(data) for text in (each.positive, *each.negatives))
