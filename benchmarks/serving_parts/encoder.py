"""MiniLM-L6 with a linear head, one text at a time on one thread: for all servers alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

LABELS = ("contract", "invoice", "letter", "manual", "report")
LONGEST = 254
FIRST, LAST = 101, 102


class Encoder:
    """Its graph lies at `$ENCODER_MODEL`, weights beside it, and `tokenizer.json` in the same folder."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("ENCODER_THREADS", "1"))
        options.inter_op_num_threads = 1
        # Plans of memory are kept for each length of text, and gain nothing here.
        options.enable_mem_pattern = False
        path = Path(os.environ["ENCODER_MODEL"])
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(path.parent / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._head = np.random.default_rng(3).standard_normal((384, len(LABELS))).astype(np.float32)

    def predict(self, text: str) -> dict[str, Any]:
        """Label and probabilities of one text."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids[:LONGEST]
        (vectors,) = self._session.run(["vectors"], {"ids": np.array([FIRST, *ids, LAST], np.int64)})
        scores = vectors.mean(axis=0) @ self._head
        shares = np.exp(scores - scores.max())
        shares = (shares / shares.sum()).tolist()
        best = max(range(len(shares)), key=shares.__getitem__)
        probabilities = {label: round(share, 6) for label, share in zip(LABELS, shares, strict=True)}
        return {"label": LABELS[best], "probabilities": probabilities}
