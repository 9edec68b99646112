"""The tiny model on Headrace, as its author writes it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace import OnnxModel, Service, batched, pipeline
from headrace.assembly import Platform
from serving_parts.tiny import answer, features


@dataclass
class Question:
    text: str


class TinyService(Service):
    loaded: OnnxModel

    def load(self, artifact: Path | None) -> OnnxModel:
        return OnnxModel.shared(Path(os.environ["TINY_MODEL"]), self.shelf, rows=16)

    def warm_up(self) -> Iterable[tuple[str, object]]:
        return [("classify", "the amount due is 100"), ("classify", "dear madam")]

    @batched(max_size=64)
    async def classify(self, texts: list[str]) -> list[dict[str, Any]]:
        rows = self.loaded.run([{"x": features(text)} for text in texts])
        return [answer(row["scores"]) for row in rows]


@pipeline
class Tiny:
    def __init__(self) -> None:
        self.tiny = TinyService()

    async def classify(self, question: Question) -> dict[str, Any]:
        return await self.tiny.classify(question.text)


app = Platform(Tiny)
