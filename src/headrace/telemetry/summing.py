"""The metrics of several processes as those of one."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Sample

Key = tuple[str, tuple[tuple[str, str], ...]]


class _Summed(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        """All families."""
        return self._families


def summed(expositions: Sequence[bytes]) -> bytes:
    """One exposition in the Prometheus text format: samples of one name and labels are added up.

    Moments (`_created`, `_timestamp_seconds`) and shares (`_ratio`) do not add up: of those the highest is kept.
    """
    if len(expositions) == 1:
        return expositions[0]
    families: dict[str, Metric] = {}
    values: dict[Key, float] = {}
    order: dict[str, list[Sample]] = {}
    for exposition in expositions:
        for family in text_string_to_metric_families(exposition.decode()):
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            order.setdefault(family.name, [])
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                if key not in values:
                    order[family.name].append(sample)
                    values[key] = sample.value
                elif sample.name.endswith(("_created", "_timestamp_seconds", "_ratio")):
                    values[key] = max(values[key], sample.value)
                else:
                    values[key] += sample.value
    for name, family in families.items():
        family.samples = [
            sample._replace(value=values[sample.name, tuple(sorted(sample.labels.items()))]) for sample in order[name]
        ]
    registry = CollectorRegistry()
    registry.register(_Summed(list(families.values())))
    return generate_latest(registry)
