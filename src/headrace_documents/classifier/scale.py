"""Scale: how large the scores of a text are made, so that their softmax is as sure as it is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headrace_documents.classifier.softmax import Scores

MOST_POWER = 0.9
"""Below 1, so that the surer of two texts stays the surer."""
MOST_GROWTH = 3.0
"""More than any text's length is worth."""

_LEAST_SPREAD = 1e-6
# Words of which a text has half of what more of them can bring.
_HALF = 12


@dataclass(frozen=True, slots=True)
class Scale:
    """The scores of a text are multiplied by `gain` / spread ** `power`, where spread is their standard deviation.

    A temperature of the text's own (Tomani, Cremers and Buettner, ECCV 2022). One for all (`power` 0) leaves texts that
    resemble their label much too sure, and others not sure enough. As it is one number for all of a text's scores,
    these stay the sum of what its words add. `growth` is by how much a long text's scores are worth more than those of
    one without words, as a logarithm: what many words say in the mean is surer than what a few do.
    """

    gain: float = 1.0
    power: float = 0.0
    growth: float = 0.0

    def factors(self, scores: Scores, *, words: int = 0) -> Scores:
        """By what scores (…, labels) of texts of so many words are multiplied, (…)."""
        gain = self.gain * float(np.exp(self.growth * words / (words + _HALF)))
        if not self.power:
            return np.full(scores.shape[:-1], gain)
        off = scores - scores.mean(axis=-1, keepdims=True)
        spread = np.sqrt((off * off).mean(axis=-1))
        factors: Scores = gain * np.maximum(spread, _LEAST_SPREAD) ** -self.power
        return factors

    def applied(self, scores: Scores) -> Scores:
        """Scores (…, labels), multiplied."""
        return scores * self.factors(scores)[..., None]


PLAIN = Scale()
"""Leaves scores as they are."""
