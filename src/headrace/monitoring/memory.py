"""MonitorMemory: all that the watch remembers between two looks, as one blob."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.domain.report_store import WatchCheckpoint
from headrace.monitoring.estimate import Estimator
from headrace.monitoring.shelf import unpacked
from headrace.monitoring.watch import WatchMemory
from headrace.monitoring.window import WindowSketch, merged


class MonitorMemory(msgspec.Struct):
    """By release: what is watched, how accuracy is estimated, how many decisions were seen, and since when.

    `labels_until` is the last label that was taken in, `needed` how many decisions make a reference.
    """

    through: int = 0
    releases: dict[str, WatchMemory] = {}
    estimators: dict[str, Estimator] = {}
    seen: dict[str, int] = {}
    first_seen: dict[str, float] = {}
    reference_until: dict[str, float] = {}
    dropped: int = 0
    skewed: int = 0
    labels_until: str = ""
    needed: int = 0
    unseen: int = 0
    unseen_because: str = ""

    def reference(self, release: str) -> Mapping[str, WindowSketch]:
        """By segment; empty for a release that was never seen."""
        return unpacked(self.releases[release].reference) if release in self.releases else {}

    def learned(self, release: str) -> Mapping[str, WindowSketch]:
        """What its traffic was like at first, by segment, whether or not a reference came with it."""
        known = self.releases.get(release)
        return {} if known is None else unpacked(known.own if known.is_given else known.reference)

    def is_given(self, release: str) -> bool:
        """Whether its reference came with the release, and is not learned from traffic."""
        return release in self.releases and self.releases[release].is_given

    def mix(self, release: str) -> Mapping[str, WindowSketch]:
        """Labels by segment within the time of the reference, in which segments add up to the whole."""
        return self.releases[release].mix if release in self.releases else {}

    def lately(self, release: str) -> Mapping[str, WindowSketch]:
        """The last few hundred decisions of each segment."""
        if release not in self.releases:
            return {}
        lately = unpacked(self.releases[release].former)
        merged(lately, self.releases[release].recent)
        return lately


def memory_from(checkpoint: WatchCheckpoint | None) -> MonitorMemory:
    """What was saved; empty where nothing was."""
    if checkpoint is None:
        return MonitorMemory()
    memory = msgspec.msgpack.decode(checkpoint.memory, type=MonitorMemory)
    memory.through = checkpoint.through
    return memory
