"""Quota: how often one caller may ask, whatever room there is."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from time import monotonic

from headrace.errors import OverQuota

WINDOW_S = 60
SETS, WAYS = 8192, 8
MOST_CALLERS = SETS * WAYS
ROUNDING = 1e-6
# Who: eight bytes of a digest. When their bucket is full again, on the clock, which all processes of a machine share.
_SLOT = struct.Struct("<8sd")
_SET_BYTES = _SLOT.size * WAYS


class Quota:
    """A bucket of tokens for each caller: `a_minute` at once, filled again within a minute. Bounded in callers.

    With `shared`, a file that is made where there is none, all processes that name it count together. By the generic
    cell rate algorithm (ITU-T I.371) one moment is all that is kept of a caller; where there are too many of them,
    whoever has used the least is forgotten. Header values are those of the IETF draft on RateLimit header fields
    (draft-ietf-httpapi-ratelimit-headers-10).
    """

    def __init__(self, *, a_minute: int, shared: Path | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._a_minute = a_minute
        self._clock = clock
        self._file = -1 if shared is None else os.open(shared, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.ftruncate(self._file, SETS * _SET_BYTES)
        self._table = mmap.mmap(self._file, SETS * _SET_BYTES)

    @property
    def policy(self) -> str:
        """The value of the header `RateLimit-Policy`."""
        return f'"minute";q={self._a_minute};w={WINDOW_S}'

    def take(self, caller: str) -> str:
        """Takes one question of `caller` from its quota; the value of the header `RateLimit` for its answer.

        Raises:
            OverQuota: nothing is left; it says when there will be.
        """
        digest = blake2b(caller.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        start = int.from_bytes(digest[:4], "little") % SETS * _SET_BYTES
        now, rate = self._clock(), self._a_minute / WINDOW_S
        with self._held(start):
            place, full_at = self._slot(digest, start, now)
            left = self._a_minute - (full_at - now) * rate
            if left < 1 - ROUNDING:
                raise OverQuota(
                    f"This caller's {self._a_minute} questions a minute are used up.",
                    remedy="Ask again after the time in Retry-After.",
                    retry_after_s=(1 - left) / rate,
                )
            _SLOT.pack_into(self._table, place, digest, full_at + 1 / rate)
        # In how many seconds the whole quota is there again.
        return f'"minute";r={int(left - 1 + ROUNDING)};t={int(full_at + 1 / rate - now) + 1}'

    def close(self) -> None:
        """Gives back the memory; safe to call twice."""
        self._table.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _slot(self, digest: bytes, start: int, now: float) -> tuple[int, float]:
        """Where a caller is kept, and when their bucket is full: now, for who is not known."""
        free, least = start, float("inf")
        for place in range(start, start + _SET_BYTES, _SLOT.size):
            found, full_at = _SLOT.unpack_from(self._table, place)
            if found == digest:
                return place, max(now, full_at)
            if full_at < least:
                free, least = place, full_at
        return free, now

    @contextmanager
    def _held(self, start: int) -> Iterator[None]:
        """Alone with one set; a process that dies in it lets go of it."""
        if self._file < 0:
            yield
            return
        fcntl.lockf(self._file, fcntl.LOCK_EX, _SET_BYTES, start)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, _SET_BYTES, start)
