"""Forgets decisions that are older, more, or larger in all, than are to be kept, with what was said of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headrace.domain.feedback_store import FeedbackStore
from headrace.domain.rollout_store import RolloutStore
from headrace.domain.stores import DecisionStore
from headrace.errors import HeadraceError

EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is kept at most: of which age, how many, and how large they are together."""

    keep: timedelta
    most: int
    most_bytes: int | None = None


async def keep_in_bounds(
    decisions: DecisionStore,
    feedback: FeedbackStore,
    rollouts: RolloutStore,
    bounds: Bounds,
    *,
    drop: Callable[[str], None],
    on_failure: Callable[[HeadraceError], None],
) -> None:
    """Now and every hour, until it is cancelled; a store that fails is told of and tried again the next time.

    `drop` deletes an input that no decision names any more.
    """
    while True:
        try:
            await asyncio.to_thread(_forget, decisions, feedback, rollouts, bounds, drop)
        except HeadraceError as failure:
            on_failure(failure)
        await asyncio.sleep(EVERY_S)


def _forget(
    decisions: DecisionStore,
    feedback: FeedbackStore,
    rollouts: RolloutStore,
    bounds: Bounds,
    drop: Callable[[str], None],
) -> None:
    before = datetime.now(UTC) - bounds.keep
    # The rows go first: a crash in between leaves inputs that nobody names, and no decision whose input is gone.
    for blob in decisions.forget(before=before, keep=bounds.most, keep_bytes=bounds.most_bytes).blobs:
        drop(blob)
    feedback.forget(before=before)
    rollouts.forget(before=before)
