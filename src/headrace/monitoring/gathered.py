"""Gathered: whether what comes more often than before comes from one segment, though it shows in the whole first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Sequence

from headrace.monitoring.window import EVERYTHING, Exemplar

_LATELY = 200
_FEWEST = 4
_NEARLY_ALL = 0.9
_SURE = math.log(100)
"""A segment must be so much likelier to hold them than if they were spread as all others are."""


def gathered_in(
    exemplars: Sequence[Exemplar], feature: str, lift: Callable[[str], float], *, known: Container[str]
) -> str | None:
    """The segment in which nearly all of those lie whose category has grown most; None where they are spread.

    `exemplars` are the last decisions, in order; `lift` says how much more often than before a category comes; of a
    segment that is not `known` nobody can say that it has changed. A new category is seen in the whole first, where
    most is known of what was normal, wherever it comes from.
    """
    lately = [each for each in exemplars[-_LATELY:] if feature in each.categories]
    counts = Counter(each.categories[feature] for each in lately)
    grown = max((name for name, times in counts.items() if times >= _FEWEST), key=lift, default=None)
    if grown is None or lift(grown) <= 1:
        return None
    those, others = (
        Counter(
            segment
            for each in lately
            if (each.categories[feature] == grown) is is_grown
            for segment in each.segments
            # What a tag says of itself is no news.
            if segment != EVERYTHING and segment in known and not segment.startswith(f"{feature}=")
        )
        for is_grown in (True, False)
    )
    count, rest = counts[grown], len(lately) - counts[grown]
    best, most = None, _SURE
    for segment, times in those.items():
        share, usual = times / count, (others[segment] + 1) / (rest + 2)
        if share >= _NEARLY_ALL and usual < share and others[segment]:
            odds = times * math.log(share / usual)
            if times < count:
                odds += (count - times) * math.log((1 - share) / (1 - usual))
            if odds >= most:
                best, most = segment, odds
    return best
