"""Bursts: how far decisions come in bunches that are alike, and how much evidence is worth where they do.

A stack of scans, a mailbox that is imported, a caller who tries again: of such a bunch the tenth document says little
that the first has not said. A test for which each is news takes bunches for changes. What bets win by bunches spreads
more from block to block than what they win by single decisions can make it spread; by how much is the design effect
(Kish, "Survey Sampling", 1965), and so many decisions are worth one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from headrace.monitoring.bets import SHARES, Floats

_SHORTEST, _LONGEST, _BLOCKS = 20, 100, 40
"""A block is a fortieth of all decisions, but not less or more than that: at first a few have to do, while longer
bunches are better seen in longer ones. Bunches that are longer still are changes, of which people want to know."""
_KNOWN, _AT_FIRST = 2.0, 4.0
"""Before much is known it is as if there had been so many blocks, by which so many decisions are worth one;
that is forgotten soon, for it makes tests slow."""
_MOST_SPREAD = 9.0
"""One block counts for so many times what is known at most: a change is one that differs, bunches are many."""
_SIGNIFICANT, _SURE_TOGETHER = 1.5, 0.6
"""Deviations from which on it is believed that decisions come in bunches; all features together vary less than one."""
_SPREAD_OF_ONE = 3.0
"""The variance of a square of a difference of neighbours, the covariance with the next one taken in."""
LEEWAY = 7.0
"""What bets and moments to begin are shared out by, as a logarithm: it is spent once, however bunched decisions are."""


class BurstsState(msgspec.Struct):
    """What is known of bunches, as it is stored; vectors have a number for each bet."""

    rows: int = 0
    total: list[float] = []
    squares: list[float] = []
    blocks: int = 0
    spread: list[float] = []
    block_rows: int = 0
    block: list[float] = []
    block_squares: list[float] = []
    last_rows: int = 0
    last: list[float] = []
    last_squares: list[float] = []


class Bursts:
    """Learns from what bets have won, as logarithms, by comparing each block of decisions to the one before.

    Neighbours are compared and not all with their mean, so that a change, after which all differ, counts once.
    """

    def __init__(self, state: BurstsState | None = None) -> None:
        state = state or BurstsState()
        self._all = _Block(state.rows, _vector(state.total), _vector(state.squares))
        self._blocks, self._spread = state.blocks, _vector(state.spread)
        self._block = _Block(state.block_rows, _vector(state.block), _vector(state.block_squares))
        self._last = _Block(state.last_rows, _vector(state.last), _vector(state.last_squares))

    def take(self, won: Floats) -> None:
        """Takes in what the bets have won by each decision of a batch, (rows, bets); a batch is never parted.

        Its order was drawn at random, so that within it no bunch is left to be seen.
        """
        self._all, self._block = self._all.plus(won), self._block.plus(won)
        if self._block.rows >= min(max(self._all.rows / _BLOCKS, _SHORTEST), _LONGEST):
            self._compare()

    @property
    def blocks(self) -> int:
        """How many blocks have been held against the one before."""
        return self._blocks

    def spread(self) -> float:
        """How much more what was won varies from block to block than by single decisions, over all bets."""
        return float(SHARES @ self._known())

    def effect(self, betting: Floats) -> float:
        """How many decisions are worth one, by the bets that hold `betting`, (bets,); 1 until it is surely more."""
        known = self._known()
        held = betting * SHARES
        whole = float(held.sum())
        if not whole > 0:
            return 1.0
        more = np.where(known > 1 + _SIGNIFICANT * _deviation(self._blocks), known - 1, 0.0)
        return 1 + float(held @ more) / whole

    def worth(self, capital: float, betting: Floats, *, at_least: float = 1.0) -> float:
        """What a capital, held as `betting`, is worth as evidence: all of it where there are no bunches, never more.

        `at_least` so many decisions are worth one.
        """
        effect = max(self.effect(betting), at_least)
        if effect <= 1.0 or capital <= 1.0:
            return capital
        return math.exp((math.log(capital) + LEEWAY) / effect - LEEWAY)

    def state(self) -> BurstsState:
        """What has to be stored to go on from here."""
        return BurstsState(
            rows=self._all.rows,
            total=self._all.total.tolist(),
            squares=self._all.squares.tolist(),
            blocks=self._blocks,
            spread=self._spread.tolist(),
            block_rows=self._block.rows,
            block=self._block.total.tolist(),
            block_squares=self._block.squares.tolist(),
            last_rows=self._last.rows,
            last=self._last.total.tolist(),
            last_squares=self._last.squares.tolist(),
        )

    def _known(self) -> Floats:
        at_first = 1 + (_AT_FIRST - 1) / (1 + self._blocks / _KNOWN) ** 2
        known: Floats = (self._spread + _KNOWN * at_first) / (self._blocks + _KNOWN)
        return known

    def _compare(self) -> None:
        """Takes in the square of the difference to the last block, by what it is for single decisions: 1 on average.

        How much these vary is taken from all, or from the two blocks where it is more: after a change they may vary
        more than before it, and while bets learn, less.
        """
        last, block = self._last, self._block
        if last.rows:
            lately = (last.rows * last.variance() + block.rows * block.variance()) / (last.rows + block.rows)
            variance = np.maximum(self._all.variance(), lately)
            apart = (block.mean() - last.mean()) ** 2 / (variance * (1 / block.rows + 1 / last.rows))
            self._spread = self._spread + np.minimum(apart, _MOST_SPREAD * np.maximum(self._known(), 1.0))
            self._blocks += 1
        self._last, self._block = block, _Block(0, np.zeros(len(SHARES)), np.zeros(len(SHARES)))


@dataclass(frozen=True, slots=True)
class _Block:
    """What the bets have won by the decisions of a block, and the squares of that, (bets,) each."""

    rows: int
    total: Floats
    squares: Floats

    def plus(self, won: Floats) -> _Block:
        """With the decisions of a batch, (rows, bets)."""
        return _Block(
            self.rows + len(won), self.total + won.sum(axis=0), self.squares + np.einsum("rb,rb->b", won, won)
        )

    def mean(self) -> Floats:
        """What a decision has won on average, (bets,)."""
        return self.total / self.rows

    def variance(self) -> Floats:
        """How much single decisions vary, (bets,); never nothing."""
        return np.maximum(self.squares / self.rows - self.mean() ** 2, 1e-12)


def common_effect(streams: Sequence[Bursts]) -> float:
    """How many decisions are worth one, by all features of the same decisions; 1 until it is surely more.

    What wins most may be what has seen the least of bunches by chance, and a single feature knows little at first.
    """
    if not streams:
        return 1.0
    spread = sum(each.spread() for each in streams) / len(streams)
    blocks = sum(each.blocks for each in streams) // len(streams)
    sure = max(_SIGNIFICANT / math.sqrt(len(streams)), _SURE_TOGETHER) * _deviation(blocks)
    return spread if spread > 1 + sure else 1.0


def _deviation(blocks: int) -> float:
    """By how much the spread of so many blocks may differ from what it is."""
    return math.sqrt(_SPREAD_OF_ONE / (blocks + _KNOWN))


def _vector(stored: list[float]) -> Floats:
    return np.array(stored) if stored else np.zeros(len(SHARES))
