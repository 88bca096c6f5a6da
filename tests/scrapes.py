"""What a scrape of the operator says, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Key = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Scrape:
    """Samples by name and labels. `families` are the metrics as # TYPE names them, those without a sample too."""

    samples: Mapping[Key, float]
    families: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str) -> Scrape:
        """The text of an answer. AssertionError when a sample is there twice."""
        found: dict[Key, float] = {}
        families = list(text_string_to_metric_families(text))
        for family in families:
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in found, f"{sample.name} {sample.labels} is there twice"
                found[key] = sample.value
        return cls(found, frozenset(family.name for family in families))

    def value(self, name: str, **labels: str) -> float | None:
        """The value of one sample; None without."""
        return self.samples.get((name, frozenset(labels.items())))

    def total(self, name: str, **labels: str) -> float:
        """The sum over all samples of the name that have these labels, and perhaps others."""
        wanted = set(labels.items())
        return sum(value for (each, has), value in self.samples.items() if each == name and wanted <= has)

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The values of the samples that have these labels, by another label."""
        wanted = set(labels.items())
        return {
            dict(has)[label]: value for (each, has), value in self.samples.items() if each == name and wanted <= has
        }
