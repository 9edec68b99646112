"""Observer: notes what questions meet in rollouts, off their way, and adds it to what all processes count."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from headrace.domain.exposure import Exposure, Observation
from headrace.domain.rollout import Rollout
from headrace.domain.rollout_store import RolloutStore
from headrace.domain.tally import Measure, Tally, added
from headrace.errors import HeadraceError, NotFound
from headrace.rollouts.sighting import Sighting

FLUSH_S = 0.25
AT_ONCE = 2000


@dataclass(slots=True)
class _Batch:
    """What is added to one rollout in one transaction."""

    observations: list[Observation] = field(default_factory=list)
    tallies: dict[Measure, Tally] = field(default_factory=dict)
    exposures: dict[str, Exposure] = field(default_factory=dict)


class Observer:
    """Takes sightings in at once; a thread counts them in the store within a quarter of a second.

    What does not fit into `bound` is left out and told to `on_lost`, whichever release it was about; while the store is
    away everything waits.
    """

    def __init__(
        self, store: RolloutStore, *, on_lost: Callable[[int], None] = lambda _: None, bound: int = 20_000
    ) -> None:
        self._store = store
        self._on_lost = on_lost
        self._bound = bound
        self._sightings: deque[Sighting] = deque()
        self._tallies: dict[str, dict[Measure, Tally]] = {}
        self._lock = Lock()
        self._flushing = Lock()
        self._wake, self._stop = Event(), Event()
        self.failure = ""
        self._thread = Thread(target=self._live, name="rollout-observer", daemon=True)
        self._thread.start()

    def see(self, sighting: Sighting) -> None:
        """Notes one; never waits for the store."""
        if len(self._sightings) >= self._bound:
            self._on_lost(1)
            return
        self._sightings.append(sighting)
        self._rouse()

    def tally(self, rollout: Rollout, measure: Measure, tally: Tally) -> None:
        """Adds to a figure."""
        with self._lock:
            self._tallies[rollout.id] = added(self._tallies.get(rollout.id, {}), {measure: tally})
        self._rouse()

    def flush(self) -> None:
        """Counts what has been noted by now; raises what the store raises, and nothing is lost then."""
        with self._flushing:
            # What comes meanwhile waits for the next time: under load it would be counted in ever smaller portions.
            for _ in range(-(-len(self._sightings) // AT_ONCE)):
                sightings = self._taken()
                try:
                    self._count(sightings)
                except HeadraceError:
                    self._sightings.extendleft(reversed(sightings))
                    raise
            self._flush_tallies()

    def close(self) -> None:
        """Counts the rest, as far as the store lets it, and ends the thread."""
        self._stop.set()
        self._wake.set()
        self._thread.join(10.0)

    def _rouse(self) -> None:
        if not self._wake.is_set():
            self._wake.set()

    def _live(self) -> None:
        """Counts what was noted a moment later, with all that came meanwhile; sleeps while nothing comes."""
        while not self._stop.is_set():
            self._wake.wait()
            self._stop.wait(FLUSH_S)
            self._wake.clear()
            self._try_flush()
            if self.failure:
                self._wake.set()
        self._try_flush()

    def _try_flush(self) -> None:
        try:
            self.flush()
        except HeadraceError as failure:
            self.failure = str(failure)
        # The thread must live whatever a driver raises, else nothing is counted any more.
        except Exception as failure:  # noqa: BLE001
            self.failure = f"{type(failure).__name__}: {failure}"
        else:
            self.failure = ""

    def _taken(self) -> list[Sighting]:
        return [self._sightings.popleft() for _ in range(min(AT_ONCE, len(self._sightings)))]

    def _count(self, sightings: Sequence[Sighting]) -> None:
        batches: dict[str, _Batch] = {}
        for sighting in sightings:
            batch = batches.setdefault(sighting.rollout.id, _Batch())
            batch.observations.append(sighting.observation())
            for measure, tally in sighting.tallies().items():
                batch.tallies[measure] = batch.tallies.get(measure, Tally()).plus(tally)
            exposed = sighting.exposure()
            # A shadowed question is seen twice; the second time its exposure has both labels.
            if exposed is not None and not (sighting.rollout.is_shadowing and sighting.shadow is None):
                batch.exposures[exposed[0]] = exposed[1]
        for rollout_id, batch in batches.items():
            try:
                self._store.observe(rollout_id, batch.observations, batch.tallies, exposures=batch.exposures)
            except NotFound:
                self._on_lost(len(batch.observations))

    def _flush_tallies(self) -> None:
        with self._lock:
            waiting, self._tallies = self._tallies, {}
        for rollout_id in list(waiting):
            try:
                self._store.observe(rollout_id, [], waiting[rollout_id])
            except HeadraceError:
                with self._lock:
                    for each, tallies in waiting.items():
                        self._tallies[each] = added(self._tallies.get(each, {}), tallies)
                raise
            del waiting[rollout_id]
