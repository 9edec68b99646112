"""ServiceTime: how long something takes, learned from what it took."""

from __future__ import annotations

from math import sqrt

# RFC 6298 section 2: the mean moves by an eighth, the deviation by a quarter, the bound is four deviations above.
MEAN_GAIN, DEVIATION_GAIN, DEVIATIONS = 1 / 8, 1 / 4, 4
DECAY = 0.995
CLIP = 4
_ERROR = 1.25 * sqrt(MEAN_GAIN / (2 - MEAN_GAIN))
"""Of a mean that moves so, in deviations: of normal durations a standard deviation is 1.25 mean absolute ones."""


class ServiceTime:
    """Durations in seconds, learned as TCP learns round trips (Jacobson and Karels; RFC 6298).

    Until something is learned all figures are 0. `typical_s` is a mean in which no duration counts more than four
    times what is typical: a thread that lost its core for a moment does not change it. `longest_s` and `shortest_s`
    forget slowly: what was seen long ago fades towards the mean.
    """

    __slots__ = ("_deviation_s", "count", "longest_s", "mean_s", "shortest_s", "typical_s")

    def __init__(self) -> None:
        self.count = 0
        self.mean_s = 0.0
        self.typical_s = 0.0
        self.longest_s = 0.0
        self.shortest_s = 0.0
        self._deviation_s = 0.0

    @property
    def bound_s(self) -> float:
        """What is seldom exceeded."""
        return self.mean_s + DEVIATIONS * self._deviation_s

    @property
    def doubt_s(self) -> float:
        """The standard error of `typical_s`."""
        return _ERROR * self._deviation_s

    def learn(self, seconds: float) -> None:
        """Notes one duration."""
        self.count += 1
        if self.count == 1:
            self.mean_s = self.typical_s = self.longest_s = self.shortest_s = seconds
            self._deviation_s = seconds / 2
            return
        self._deviation_s += DEVIATION_GAIN * (abs(seconds - self.mean_s) - self._deviation_s)
        self.mean_s += MEAN_GAIN * (seconds - self.mean_s)
        self.typical_s += MEAN_GAIN * (min(seconds, CLIP * self.typical_s) - self.typical_s)
        self.longest_s = max(seconds, self.mean_s + DECAY * (self.longest_s - self.mean_s))
        self.shortest_s = min(seconds, self.mean_s + DECAY * (self.shortest_s - self.mean_s))
