"""The models on Headrace, as their author writes them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace import OnnxModel, Service, batched, pipeline
from headrace.assembly import Platform
from serving_parts.encoder import Encoder
from serving_parts.tiny import answer, features


@dataclass
class Question:
    """A text to classify."""

    text: str


class TinyService(Service):
    """The tiny model; sixteen rows share a run."""

    preloaded = True
    loaded: OnnxModel

    def load(self, artifact: Path | None) -> OnnxModel:  # noqa: ARG002 - the benchmark has no registry
        """Opened once in a process."""
        return OnnxModel.shared(Path(os.environ["TINY_MODEL"]), self.shelf, rows=16)

    def warm_up(self) -> Iterable[tuple[str, object]]:
        """Two texts."""
        return [("classify", "the amount due is 100"), ("classify", "dear madam")]

    @batched(max_size=64)
    async def classify(self, texts: list[str]) -> list[dict[str, Any]]:
        """Label and probabilities."""
        rows = self.loaded.run([{"x": features(text)} for text in texts])
        return [answer(row["scores"]) for row in rows]


class EncoderService(Service):
    """MiniLM-L6; one text a run."""

    preloaded = True
    loaded: Encoder

    def load(self, artifact: Path | None) -> Encoder:  # noqa: ARG002 - the benchmark has no registry
        """One a process."""
        return self.shelf.shared("encoder", Encoder)

    def warm_up(self) -> Iterable[tuple[str, object]]:
        """One text of each length."""
        return [("classify", "invoice " * length) for length in (8, 32, 128, 200)]

    @batched(max_size=8, size=len)
    async def classify(self, texts: list[str]) -> list[dict[str, Any]]:
        """Label and probabilities, each text by itself."""
        return [self.loaded.predict(text) for text in texts]


@pipeline
class TinyClassifier:
    """The tiny model alone."""

    def __init__(self) -> None:
        self.tiny = TinyService()

    async def classify(self, question: Question) -> dict[str, Any]:
        """What the text is."""
        return await self.tiny.classify(question.text)


@pipeline
class EncoderClassifier:
    """The encoder alone."""

    def __init__(self) -> None:
        self.encoder = EncoderService()

    async def classify(self, question: Question) -> dict[str, Any]:
        """What the text is."""
        return await self.encoder.classify(question.text)


app = Platform(TinyClassifier)
encoder = Platform(EncoderClassifier)
