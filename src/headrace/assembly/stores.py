"""The stores of a platform that share one database: decisions, what was said of them, and releases."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.feedback_store import FeedbackStore
from headrace.domain.release_store import ReleaseStore
from headrace.domain.stores import DecisionStore
from headrace.settings import Settings
from headrace.storage.database import Database
from headrace.storage.decisions import SqlDecisions
from headrace.storage.feedback import SqlFeedback
from headrace.storage.memory import MemoryDecisions
from headrace.storage.releases import SqlReleases
from headrace.storage.schema import opened_database

IN_MEMORY = "sqlite://"


@dataclass(frozen=True, slots=True)
class Stores:
    """Opened; `close` gives back the connections of all of them."""

    decisions: DecisionStore
    feedback: FeedbackStore
    releases: ReleaseStore
    database: Database

    def close(self) -> None:
        """Safe to call twice."""
        self.decisions.close()
        self.database.close()


def opened_stores(settings: Settings, *, decisions: DecisionStore | None = None) -> Stores:
    """Those that the settings name; in memory where `decisions` replaces the store of decisions. Blocking."""
    database = opened_database(settings.store_url if decisions is None else IN_MEMORY)
    return Stores(
        decisions=SqlDecisions(database) if decisions is None else decisions,
        feedback=SqlFeedback(database),
        releases=SqlReleases(database),
        database=database,
    )


def upgrade_store(settings: Settings) -> None:
    """Applies the migrations that the store lacks; of many processes one does, and the others wait. Blocking.

    Raises:
        InvalidConfiguration: a newer version made it.
    """
    opened_database(settings.store_url, upgrades=True).close()


def forgetful_decisions(*, bound: int = 1) -> DecisionStore:
    """A store for runs that leave nothing behind: it keeps the newest `bound` decisions, in memory."""
    return MemoryDecisions(bound=bound)
