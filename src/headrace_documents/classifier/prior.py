"""The prior: how frequent each label was among the examples, which is all there is to say of a text nobody read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headrace import UnreadableArtifact
from headrace_documents.classifier.softmax import told
from headrace_documents.schema import Classification, Explanation

REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class Prior:
    """`shares` by label, the largest first; they sum to 1."""

    shares: dict[str, float]

    @classmethod
    def of(cls, labels: Iterable[str]) -> Prior:
        """All labels alike."""
        known = list(labels)
        return cls({label: 1 / len(known) for label in known})

    @classmethod
    def open(cls, folder: Path) -> Prior:
        """From the report that lies beside a trained model.

        Raises:
            UnreadableArtifact: it is missing or counts no examples.
        """
        try:
            rows = json.loads((folder / REPORT).read_bytes())["classes"]
            counts = {str(row["label"]): int(row["examples"]) for row in rows}
        except (OSError, ValueError, KeyError, TypeError) as broken:
            raise UnreadableArtifact(f"{REPORT} cannot be read: {broken}.", remedy="Train the model again.") from broken
        total = sum(counts.values())
        if total <= 0:
            raise UnreadableArtifact(f"{REPORT} counts no examples.", remedy="Train the model again.")
        ranked = sorted(counts.items(), key=lambda pair: -pair[1])
        return cls({label: count / total for label, count in ranked})

    def classification(self, *, model: str) -> Classification:
        """The most frequent label; its explanation has nothing but the base."""
        label, share = next(iter(self.shares.items()))
        score = float(np.log(share))
        probabilities = dict(zip(self.shares, told(np.array([*self.shares.values()])), strict=True))
        why = Explanation(method="prior", base=score, rest=0.0, total=score, evidence=())
        return Classification(
            label=label,
            confidence=probabilities[label],
            probabilities=probabilities,
            explanation=why,
            contributions=why,
            characters_read=0,
            model=model,
        )
