"""Figures for Prometheus. Labels are routes, statuses and served names only, never anything that a client wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from umekomi.embedding.embedder import Embedder
from umekomi.embedding.lanes import BatchRun, OnBatch
from umekomi.embedding.plan import Priority
from umekomi.serve.relay.figures import UpstreamCollector
from umekomi.serve.residency import Residency
from umekomi.serve.workers import ChatModel, RankModel

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_BATCH_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The counters of one server, in a registry of its own."""

    def __init__(self, residency: Residency) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "umekomi_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self.seconds = Histogram(
            "umekomi_request_seconds", "Time to answer.", ("route",), buckets=_SECONDS, registry=registry
        )
        self.in_flight = Gauge("umekomi_requests_in_flight", "Requests being answered.", registry=registry)
        self.inputs = Histogram(
            "umekomi_request_inputs", "Inputs in one request.", ("model",), buckets=_COUNTS, registry=registry
        )
        self.tokens = Counter("umekomi_tokens", "Tokens that ran.", ("model",), registry=registry)
        self.truncated = Counter(
            "umekomi_truncated_inputs", "Inputs cut to fit the model's context.", ("model",), registry=registry
        )
        self.generated = Counter("umekomi_generated_tokens", "Tokens generated.", ("model",), registry=registry)
        self.waited = Histogram(
            "umekomi_queue_seconds",
            "Time until the first of a request's texts ran.",
            ("model", "priority"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch_texts = Histogram(
            "umekomi_batch_texts", "Texts that ran together.", ("model",), buckets=_COUNTS, registry=registry
        )
        self._batch_tokens = Histogram(
            "umekomi_batch_tokens", "Tokens that ran together.", ("model",), buckets=_TOKENS, registry=registry
        )
        self._batch_seconds = Histogram(
            "umekomi_batch_seconds",
            "Time of a batch in the engine.",
            ("model",),
            buckets=_BATCH_SECONDS,
            registry=registry,
        )
        self.fallbacks = Counter(
            "umekomi_fallbacks",
            "Answers by another model than was asked.",
            ("model", "answered"),
            registry=registry,
        )
        registry.register(UpstreamCollector(residency))
        registry.register(_ResidencyCollector(residency))
        ProcessCollector(registry=registry)

    def count_inputs(self, model: str, inputs: int, *, tokens: int, truncated: int) -> None:
        """Count one request's inputs, the tokens that ran, and how many inputs were cut."""
        self.inputs.labels(model).observe(inputs)
        self.tokens.labels(model).inc(tokens)
        self.truncated.labels(model).inc(truncated)

    def count_generation(self, model: str, *, tokens: int, output_tokens: int) -> None:
        """Count one answer's prompt and what was generated."""
        self.tokens.labels(model).inc(tokens)
        self.generated.labels(model).inc(output_tokens)

    def batches_of(self, model: str) -> OnBatch:
        """What counts the batches of a model; any thread may call it."""
        texts, tokens = self._batch_texts.labels(model), self._batch_tokens.labels(model)
        seconds = self._batch_seconds.labels(model)

        def count(batch: BatchRun) -> None:
            texts.observe(batch.texts)
            tokens.observe(batch.tokens)
            seconds.observe(batch.seconds)

        return count

    def render(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)


class _ResidencyCollector(Collector):
    """Figures that are read off the models when somebody asks."""

    def __init__(self, residency: Residency) -> None:
        self._residency = residency

    def collect(self) -> Iterator[GaugeMetricFamily]:
        resident = GaugeMetricFamily("umekomi_model_resident", "Whether the model is in memory.", labels=["model"])
        queued = GaugeMetricFamily("umekomi_queued_tokens", "Tokens waiting to run.", labels=["model", "priority"])
        waiting = GaugeMetricFamily("umekomi_waiting_requests", "Requests waiting to run.", labels=["model"])
        seconds = GaugeMetricFamily("umekomi_model_load_seconds", "Time of the last load.", labels=["model"])
        memory = GaugeMetricFamily("umekomi_model_memory_bytes", "Memory that loading took.", labels=["model"])
        busy = GaugeMetricFamily(
            "umekomi_model_busy_seconds", "Time in which requests ran and none finished.", labels=["model"]
        )
        for model in self._residency.residents:
            if model.is_remote:
                continue
            name = [model.settings.name]
            resident.add_metric(name, model.model is not None)
            busy.add_metric(name, self._residency.busy_s(model))
            if model.model is not None:
                memory.add_metric(name, model.memory_bytes)
            if isinstance(model.model, Embedder):
                for priority in get_args(Priority):
                    queued.add_metric([*name, priority], model.model.queued_tokens_of(priority))
            elif isinstance(model.model, ChatModel | RankModel):
                waiting.add_metric(name, model.model.waiting)
            if model.load_seconds is not None:
                seconds.add_metric(name, model.load_seconds)
        yield resident
        yield queued
        yield waiting
        yield seconds
        yield memory
        yield busy
