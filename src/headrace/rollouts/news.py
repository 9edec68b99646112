"""News of decisions: feedback and outcomes that come after the answer, counted for the rollout that it was part of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from headrace.domain.exposure import Exposure, Observation
from headrace.domain.rollout import Rollout
from headrace.domain.rollout_store import NewsMove, RolloutStore
from headrace.domain.tally import Measure, Tally, added
from headrace.rollouts.sighting import News

SETTLED_S = 2.0
"""News younger than this are left for the next time: what they are about may not be counted yet."""

AT_ONCE = 500


class Said(Protocol):
    """Feedback or an outcome, as the store of feedback keeps it; `id` is a prefix and a UUIDv7."""

    @property
    def id(self) -> str:
        """Sorted by time."""
        ...

    @property
    def decision_id(self) -> str:
        """What it is about."""
        ...

    @property
    def created_at(self) -> datetime:
        """When it was said."""
        ...


Source = Callable[[str, int], Sequence[tuple[Said, News]]]
"""Up to so many that came after a cursor, oldest first, each with what it says."""


@dataclass(frozen=True, slots=True)
class NewsReader:
    """Reads `sources` by cursor. Blocking; every process may do so, and each piece of news counts once."""

    store: RolloutStore
    sources: dict[str, Source] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def read(self, rollout: Rollout) -> int:
        """Counts what is new for `rollout`; how many pieces were looked at."""
        before = self.store.news_cursor(rollout.id)
        cursors = dict(part.split("=", 1) for part in before.split()) if before else {}
        horizon = self.now() - timedelta(seconds=SETTLED_S)
        fresh: list[News] = []
        for name, source in self.sources.items():
            # Ids are sorted by time: nothing that is about this rollout has an id below its own.
            begin = cursors.get(name) or f"{name}_{rollout.id.partition('_')[2]}"
            found = [(said, news) for said, news in source(begin, AT_ONCE) if said.created_at <= horizon]
            fresh += [news for _, news in found]
            cursors[name] = found[-1][0].id if found else begin
        if fresh:
            after = " ".join(f"{name}={cursor}" for name, cursor in sorted(cursors.items()))
            self._count(rollout, fresh, NewsMove(before, after))
        return len(fresh)

    def _count(self, rollout: Rollout, fresh: Sequence[News], move: NewsMove) -> None:
        exposures = self.store.exposures([news.decision_id for news in fresh])
        observations: list[Observation] = []
        tallies: dict[Measure, Tally] = {}
        told: dict[str, Exposure] = {}
        for news in _last_words(fresh):
            exposure = told.get(news.decision_id) or exposures.get(news.decision_id)
            if exposure is not None and exposure.rollout_id == rollout.id:
                more, figures, told[news.decision_id] = news.told(rollout, exposure)
                observations += more
                tallies = added(tallies, figures)
        self.store.observe(rollout.id, observations, tallies, exposures=told, news=move)


def _last_words(fresh: Sequence[News]) -> list[News]:
    """Of what was told of one decision several times since the last look, the last; each where the first stood."""
    labels: dict[str, News] = {}
    outcomes: dict[tuple[str, str], News] = {}
    order: dict[tuple[str, str | None], None] = {}
    for news in fresh:
        if news.label is not None:
            labels[news.decision_id] = News(news.decision_id, label=news.label)
            order[news.decision_id, None] = None
        for metric, value in news.outcomes.items():
            outcomes[news.decision_id, metric] = News(news.decision_id, outcomes={metric: value})
            order[news.decision_id, metric] = None
    return [labels[each] if metric is None else outcomes[each, metric] for each, metric in order]
