"""Is this input unlike all that is normal? A conformal p-value, so that "1 % of normal inputs are flagged" is true.

The score is the distance of an embedding to the mean of the reference, direction by direction in its own deviations
(Mahalanobis, with the covariance shrunk towards its diagonal; the directions in which least varies count as alike, as
in probabilistic principal components: Tipping and Bishop, JRSS B 1999). It is ranked among the scores of normal inputs
that the mean was not taken from (split conformal: Vovk and others 2022, chapter 4; Laxhammar 2014 for anomalies).
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence
from threading import Lock
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

FIT = 300
"""Normal inputs from which the mean and the covariance are taken."""
MOST_SCORES = 4_000
DIRECTIONS = 64
"""Directions that have a deviation of their own: of 256, no more far-out inputs are found by all of them."""
TOGETHER = 32
"""Scores that are ranked at a time, once enough are: the ranks are copied for it, as others look at them meanwhile."""
_SHRINK = 0.5
_FARTHEST = 1e70
"""Squares of distances from here on are infinite: products in single precision would be."""


class AnomalyMemory(msgspec.Struct):
    """What is known of normal inputs, as it is stored."""

    lessons: list[list[float]] = []
    mean: list[float] = []
    scale: list[float] = []
    directions: list[list[float]] = []
    scores: list[float] = []


class AnomalyDetector:
    """Learns from the first normal inputs, then says how unusual each further one is; safe for several threads.

    `level` is the share of normal inputs that are to be flagged. Nothing is flagged before `1 / level` scores are
    known, for no rank among fewer can be that rare.
    """

    def __init__(self, *, level: float = 0.01, memory: AnomalyMemory | None = None) -> None:
        self.level = level
        memory = memory or AnomalyMemory()
        self._lessons: list[Floats] = [np.array(each) for each in memory.lessons]
        # Half the size, as they are read from memory for every input; ranks do not need more.
        self._mean = np.array(memory.mean, np.float32)
        self._scale = np.array(memory.scale, np.float32)
        self._directions = np.array(memory.directions, np.float32).reshape(len(memory.directions), len(memory.mean))
        self._scores = array("d", sorted(memory.scores))
        self._unranked: list[float] = []
        self._lock = Lock()

    @property
    def is_ready(self) -> bool:
        """Whether it knows enough of what is normal."""
        return self._is_enough(len(self._scores))

    def p_value(self, embedding: Sequence[float]) -> float | None:
        """The share of normal inputs that are at least as unusual; None while it is learning or of another length."""
        with self._lock:
            self._rank()
        return self._p_of(self.score(embedding))

    def unlikeness(self, score: float | None, *, least: float) -> float | None:
        """The share of normal inputs that are less unusual than one of this score, if that is `least` or more.

        None for all others. What was learned last may not be ranked yet.
        """
        p = self._p_of(score)
        return None if p is None or 1 - p < least else 1 - p

    def is_anomalous(self, embedding: Sequence[float]) -> bool:
        """Whether it is among the `level` most unusual."""
        p = self.p_value(embedding)
        return p is not None and p <= self.level

    def learn(self, embedding: Sequence[float] | Floats | Singles, score: float | None = None) -> None:
        """Takes in an input that is held to be normal: first for the mean, then for the ranks, then no more.

        `score` is what it has, where that is known.
        """
        if len(self._scores) >= MOST_SCORES or not len(embedding):
            return
        with self._lock:
            if len(self._mean) == 0:
                lesson = np.array(embedding, np.float64)
                if np.isfinite(lesson).all():
                    self._lessons.append(lesson)
                if len(self._lessons) >= FIT:
                    self._keep_the_commonest_length()
                if len(self._lessons) >= FIT:
                    self._fit()
                return
            score = self.score(embedding) if score is None else score
            if score is None or score == math.inf:
                return
            self._unranked.append(score)
            known = len(self._scores)
            are_enough_now = not self._is_enough(known) and self._is_enough(known + len(self._unranked))
            if are_enough_now or len(self._unranked) >= TOGETHER:
                self._rank()

    def memory(self) -> AnomalyMemory:
        """What has to be stored to go on from here."""
        with self._lock:
            self._rank()
            return AnomalyMemory(
                lessons=[each.tolist() for each in self._lessons],
                mean=self._mean.tolist(),
                scale=self._scale.tolist(),
                directions=self._directions.tolist(),
                scores=self._scores.tolist(),
            )

    def score(self, embedding: Sequence[float] | Floats | Singles) -> float | None:
        """How far it is from the mean, infinity without measure; None while that is not known or of another length.

        One pass over the directions: numpy's `dot` would give the interpreter's lock away, and under load get it back
        late, which takes more time than the sums.
        """
        if len(self._mean) == 0 or len(embedding) != len(self._mean):
            return None
        away = (single(embedding) - self._mean) * self._scale
        length = _length(away)
        if not length < _FARTHEST:
            return math.inf
        return length - _length(np.vecdot(self._directions, away))

    def _p_of(self, score: float | None) -> float | None:
        scores = self._scores
        if score is None or not self._is_enough(len(scores)):
            return None
        at_least = len(scores) - bisect_left(scores, score)
        return (at_least + 1) / (len(scores) + 1)

    def _is_enough(self, scores: int) -> bool:
        return scores + 1 >= 1 / self.level

    def _rank(self) -> None:
        """Ranks what was learned since; whoever calls it holds the lock."""
        if not self._unranked:
            return
        scores = self._scores[:]
        for score in self._unranked[: MOST_SCORES - len(scores)]:
            insort(scores, score)
        self._unranked = []
        # Others look at them meanwhile without a lock.
        self._scores = scores

    def _keep_the_commonest_length(self) -> None:
        """Where a few inputs have an embedding of another kind, these are not what is normal."""
        length = Counter(map(len, self._lessons)).most_common(1)[0][0]
        self._lessons = [lesson for lesson in self._lessons if len(lesson) == length]

    def _fit(self) -> None:
        rows = np.array(self._lessons)
        length = rows.shape[1]
        covariance = np.atleast_2d(np.cov(rows, rowvar=False))
        own = np.sqrt(np.maximum(np.diag(covariance), 1e-9))
        shrunk = (1 - _SHRINK) * covariance / np.outer(own, own) + _SHRINK * np.eye(length)
        sizes, directions = np.linalg.eigh(shrunk)
        few = max(length - DIRECTIONS, 1)
        # The distance is the whole length by the deviation of the rest, less what goes along the wider directions.
        rest = sizes[:few].mean()
        weights = np.sqrt(np.maximum(1 - rest / sizes[few:], 0.0))
        self._directions = np.ascontiguousarray((directions[:, few:] * weights).T, np.float32)
        self._scale = (1 / (own * np.sqrt(rest))).astype(np.float32)
        self._mean = rows.mean(axis=0).astype(np.float32)
        self._lessons = []


def _length(vector: Singles) -> float:
    """The square of its length, in double precision: what is far out overflows a single one, of which numpy warns."""
    return float(np.vecdot(vector, vector, dtype=np.float64))


def single(embedding: Sequence[float] | Floats | Singles) -> Singles:
    """The embedding in single precision; what is too large for that is infinite."""
    if not isinstance(embedding, np.ndarray) or embedding.dtype != np.float32:
        with np.errstate(over="ignore"):
            embedding = np.asarray(embedding, np.float32)
    return cast(Singles, embedding)
