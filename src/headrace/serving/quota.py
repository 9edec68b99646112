"""Quota: how often one caller may ask, whatever room there is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from headrace.errors import OverQuota

WINDOW_S = 60
MOST_CALLERS = 100_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Quota:
    """A bucket of tokens for each caller: `a_minute` at once, filled again within a minute. Bounded in callers.

    Header values are those of the IETF draft on RateLimit header fields (draft-ietf-httpapi-ratelimit-headers-10).
    """

    def __init__(self, *, a_minute: int, clock: Callable[[], float] = monotonic) -> None:
        self._a_minute = a_minute
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    @property
    def policy(self) -> str:
        """The value of the header `RateLimit-Policy`."""
        return f'"minute";q={self._a_minute};w={WINDOW_S}'

    def take(self, caller: str) -> str:
        """Takes one question of `caller` from its quota; the value of the header `RateLimit` for its answer.

        Raises:
            OverQuota: nothing is left; it says when there will be.
        """
        bucket = self._filled(caller)
        rate = self._a_minute / WINDOW_S
        if bucket.left < 1:
            raise OverQuota(
                f"This caller's {self._a_minute} questions a minute are used up.",
                remedy="Ask again after the time in Retry-After.",
                retry_after_s=(1 - bucket.left) / rate,
            )
        bucket.left -= 1
        # In how many seconds the whole quota is there again.
        return f'"minute";r={int(bucket.left)};t={int((self._a_minute - bucket.left) / rate) + 1}'

    def _filled(self, caller: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(float(self._a_minute), now)
            if len(self._buckets) > MOST_CALLERS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(caller)
            bucket.left = min(self._a_minute, bucket.left + (now - bucket.at) * self._a_minute / WINDOW_S)
            bucket.at = now
        return bucket
