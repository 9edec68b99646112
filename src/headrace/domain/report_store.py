"""What a store of the watch must be able to do: sketches of many processes, alerts, and what is in quarantine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from headrace.domain.report import Alert, QuarantinedInput, QuarantineState


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """What one process saw, as it was handed in; `number` grows."""

    number: int
    content: bytes


@dataclass(frozen=True, slots=True)
class StoredWindow:
    """What all processes saw of one segment of one release in the window that began at `start` (Unix time)."""

    start: float
    release: str
    segment: str
    content: bytes


@dataclass(frozen=True, slots=True)
class WatchCheckpoint:
    """The memory of the watch after it took in all batches up to `through`."""

    through: int
    memory: bytes


@dataclass(frozen=True, slots=True)
class AlertListing:
    """A page of alerts, newest first; `next` continues, None at the end."""

    items: tuple[Alert, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class QuarantineListing:
    """A page of kept inputs, newest first; `next` continues, None at the end."""

    items: tuple[QuarantinedInput, ...]
    next: str | None


class ReportStore(Protocol):
    """Keeps what the watch needs. Blocking; each call is one transaction and may raise `StoreUnavailable`."""

    def add_batch(self, content: bytes) -> None:
        """Hands in what one process saw."""
        ...

    def batches(self, *, after: int, limit: int) -> list[StoredBatch]:
        """Batches with a higher number than `after`, in order."""
        ...

    def checkpoint(self) -> WatchCheckpoint | None:
        """The memory as it was saved last."""
        ...

    def save_checkpoint(
        self, checkpoint: WatchCheckpoint, windows: Sequence[StoredWindow], *, follows: int, now: datetime
    ) -> bool:
        """Saves the memory, replaces these windows and drops the batches that went into them, all at once.

        False, and nothing is changed, when the checkpoint there is not the one through `follows` (0: none): another
        process watches.
        """
        ...

    def windows(self, *, since: float, until: float, release: str | None = None) -> list[StoredWindow]:
        """Windows that began in `[since, until)`, in order of their beginning."""
        ...

    def replace_windows(self, gone: Sequence[StoredWindow], made: Sequence[StoredWindow]) -> None:
        """Puts windows in the place of others, all at once."""
        ...

    def forget_windows(self, *, before: float) -> int:
        """Drops windows that began before; how many."""
        ...

    def save_alert(self, alert: Alert) -> None:
        """Keeps an alert, or how it stands now; what people said of its silence meanwhile stays."""
        ...

    def silence_alert(self, alert_id: str, *, until: datetime) -> Alert | None:
        """The alert as it is then, silenced if it is still open; None where there is none of that id."""
        ...

    def alert(self, alert_id: str) -> Alert | None:
        """One alert."""
        ...

    def alerts(self, *, is_open: bool | None, cursor: str | None, limit: int) -> AlertListing:
        """Alerts, newest first."""
        ...

    def keep(self, kept: QuarantinedInput) -> None:
        """Keeps an input in quarantine."""
        ...

    def let_go(self, kept: QuarantinedInput) -> bool:
        """Keeps how an input stands after it was let go; False, and nothing is changed, where it is not held."""
        ...

    def kept(self, kept_id: str) -> QuarantinedInput | None:
        """One input in quarantine."""
        ...

    def quarantine(self, *, state: QuarantineState | None, cursor: str | None, limit: int) -> QuarantineListing:
        """What is in quarantine, newest first."""
        ...

    def counts(self) -> Mapping[str, int]:
        """How much there is: `held` inputs, `open` alerts, and `batches` that wait to be taken in."""
        ...
