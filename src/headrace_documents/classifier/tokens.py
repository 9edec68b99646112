"""Token vectors: what each piece of a text means, as numbers, with its place in the text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from headrace import InvalidConfiguration
from headrace_documents.classifier.weights import WORDLLAMA

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

# One tokenizer run over a very long text takes more than its share of memory.
_PIECE = 20_000


@dataclass(frozen=True, slots=True)
class Tokens:
    """`vectors` (tokens, width) float32 of the tokens at `[starts, ends)`, (tokens,) int64 character offsets.

    `read` is how many characters of the text they cover.
    """

    vectors: Floats
    starts: Ints
    ends: Ints
    read: int

    def length(self) -> float:
        """The length of the sum of all vectors, which a token's vector is divided by to have its share of the mean."""
        return self.mean()[1]

    def pooled(self) -> Floats:
        """Their mean at length 1, (width,) float32; zeros where there are none."""
        return self.mean()[0]

    def mean(self) -> tuple[Floats, float]:
        """`pooled` and `length` at once."""
        total = self.vectors.sum(axis=0, dtype=np.float64)
        length = float(np.linalg.norm(total))
        if not (np.isfinite(length) and length > 1e-9):
            return np.zeros(self.vectors.shape[1], np.float32), 0.0
        return (total / length).astype(np.float32), length


class TokenReader(Protocol):
    """Gives the token vectors of a text: `name` stands in models and settings, `digest` says exactly which vectors."""

    name: str
    digest: str
    width: int
    tokens_per_s: int

    def read(self, characters: str, *, tokens: int | None = None) -> Tokens:
        """The vectors of at most the first `tokens` tokens; the same for a text whatever was read before."""
        ...


class StaticReader:
    """A table of one vector for each of 32,000 tokens, whatever stands around them."""

    name = "static"
    width = 256
    tokens_per_s = 400_000

    def __init__(self) -> None:
        found = WORDLLAMA.locate()
        if found is None:
            raise InvalidConfiguration("The table of static token vectors is not installed.", remedy=WORDLLAMA.remedy)
        weights, tokenizer = found
        WORDLLAMA.verify(weights)
        self.digest = WORDLLAMA.sha256
        self._table = load_file(weights)["embedding.weight"].astype(np.float32)
        self._tokenizer = plain_tokenizer(tokenizer)

    def read(self, characters: str, *, tokens: int | None = None) -> Tokens:
        """The table's rows for the tokens of the text."""
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        for start, piece in pieces(characters):
            encoding = self._tokenizer.encode(piece, add_special_tokens=False)
            ids += encoding.ids
            spans += [(start + a, start + b) for a, b in encoding.offsets]
            if tokens is not None and len(ids) >= tokens:
                break
        limit = len(ids) if tokens is None else min(tokens, len(ids))
        places = np.array(spans[:limit], np.int64).reshape(-1, 2)
        is_all = limit == len(ids) and (not spans or tokens is None or len(ids) < tokens)
        read = len(characters) if is_all else int(places[-1, 1])
        return Tokens(self._table[np.array(ids[:limit], np.int64)], places[:, 0], places[:, 1], read)


def plain_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a file, without the padding and cutting that it may ask for."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def pieces(characters: str) -> list[tuple[int, str]]:
    """A long text in pieces of about 20,000 characters that end at white space, each with its start."""
    found: list[tuple[int, str]] = []
    start = 0
    while start < len(characters):
        end = min(start + _PIECE, len(characters))
        if end < len(characters):
            space = max(characters.rfind(mark, start + _PIECE // 2, end) for mark in (" ", "\n"))
            end = space if space > start else end
        found.append((start, characters[start:end]))
        start = end
    return found
