"""Prototypes: token vectors that stand for those of each label's examples, and how near those of a text come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace_documents.classifier.softmax import Scores
from headrace_documents.classifier.surface import Ints

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]

# In all and for a label. With twice as many, scores of unseen texts are no better, and a text takes longer.
_MOST = 4096
_MOST_EACH = 128
# What k-means looks at for each prototype, and how often: more of both changes no score that matters.
_SAMPLED = 20
_ROUNDS = 5
# Tokens whose nearness to all prototypes is computed in one product, to bound the memory that it takes.
_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Bags:
    """The token vectors of several texts: those of text i are `vectors[bounds[i] : bounds[i + 1]]`, of length 1.

    `vectors` (tokens, width) float16, `bounds` (texts + 1,) int64.
    """

    vectors: Halves
    bounds: Ints

    @classmethod
    def of(cls, texts: Sequence[Halves], *, width: int) -> Bags:
        """Each of `texts` (tokens, width)."""
        bounds = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(text) for text in texts], out=bounds[1:])
        return cls(np.concatenate([*texts, np.zeros((0, width), np.float16)]), bounds)

    def __add__(self, more: Bags) -> Bags:
        """Those of more texts after these."""
        bounds = np.concatenate([self.bounds, more.bounds[1:] + self.bounds[-1]])
        return Bags(np.concatenate([self.vectors, more.vectors]), bounds)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, kept: npt.NDArray[np.bool_]) -> Bags:
        """Those of some of the texts, by a mask (texts,)."""
        counts = np.diff(self.bounds)
        bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[kept])])
        return Bags(self.vectors[np.repeat(kept, counts)], bounds)


@dataclass(frozen=True, slots=True)
class Prototypes:
    """`vectors` (prototypes, width) float32 of length 1; those of label i are at `[bounds[i], bounds[i + 1])`.

    A token is as near to a label as to the nearest of its prototypes, and a text as its tokens are in the mean (late
    interaction: Khattab and Zaharia, 2020): no linear part can tell such a thing, and yet it is a sum over tokens.
    `weight` is what nearness counts in a score.
    """

    vectors: Floats
    bounds: Ints
    weight: float = 1.0

    def nearness(self, vectors: Floats) -> Floats:
        """The cosine of each token to the nearest prototype of each label, (tokens, labels), less their mean.

        A label without prototypes is as far away as the farthest.
        """
        counts = np.diff(self.bounds)
        has = np.flatnonzero(counts)
        near = np.zeros((len(vectors), len(counts)), np.float32)
        if not len(has) or not len(vectors):
            return near
        found = np.maximum.reduceat(at_length_1(vectors) @ self.vectors.T, self.bounds[has], axis=1)
        near[:, has] = found
        near[:, counts == 0] = found.min(axis=1, keepdims=True)
        near -= near.mean(axis=1, keepdims=True)
        return near

    def shares(self, vectors: Floats) -> Floats:
        """What each token adds to the score of each label, (tokens, labels) float32."""
        return self.nearness(vectors) * np.float32(self.weight / max(len(vectors), 1))

    def scores(self, bags: Bags) -> Scores:
        """The sums of shares, (texts, labels) float64."""
        size = len(self.bounds) - 1
        totals = np.zeros((len(bags), size))
        owners = np.repeat(np.arange(len(bags)), np.diff(bags.bounds))
        for start in range(0, len(owners), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            near = self.nearness(bags.vectors[rows].astype(np.float32))
            breaks = np.flatnonzero(np.diff(owners[rows], prepend=-1))
            totals[owners[rows][breaks]] += np.add.reduceat(near, breaks, axis=0, dtype=np.float64)
        counts = np.maximum(np.diff(bags.bounds), 1)
        means: Scores = totals * (self.weight / counts)[:, None]
        return means

    def check(self, labels: int) -> None:
        """Raises ValueError when these are no prototypes of `labels` labels."""
        shape, bounds = self.vectors.shape, self.bounds
        is_parted = len(bounds) == labels + 1 and bounds[0] == 0 and (np.diff(bounds) >= 0).all()
        if len(shape) != 2 or not is_parted or bounds[-1] != shape[0]:
            raise ValueError(f"its prototypes do not fit {labels} labels")
        if not np.isfinite(self.vectors).all() or not np.isfinite(self.weight):
            raise ValueError("its prototypes are not finite")


def prototypes_of(bags: Bags, truth: Ints, labels: int, *, seed: int) -> Prototypes:
    """The token vectors of each label's texts, or where they are many, centres of them found by k-means."""
    most = max(1, min(_MOST_EACH, _MOST // labels))
    owners = np.repeat(truth, np.diff(bags.bounds))
    found = [
        _centres(bags.vectors[owners == label].astype(np.float32), most, np.random.default_rng([seed, label]))
        for label in range(labels)
    ]
    bounds = np.zeros(labels + 1, np.int64)
    np.cumsum([len(each) for each in found], out=bounds[1:])
    return Prototypes(np.concatenate(found), bounds)


def evenly_drawn(vectors: Floats, most: int) -> Halves:
    """At most `most` rows of `vectors`, from all of the text alike, at length 1."""
    if len(vectors) > most:
        vectors = vectors[np.linspace(0, len(vectors) - 1, most).round().astype(np.int64)]
    return at_length_1(vectors).astype(np.float16)


def at_length_1(vectors: Floats) -> Floats:
    """Each row at length 1; zeros stay what they are."""
    lengths: Floats = np.sqrt(np.vecdot(vectors, vectors)).astype(np.float32)[:, None]
    lengths[lengths == 0] = 1
    return vectors / lengths


def _centres(vectors: Floats, most: int, draw: np.random.Generator) -> Floats:
    """At most `most` directions that stand for all of `vectors` (tokens, width) of length 1."""
    if len(vectors) <= most:
        return vectors
    if len(vectors) > _SAMPLED * most:
        vectors = vectors[np.sort(draw.choice(len(vectors), _SAMPLED * most, replace=False))]
    centres: Floats = vectors[np.sort(draw.choice(len(vectors), most, replace=False))]
    for _ in range(_ROUNDS):
        nearest = (vectors @ centres.T).argmax(axis=1)
        order = np.argsort(nearest, kind="stable")
        kept, starts = np.unique(nearest[order], return_index=True)
        # A centre that nothing is nearest to, which is one of two equal ones, stays where it is.
        centres[kept] = at_length_1(np.add.reduceat(vectors[order], starts, axis=0).astype(np.float32))
    return centres
