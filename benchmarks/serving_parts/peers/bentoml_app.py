"""A peer: BentoML, two workers."""

from __future__ import annotations

from typing import Any

import bentoml
from model import Model


@bentoml.service(workers=2, traffic={"timeout": 60})
class Classifier:
    """Loads in each worker process."""

    def __init__(self) -> None:
        self._model = Model()

    @bentoml.api
    async def classify(self, text: str) -> dict[str, Any]:
        """Label and probabilities."""
        return self._model.one({"text": text})
