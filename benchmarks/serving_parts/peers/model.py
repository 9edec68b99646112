"""Which model a peer serves: `$MODEL` is `tiny` or `encoder`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))


class Model:
    """Answers a list of texts."""

    def __init__(self) -> None:
        if os.environ["MODEL"] == "tiny":
            from tiny import Tiny  # noqa: PLC0415 - only one of the two is installed with what it needs

            self.predict = Tiny().predict
        else:
            from encoder import Encoder  # noqa: PLC0415

            encoder = Encoder()
            self.predict = lambda texts: [encoder.predict(text) for text in texts]

    def one(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to one question."""
        return self.predict([question["text"]])[0]
