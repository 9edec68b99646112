"""What the watch learns from labels: feedback joined to its decision, and the calibration that came with a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from headrace.assembly.stores import Stores
from headrace.domain.decision import Decision
from headrace.domain.feedback import Feedback
from headrace.domain.model import REFERENCE
from headrace.domain.training import TrainedModel
from headrace.errors import HeadraceError
from headrace.jobs.job_queue import utc_now
from headrace.monitoring.calibration import Calibration
from headrace.monitoring.monitor import Label, Labels
from headrace.monitoring.stream import LEARN
from headrace.monitoring.window import (
    CONFIDENCE_BINS,
    EVERYTHING,
    WindowSketch,
    is_share,
    reference_of,
    reference_read,
    reference_written,
)
from headrace.monitoring.window import segments_of as watched_as
from headrace.registry.registry import ModelRegistry

CALIBRATION = "calibration.json"
"""The file by which a trainer says how often its model was right on unseen examples: `{"bins": [[count, right], …]}`,
one pair for each of 50 bins of confidence of equal width."""
SETTLED_S = 2.0
"""Labels younger than this wait for the next look: one with a lower id may still be on its way to the store."""
_A_LOOK = 500
_PLACES = ("classification", "output")


def labels_of(stores: Stores, *, clock: Callable[[], datetime] = utc_now) -> Labels:
    """Feedback after a cursor. A later label of a decision takes the place of the one before: the last one wins."""

    def after(cursor: str) -> Iterable[tuple[str, Label | None]]:
        settled = clock() - timedelta(seconds=SETTLED_S)
        for said in stores.feedback.feedback_after(cursor, limit=_A_LOOK):
            if said.created_at > settled:
                return
            yield said.id, _label(stores, said)

    return after


def calibration_by(stores: Stores, registry: ModelRegistry) -> Callable[[str], Calibration | None]:
    """The calibration that came with any model of a release; None where none did."""

    def found(release_id: str) -> Calibration | None:
        record = stores.releases.find(release_id)
        for digest in record.release.models.values() if record is not None else ():
            try:
                content = (registry.folder_of(registry.version(digest)) / CALIBRATION).read_bytes()
                return calibration_from(content)
            except (HeadraceError, OSError, ValueError, TypeError, KeyError):
                # A model without a calibration, or with one that cannot be read, is taken at its word.
                continue
        return None

    return found


def reference_by(stores: Stores, registry: ModelRegistry) -> Callable[[str], Mapping[str, WindowSketch] | None]:
    """The sketches in the reference of any model of a release; None where none has any, and normal is to be learned."""

    def found(release_id: str) -> Mapping[str, WindowSketch] | None:
        record = stores.releases.find(release_id)
        for digest in record.release.models.values() if record is not None else ():
            try:
                sketches = reference_read((registry.folder_of(registry.version(digest)) / REFERENCE).read_bytes())
            except (HeadraceError, OSError):
                continue
            if sketches:
                return sketches
        return None

    return found


def files_of(trained: TrainedModel) -> dict[str, bytes]:
    """The files of a new model, with sketches of what was observed of its unseen examples where these are enough."""
    sketches = reference_of(trained.observations, fewest=LEARN)
    files = dict(trained.files)
    if EVERYTHING in sketches:
        files[REFERENCE] = reference_written(sketches, beside=files.get(REFERENCE, b"{}"))
    return files


def calibration_from(content: bytes) -> Calibration:
    """The calibration in a model's file; raises ValueError for what is none."""
    bins = [(int(count), int(right)) for count, right in json.loads(content)["bins"]]
    if len(bins) != CONFIDENCE_BINS or any(not 0 <= right <= count for count, right in bins):
        raise ValueError(f"A calibration has {CONFIDENCE_BINS} bins of counts, and no more right than counted.")
    return Calibration([count for count, _ in bins], [right for _, right in bins])


def segments_of(decision: Decision) -> tuple[str, ...]:
    """The segments that a decision belongs to: all, its variant, and the tags that were given with the request."""
    body: Mapping[str, Any] = msgspec.json.decode(decision.body)
    tags = {"variant": decision.variant, **body.get("tags", {})}
    # Under the names that the watch gives them, or labels and outcomes would be of segments that nobody has seen.
    return watched_as({name: value for name, value in sorted(tags.items()) if value})


def _label(stores: Stores, said: Feedback) -> Label | None:
    before = [each for each in stores.feedback.of(said.decision_id).feedback if each.id < said.id]
    former = max(before, key=lambda each: each.id, default=None)
    if former is not None and former.label == said.label:
        return None
    decision = stores.decisions.find(said.decision_id)
    # What is no confidence is none to the watch, and may fall into no bin at all.
    if decision is None or decision.confidence is None or not is_share(decision.confidence):
        return None
    body: Mapping[str, Any] = msgspec.json.decode(decision.body)
    predicted = _predicted(body)
    if predicted is None:
        return None
    return Label(
        release=decision.release,
        segments=segments_of(decision),
        predicted=predicted,
        actual=said.label,
        confidence=decision.confidence,
        former=None if former is None else (former.label, former.id),
    )


def _predicted(body: Mapping[str, Any]) -> str | None:
    """The label of an answer: `label` in the answer itself, or in its `classification`."""
    for place in (body, *(body.get(name) for name in _PLACES)):
        if isinstance(place, Mapping) and isinstance(place.get("label"), str):
            return str(place["label"])
    return None
