"""Coarsening: old windows are merged into hours, older ones into days, so that reports over months stay quick."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from headrace.domain.report_store import StoredWindow
from headrace.monitoring.window import WindowSketch

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
_LEVELS = ((3 * DAY_S, DAY_S), (2 * HOUR_S, HOUR_S))
"""Older than the first, windows are as wide as the second."""


def width_at(age_s: float) -> float:
    """How wide windows of that age are at least; 0 where they are as they were recorded."""
    return next((width for age, width in _LEVELS if age_s > age), 0.0)


def start_at(moment: float, *, now: float) -> float:
    """The beginning of the stored window that holds a moment."""
    width = width_at(now - moment)
    return moment // width * width if width else moment


def coarsened(windows: Iterable[StoredWindow], *, now: float) -> tuple[Sequence[StoredWindow], Sequence[StoredWindow]]:
    """Windows that are to go, and those, wider, that take their place."""
    groups: dict[tuple[float, str, str], list[StoredWindow]] = {}
    for window in windows:
        start = start_at(window.start, now=now)
        groups.setdefault((start, window.release, window.segment), []).append(window)
    gone: list[StoredWindow] = []
    made: list[StoredWindow] = []
    decoder = msgspec.msgpack.Decoder(WindowSketch)
    for (start, release, segment), members in groups.items():
        if len(members) == 1 and members[0].start == start:
            continue
        whole = WindowSketch()
        for member in members:
            whole.merge(decoder.decode(member.content))
        gone += members
        made.append(StoredWindow(start, release, segment, msgspec.msgpack.encode(whole)))
    return gone, made
