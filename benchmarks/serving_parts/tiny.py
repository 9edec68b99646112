"""The tiny model that every server serves: hashed words into a small network, label and probabilities out.

Imports nothing of Headrace: it runs in the peers' environments too.
"""

from __future__ import annotations

import os
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import onnxruntime

WIDTH = 256
LABELS = ("contract", "invoice", "letter", "manual", "report")


def features(text: str) -> npt.NDArray[np.float32]:
    """Counts of hashed words, (256,) float32."""
    row = np.zeros(WIDTH, np.float32)
    for word in text.lower().split():
        row[crc32(word.encode()) % WIDTH] += 1
    return row


def answer(scores: npt.NDArray[np.float32]) -> dict[str, Any]:
    """The label and the probabilities of one row of scores."""
    shares = np.exp(scores - scores.max())
    shares = (shares / shares.sum()).tolist()
    best = max(range(len(shares)), key=shares.__getitem__)
    probabilities = {label: round(share, 6) for label, share in zip(LABELS, shares, strict=True)}
    return {"label": LABELS[best], "probabilities": probabilities}


class Tiny:
    """Loaded as a peer's author would: one session with one thread, rows stacked into a batch."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = os.environ["TINY_MODEL"]
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """An answer to each text."""
        (scores,) = self._session.run(["scores"], {"x": np.stack([features(text) for text in texts])})
        return [answer(row) for row in scores]
