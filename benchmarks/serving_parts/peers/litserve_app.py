"""A peer: LitServe, two workers."""

from __future__ import annotations

import os
import sys
from typing import Any

import litserve
from model import Model

SIZE = int(os.environ.get("BATCH", "1"))


class Classifier(litserve.LitAPI):
    """Loads in each worker process."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - its interface
        """The model."""
        self.model = Model()

    def decode_request(self, request) -> Any:  # noqa: ANN001 - an annotation would be a type that it checks
        """The question."""
        return request

    def predict(self, question: Any) -> Any:
        """The answer, or the answers."""
        if isinstance(question, list):
            return self.model.predict([each["text"] for each in question])
        return self.model.one(question)

    def encode_response(self, output: Any) -> Any:
        """As it is."""
        return output


if __name__ == "__main__":
    api = Classifier(max_batch_size=SIZE, batch_timeout=0.001) if SIZE > 1 else Classifier()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2)
    server.run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="error")
