"""Observation: what can be seen of one decision without a label, as the watch takes it in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Observation:
    """The features of one decision. Numbers may be NaN; a feature that is left out was not there.

    `tags` say to which segments it belongs: `{"source": "erp", "language": "de"}`. `contributions` add up to the score
    of the answer, `{"amount due": 0.8, "rest": -0.1}`. `embedding` is a vector of fixed length that says what the
    input was about. `findings` are the codes of the quality rules that it broke.
    """

    numbers: Mapping[str, float] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    contributions: Mapping[str, float] = field(default_factory=dict)
    embedding: Sequence[float] = ()
    findings: tuple[str, ...] = ()
