"""RetryBudget: retries are a small share of calls, so that they never make an overload worse."""

from __future__ import annotations

SHARE = 0.1
MOST = 10.0


class RetryBudget:
    """Every call earns a tenth of a retry, up to ten (the budget of Finagle; Google's SRE book, chapter 21)."""

    __slots__ = ("_saved", "spent")

    def __init__(self) -> None:
        self._saved = MOST
        self.spent = 0

    def earn(self) -> None:
        """A call was answered."""
        if self._saved < MOST:
            self._saved = min(MOST, self._saved + SHARE)

    def spend(self) -> bool:
        """Whether there is a retry left, which is then taken."""
        if self._saved < 1:
            return False
        self._saved -= 1
        self.spent += 1
        return True
