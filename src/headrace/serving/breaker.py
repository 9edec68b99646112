"""Breaker: stops asking what fails or lingers, and asks again, one probe at a time, until it answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from time import monotonic

WINDOW = 20
FEWEST = 5
SHARE_OF_FAILURES = 0.5
FIRST_REST_S, LONGEST_REST_S = 0.5, 2.0
PROBES_TO_CLOSE = 2


class BreakerState(StrEnum):
    """Closed lets all calls pass, open none, half-open one probe at a time."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class Breaker:
    """Opens when half of the last calls failed; rests, probes, and closes again (Nygard, Release It!, 2007).

    The first rest is `FIRST_REST_S` long, each failed probe doubles it up to `LONGEST_REST_S`: short, for one probe
    costs little, and a service that is back is to be noticed. Used from one event loop.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._rest_s = FIRST_REST_S
        self._rests_until: float | None = None
        self._good_probes = 0
        # Raised with every change of state: what a call from before the change tells is no longer news.
        self._era = 0
        self._probe: Permit | None = None

    @property
    def state(self) -> BreakerState:
        """Where it stands now."""
        if self._rests_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock() < self._rests_until else BreakerState.HALF_OPEN

    def permit(self) -> Permit | None:
        """Leave for one call, of which the breaker is to be told how it went; None when it may not pass."""
        if self._rests_until is None:
            return Permit(self, self._era)
        if self._probe is not None or self._clock() < self._rests_until:
            return None
        self._probe = Permit(self, self._era)
        return self._probe

    def hear(self, permit: Permit, *, went_well: bool | None) -> None:
        """Notes how a call went; None says nothing about the service."""
        if permit.era != self._era:
            return
        if self._rests_until is None:
            if went_well is not None:
                self._note(went_well=went_well)
            return
        self._probe = None
        if went_well:
            self._good_probes += 1
            if self._good_probes >= PROBES_TO_CLOSE:
                self._close()
        elif went_well is False:
            self._rest_s = min(LONGEST_REST_S, self._rest_s * 2)
            self._open()

    def _note(self, *, went_well: bool) -> None:
        self._recent.append(went_well)
        if len(self._recent) >= FEWEST and self._recent.count(False) >= SHARE_OF_FAILURES * len(self._recent):
            self._open()

    def _open(self) -> None:
        self._rests_until = self._clock() + self._rest_s
        self._good_probes = 0
        self._probe = None
        self._era += 1

    def _close(self) -> None:
        self._recent.clear()
        self._rests_until = None
        self._rest_s = FIRST_REST_S
        self._era += 1


class Permit:
    """Leave for one call; exactly one of its methods is called when the call is over."""

    __slots__ = ("_breaker", "era")

    def __init__(self, breaker: Breaker, era: int) -> None:
        self._breaker = breaker
        self.era = era

    def succeeded(self) -> None:
        """It was answered in time."""
        self._breaker.hear(self, went_well=True)

    def failed(self) -> None:
        """It failed, or was not answered in time."""
        self._breaker.hear(self, went_well=False)

    def abandoned(self) -> None:
        """The caller went away, or the question itself was wrong."""
        self._breaker.hear(self, went_well=None)
