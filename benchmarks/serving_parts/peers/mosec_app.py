"""A peer: Mosec, with its dynamic batching."""

from __future__ import annotations

import os
from typing import Any

from model import Model
from mosec import Server, Worker


class Classifier(Worker):
    """Loads in each worker process."""

    def __init__(self) -> None:
        self._model = Model()

    def forward(self, data: Any) -> Any:
        """A list of questions, or one where batches are off."""
        if isinstance(data, list):
            return self._model.predict([each["text"] for each in data])
        return self._model.one(data)


if __name__ == "__main__":
    server = Server()
    size = int(os.environ.get("BATCH", "32"))
    server.append_worker(Classifier, num=2, max_batch_size=size, max_wait_time=1 if size > 1 else 0)
    server.run()
