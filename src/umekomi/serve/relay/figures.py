"""Figures of the servers behind remote models, read off them when somebody asks. A server is told by its number."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from umekomi.engines.remote import RemoteModel
from umekomi.serve.residency import Residency


class UpstreamCollector(Collector):
    """By model and replica: 0 is the server of ``remote`` itself, 1 the first of its ``replicas``."""

    def __init__(self, residency: Residency) -> None:
        self._residency = residency

    def collect(self) -> Iterator[Metric]:
        labels = ["model", "replica"]
        attempts = CounterMetricFamily(
            "umekomi_upstream_attempts", "Requests sent to another server, by outcome.", labels=[*labels, "outcome"]
        )
        running = GaugeMetricFamily(
            "umekomi_upstream_in_flight", "Requests that another server works on.", labels=labels
        )
        resting = GaugeMetricFamily(
            "umekomi_upstream_resting", "Whether another server is left alone after failures.", labels=labels
        )
        for resident in self._residency.residents:
            if isinstance(resident.model, RemoteModel):
                for replica in resident.model.upstream.replicas:
                    names = [resident.settings.name, str(replica.number)]
                    running.add_metric(names, replica.in_flight)
                    resting.add_metric(names, replica.circuit.left_s(time.monotonic()) > 0)
                    for outcome, count in replica.outcomes.items():
                        attempts.add_metric([*names, outcome], count)
        yield attempts
        yield running
        yield resting
